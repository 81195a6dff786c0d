package source

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	backup "github.com/wolkvox/backup"
)

const (
	// MarkerName is the name of the file, in the root of a tree, by which it is known. It is no recording.
	MarkerName = ".wolkvox-source"

	// MaxWitnessBytes is the largest size of a file that can prove a tree: it is hashed at every proof.
	MaxWitnessBytes = 16 << 20
)

// Proof is what shows that a folder is the tree that was added, and not the empty folder over which it is
// mounted at other times. It is made when the source is added and kept with it. Either MarkerID is set or
// File and Digest are.
type Proof struct {
	MarkerID string        // the 32 hexadecimal characters in the marker
	File     string        // source path of a file that was named when the source was added
	Digest   backup.Digest // of File
}

// Mark writes the marker into the folder at the absolute path, or adopts the one that is there, and returns the
// proof. Where nothing can be written into the folder, use [Witness].
func Mark(path string) (Proof, error) {
	root, err := openAbsolute(path)
	if err != nil {
		return Proof{}, fmt.Errorf("mark source %q: %w", path, err)
	}
	defer root.Close()
	id, err := readMarker(root)
	if errors.Is(err, fs.ErrNotExist) {
		id, err = writeMarker(root)
	}
	if err != nil {
		return Proof{}, fmt.Errorf("mark source %q: %w", path, err)
	}
	return Proof{MarkerID: id}, nil
}

// Witness makes a proof of a file that the folder at the absolute path holds, for trees into which nothing can
// be written. The file has at least one byte and at most [MaxWitnessBytes], and must stay as it is: when it
// changes or goes, the source counts as unreachable.
func Witness(path, sourcePath string) (Proof, error) {
	root, err := openAbsolute(path)
	if err != nil {
		return Proof{}, fmt.Errorf("add source %q: %w", path, err)
	}
	defer root.Close()
	digest, err := witnessDigest(root, sourcePath)
	if err != nil {
		return Proof{}, fmt.Errorf("add source %q: file %q cannot prove it: %w: name another file", path, sourcePath, err)
	}
	return Proof{File: sourcePath, Digest: digest}, nil
}

func (p Proof) validate() error {
	if (p.MarkerID == "") == (p.File == "") {
		return errors.New("its proof names neither a marker nor a file, or both")
	}
	return nil
}

// check looks for the proof below root. Its errors do not hold the tree's path.
func (p Proof) check(root *os.Root) error {
	if p.File != "" {
		digest, err := witnessDigest(root, p.File)
		if err != nil {
			return fmt.Errorf("its proof, the file %q: %w", p.File, err)
		}
		if digest != p.Digest {
			return fmt.Errorf("its proof, the file %q, is not the one that was named when the source was added", p.File)
		}
		return nil
	}
	id, err := readMarker(root)
	if err != nil {
		return err
	}
	if id != p.MarkerID {
		return fmt.Errorf("its marker %s is that of another source (%s instead of %s)", MarkerName, id, p.MarkerID)
	}
	return nil
}

func openAbsolute(path string) (*os.Root, error) {
	if !filepath.IsAbs(path) {
		return nil, errors.New("the path is not absolute")
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, bare(err)
	}
	return root, nil
}

// readMarker returns the id in the marker. The error wraps [fs.ErrNotExist] only where there is no marker.
func readMarker(root *os.Root) (string, error) {
	f, _, err := openRegular(root, MarkerName)
	if err != nil {
		return "", fmt.Errorf("its marker %s: %w", MarkerName, bare(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return "", fmt.Errorf("its marker %s: %w", MarkerName, bare(err))
	}
	id, ok := parseMarker(string(text))
	if !ok {
		return "", fmt.Errorf("its marker %s is damaged: put it back, or delete it and add the source again", MarkerName)
	}
	return id, nil
}

// writeMarker creates the marker durably. What a crash leaves is an empty or damaged marker, which is reported.
func writeMarker(root *os.Root) (string, error) {
	var random [16]byte
	rand.Read(random[:])
	id := hex.EncodeToString(random[:])
	f, err := root.OpenFile(MarkerName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return "", fmt.Errorf("write its marker %s: %w: where the folder cannot be written to, name one of its files as proof",
			MarkerName, bare(err))
	}
	_, err = f.WriteString(formatMarker(id))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = syncRoot(root)
	}
	if err != nil {
		root.Remove(MarkerName)
		return "", fmt.Errorf("write its marker %s: %w", MarkerName, bare(err))
	}
	return id, nil
}

func formatMarker(id string) string { return "wolkvox-source " + id + "\n" }

func parseMarker(text string) (id string, ok bool) {
	id = strings.TrimSuffix(strings.TrimPrefix(text, "wolkvox-source "), "\n")
	random, err := hex.DecodeString(id)
	return id, err == nil && len(random) == 16 && formatMarker(hex.EncodeToString(random)) == text
}

func witnessDigest(root *os.Root, sourcePath string) (backup.Digest, error) {
	f, info, err := openRegular(root, sourcePath)
	if err != nil {
		return backup.Digest{}, bare(err)
	}
	defer f.Close()
	switch size := info.Size(); {
	case size == 0:
		return backup.Digest{}, errors.New("it is empty")
	case size > MaxWitnessBytes:
		return backup.Digest{}, fmt.Errorf("it has %d bytes, more than %d", size, MaxWitnessBytes)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(f, MaxWitnessBytes+1))
	if err != nil {
		return backup.Digest{}, bare(err)
	}
	return backup.Digest{SHA256: [sha256.Size]byte(sum.Sum(nil)), SizeBytes: n}, nil
}
