package source

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	f, err := openFolder(path)
	if err != nil {
		return Proof{}, fmt.Errorf("mark source %q: %w", path, err)
	}
	defer f.Close()
	return Prove(context.Background(), f, "")
}

// Witness makes a proof of a file that the folder at the absolute path holds, for trees into which nothing can
// be written. The file has at least one byte and at most [MaxWitnessBytes], and must stay as it is: when it
// changes or goes, the source counts as unreachable.
func Witness(path, sourcePath string) (Proof, error) {
	f, err := openFolder(path)
	if err != nil {
		return Proof{}, fmt.Errorf("add source %q: %w", path, err)
	}
	defer f.Close()
	return Prove(context.Background(), f, sourcePath)
}

// Prove makes the proof of what a driver has opened: of its file at sourcePath as [Witness] does, or, where that is empty,
// by a marker as [Mark] does.
func Prove(ctx context.Context, d Driver, sourcePath string) (Proof, error) {
	if sourcePath != "" {
		digest, err := witnessDigest(ctx, d, sourcePath)
		if err != nil {
			return Proof{}, fmt.Errorf("add source %q: file %q cannot prove it: %w: name another file", d, sourcePath, err)
		}
		return Proof{File: sourcePath, Digest: digest}, nil
	}
	id, err := readMarker(ctx, d)
	if errors.Is(err, fs.ErrNotExist) {
		id, err = writeMarker(ctx, d)
	}
	if err != nil {
		return Proof{}, fmt.Errorf("mark source %q: %w", d, err)
	}
	return Proof{MarkerID: id}, nil
}

func (p Proof) validate() error {
	if (p.MarkerID == "") == (p.File == "") {
		return errors.New("its proof names neither a marker nor a file, or both")
	}
	return nil
}

// check looks for the proof. Its errors do not hold the source's name.
func (p Proof) check(ctx context.Context, d Driver) error {
	if p.File != "" {
		digest, err := witnessDigest(ctx, d, p.File)
		if err != nil {
			return fmt.Errorf("its proof, the file %q: %w", p.File, err)
		}
		if digest != p.Digest {
			return fmt.Errorf("its proof, the file %q, is not the one that was named when the source was added", p.File)
		}
		return nil
	}
	id, err := readMarker(ctx, d)
	if err != nil {
		return err
	}
	if id != p.MarkerID {
		return fmt.Errorf("its marker %s is that of another source (%s instead of %s)", MarkerName, id, p.MarkerID)
	}
	return nil
}

// maxMarkerBytes is more than a marker has.
const maxMarkerBytes = 1024

// readMarker returns the id in the marker. The error wraps [fs.ErrNotExist] only where there is no marker.
func readMarker(ctx context.Context, d Driver) (string, error) {
	f, look, err := d.Open(ctx, MarkerName)
	if err != nil {
		return "", fmt.Errorf("its marker %s: %w", MarkerName, bare(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, 0, min(look.SizeBytes, maxMarkerBytes)))
	if err != nil {
		return "", fmt.Errorf("its marker %s: %w", MarkerName, bare(err))
	}
	id, ok := parseMarker(string(text))
	if !ok {
		return "", fmt.Errorf("its marker %s is damaged: put it back, or delete it and add the source again", MarkerName)
	}
	return id, nil
}

// writeMarker creates the marker.
func writeMarker(ctx context.Context, d Driver) (string, error) {
	var random [16]byte
	rand.Read(random[:])
	id := hex.EncodeToString(random[:])
	if err := d.Create(ctx, MarkerName, []byte(formatMarker(id))); err != nil {
		return "", fmt.Errorf("write its marker %s: %w: where nothing can be written, name one of its files as proof", MarkerName, err)
	}
	return id, nil
}

func formatMarker(id string) string { return "wolkvox-source " + id + "\n" }

func parseMarker(text string) (id string, ok bool) {
	id = strings.TrimSuffix(strings.TrimPrefix(text, "wolkvox-source "), "\n")
	random, err := hex.DecodeString(id)
	return id, err == nil && len(random) == 16 && formatMarker(hex.EncodeToString(random)) == text
}

func witnessDigest(ctx context.Context, d Driver, sourcePath string) (backup.Digest, error) {
	if !IsLocal(sourcePath) {
		return backup.Digest{}, errNotLocal
	}
	f, look, err := d.Open(ctx, sourcePath)
	if err != nil {
		return backup.Digest{}, bare(err)
	}
	defer f.Close()
	switch size := look.SizeBytes; {
	case size == 0:
		return backup.Digest{}, errors.New("it is empty")
	case size > MaxWitnessBytes:
		return backup.Digest{}, fmt.Errorf("it has %d bytes, more than %d", size, MaxWitnessBytes)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, io.NewSectionReader(f, 0, MaxWitnessBytes+1))
	if err != nil {
		return backup.Digest{}, bare(err)
	}
	return backup.Digest{SHA256: [sha256.Size]byte(sum.Sum(nil)), SizeBytes: n}, nil
}
