// Package bag writes and reads folders that people carry: bags as RFC 8493 (BagIt 1.0) describes them, and plain folders. A bag
// has the files below data/, their SHA-256 in manifest-sha256.txt, and what describes them. It knows neither ledgers nor
// destinations, and judges no file: it says what a folder holds.
package bag

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/durable"
)

// The files of a bag (RFC 8493, section 2).
const (
	declarationFile = "bagit.txt"
	infoFile        = "bag-info.txt"
	manifestFile    = "manifest-sha256.txt"
	tagManifestFile = "tagmanifest-sha256.txt"
	fetchFile       = "fetch.txt"
	payloadDir      = "data"
	// partFile holds the file that is being written.
	partFile = ".unfinished"
)

// declaration is the contents of bagit.txt.
const declaration = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"

// File is one file of the payload.
type File struct {
	Path   string // below data/, with slashes
	Digest backup.Digest
}

// ErrOccupied says that a folder holds something else than a bag.
var ErrOccupied = errors.New("the folder is neither empty nor a bag: name another one")

// ErrDiffers says that a bag holds a file of other contents under the name.
var ErrDiffers = errors.New("the bag holds other contents under this name")

// Writer writes a bag, or goes on with one. It is used by one goroutine.
type Writer struct{ root *os.Root }

// Create begins a bag in a folder that is empty, or not there, or goes on with the bag that is in it.
func Create(dir string) (_ *Writer, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make a bag in %s: %w", dir, err), root.Close())
		}
	}()
	switch text, err := root.ReadFile(declarationFile); {
	case err == nil && string(text) == declaration:
	case err == nil:
		return nil, ErrOccupied
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	default:
		inside, err := fs.ReadDir(root.FS(), ".")
		if err != nil {
			return nil, err
		}
		if len(inside) > 0 {
			return nil, ErrOccupied
		}
		if err := durable.WriteFileIn(root, declarationFile, []byte(declaration), 0o644); err != nil {
			return nil, err
		}
	}
	if err := root.Mkdir(payloadDir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := root.Remove(partFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return &Writer{root}, nil
}

// Close ends writing, whether or not the bag was finished.
func (w *Writer) Close() error {
	err := w.root.Remove(partFile)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, w.root.Close())
}

// Has reports whether the bag holds a file with its contents, which it reads. [ErrDiffers] says that it holds another one.
func (w *Writer) Has(f File) (bool, error) {
	digest, err := sum(w.root, path.Join(payloadDir, f.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil && digest != f.Digest {
		err = ErrDiffers
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", f.Path, err)
	}
	return true, nil
}

// Begin begins a file, which appears in the bag when it is whole. Only one is written at a time.
func (w *Writer) Begin(f File) (*Part, error) {
	file, err := w.root.OpenFile(partFile, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &Part{writer: w, want: f, file: file, sum: sha256.New()}, nil
}

// Part is a file that is being written.
type Part struct {
	writer *Writer
	want   File
	file   *os.File
	sum    hash.Hash
	size   int64
}

// Write appends.
func (p *Part) Write(data []byte) (int, error) {
	n, err := p.file.Write(data)
	p.sum.Write(data[:n])
	p.size += int64(n)
	return n, err
}

// Commit ends the file, durably, and has it appear in the bag. It is backup.ErrDigest, and nothing appears, where what was
// written is not what is wanted; fs.ErrExist where something has the name.
func (p *Part) Commit() error {
	err := p.file.Sync()
	if err := errors.Join(err, p.file.Close()); err != nil {
		return err
	}
	if got := (backup.Digest{SHA256: [sha256.Size]byte(p.sum.Sum(nil)), SizeBytes: p.size}); got != p.want.Digest {
		return fmt.Errorf("%w: %s came as %v", backup.ErrDigest, p.want.Path, got)
	}
	name := path.Join(payloadDir, p.want.Path)
	if err := p.writer.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	if _, err := p.writer.root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", p.want.Path, fs.ErrExist)
	}
	if err := p.writer.root.Rename(partFile, name); err != nil {
		return err
	}
	return durable.SyncDirIn(p.writer.root, path.Dir(name))
}

// Drop gives up a file.
func (p *Part) Drop() error { return p.file.Close() }

// sum reads a regular file below a folder.
func sum(root *os.Root, name string) (digest backup.Digest, err error) {
	file, err := openRegular(root, name)
	if err != nil {
		return digest, err
	}
	h := sha256.New()
	digest.SizeBytes, err = io.Copy(h, file)
	digest.SHA256 = [sha256.Size]byte(h.Sum(nil))
	return digest, errors.Join(err, file.Close())
}

// openRegular opens a regular file that is no symbolic link.
func openRegular(root *os.Root, name string) (*os.File, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, durable.ErrNotRegular
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	after, err := file.Stat()
	if err == nil && !os.SameFile(before, after) {
		err = durable.ErrNotRegular
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// encodePath returns a path as manifests and fetch.txt have it: only CR, LF and % are encoded (RFC 8493, section 2.1.3).
func encodePath(p string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(p)
}

// decodePath undoes encodePath. What is not encoded so stays as it is: older programs leave % alone.
func decodePath(p string) string {
	return strings.NewReplacer("%25", "%", "%0D", "\r", "%0d", "\r", "%0A", "\n", "%0a", "\n").Replace(p)
}

func manifestLine(sum [sha256.Size]byte, name string) string {
	return hex.EncodeToString(sum[:]) + "  " + encodePath(name) + "\n"
}
