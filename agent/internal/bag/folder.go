package bag

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/wolkvox/backup"
)

// Folder is a folder that somebody carried, open for reading: a bag, of which only the payload counts, or any other.
type Folder struct {
	root     *os.Root
	top      string                       // where the files are: "." or "data"
	declared map[string][sha256.Size]byte // what a bag's own manifest says, by path below top; nil for a plain folder
}

// Open opens a folder.
func Open(dir string) (*Folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f := &Folder{root: root, top: "."}
	if _, err := root.Lstat(declarationFile); err != nil {
		return f, nil
	}
	if info, err := root.Lstat(payloadDir); err != nil || !info.IsDir() {
		return f, nil
	}
	f.top, f.declared = payloadDir, make(map[string][sha256.Size]byte)
	if err := f.readManifest(); err != nil {
		return nil, errors.Join(fmt.Errorf("read the bag %s: %w", dir, err), root.Close())
	}
	return f, nil
}

// readManifest reads manifest-sha256.txt. A bag may have other manifests in its place, which say nothing here.
func (f *Folder) readManifest() error {
	file, err := openRegular(f.root, manifestFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	text, err := io.ReadAll(file)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	for line := range bytes.Lines(text) {
		sum, name, ok := parseManifestLine(strings.TrimRight(string(line), "\r\n"))
		if below, inside := strings.CutPrefix(name, payloadDir+"/"); ok && inside {
			f.declared[below] = sum
		}
	}
	return nil
}

// parseManifestLine reads a line: a digest in hexadecimal, white space, perhaps an asterisk, and a path.
func parseManifestLine(line string) (sum [sha256.Size]byte, name string, ok bool) {
	digest, name, ok := strings.Cut(line, " ")
	if n, err := hex.Decode(sum[:], []byte(digest[:min(len(digest), 2*sha256.Size)])); !ok || err != nil || n != sha256.Size || len(digest) != 2*sha256.Size {
		return sum, "", false
	}
	name = strings.TrimPrefix(strings.TrimLeft(name, " \t"), "*")
	return sum, path.Clean(decodePath(name)), true
}

// Close ends reading.
func (f *Folder) Close() error { return f.root.Close() }

// IsBag reports whether it is a bag.
func (f *Folder) IsBag() bool { return f.declared != nil }

// Entry is something that the folder holds.
type Entry struct {
	Name      string // its path below the folder, or below data/ of a bag, with slashes; any bytes
	SizeBytes int64
	Err       error // why it is left out: what is no regular file is not followed, and what cannot be read is told
}

// All yields what the folder holds, in the order of the names, directories left out.
func (f *Folder) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		fs.WalkDir(f.root.FS(), f.top, func(name string, entry fs.DirEntry, err error) error {
			below := strings.TrimPrefix(name, f.top+"/")
			if err != nil {
				if !yield(Entry{Name: below, Err: err}) {
					return fs.SkipAll
				}
				return fs.SkipDir
			}
			if entry.IsDir() {
				return nil
			}
			e := Entry{Name: below}
			info, err := entry.Info()
			switch {
			case err != nil:
				e.Err = err
			case !info.Mode().IsRegular():
				e.Err = errors.New("it is no regular file; links are not followed")
			default:
				e.SizeBytes = info.Size()
			}
			if !yield(e) {
				return fs.SkipAll
			}
			return nil
		})
	}
}

// Open opens a file.
func (f *Folder) Open(name string) (*os.File, error) {
	return openRegular(f.root, path.Join(f.top, name))
}

// Sum reads a file.
func (f *Folder) Sum(name string) (backup.Digest, error) { return sum(f.root, path.Join(f.top, name)) }

// Damaged reports whether a file has not the contents that the bag's own manifest says.
func (f *Folder) Damaged(name string, digest backup.Digest) bool {
	declared, ok := f.declared[name]
	return ok && declared != digest.SHA256
}

// Missing returns the paths that the bag's own manifest names and that are not there, ascending.
func (f *Folder) Missing() (names []string) {
	for name := range f.declared {
		if _, err := f.root.Lstat(path.Join(f.top, name)); errors.Is(err, fs.ErrNotExist) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
