package bag

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/wolkvox/backup/internal/durable"
)

// Field is a line of bag-info.txt (RFC 8493, section 2.2.2). The value is one line.
type Field struct{ Name, Value string }

// Finish describes the files, which are then the whole payload of the bag: those for which url returns something are not in the
// bag and are to be fetched from there; url may be nil. What was described before is described anew. A file that the payload has
// beyond files is [ErrOccupied].
func (w *Writer) Finish(files []File, url func(File) string, fields []Field) error {
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	if err := w.onlyThese(files); err != nil {
		return err
	}
	var sizeBytes int64
	toFetch := 0
	for _, f := range files {
		sizeBytes += f.Digest.SizeBytes
		if url != nil && url(f) != "" {
			toFetch++
		}
	}
	sums := make(map[string][sha256.Size]byte)
	write := func(name string, fill func(io.Writer) error) (err error) {
		sums[name], err = w.writeTag(name, fill)
		return err
	}
	err := write(manifestFile, func(out io.Writer) error {
		for _, f := range files {
			if _, err := io.WriteString(out, manifestLine(f.Digest.SHA256, path.Join(payloadDir, f.Path))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if toFetch > 0 {
		err = write(fetchFile, func(out io.Writer) error {
			for _, f := range files {
				if u := url(f); u != "" {
					if _, err := fmt.Fprintf(out, "%s %d %s\n", u, f.Digest.SizeBytes, encodePath(path.Join(payloadDir, f.Path))); err != nil {
						return err
					}
				}
			}
			return nil
		})
	} else if err = w.root.Remove(fetchFile); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	err = write(infoFile, func(out io.Writer) error {
		// Payload-Oxum: "OctetCount.StreamCount".
		for _, field := range append(fields, Field{"Payload-Oxum", fmt.Sprintf("%d.%d", sizeBytes, len(files))}) {
			if _, err := fmt.Fprintf(out, "%s: %s\n", field.Name, strings.NewReplacer("\r", " ", "\n", " ").Replace(field.Value)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	sums[declarationFile] = sha256.Sum256([]byte(declaration))
	var list strings.Builder
	for _, name := range []string{infoFile, declarationFile, fetchFile, manifestFile} {
		if sum, ok := sums[name]; ok {
			list.WriteString(manifestLine(sum, name))
		}
	}
	return durable.WriteFileIn(w.root, tagManifestFile, []byte(list.String()), 0o644)
}

// onlyThese looks whether the payload has nothing but files, which ascend by path.
func (w *Writer) onlyThese(files []File) error {
	return fs.WalkDir(w.root.FS(), payloadDir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		below := strings.TrimPrefix(name, payloadDir+"/")
		if _, ok := slices.BinarySearchFunc(files, below, func(f File, p string) int { return cmp.Compare(f.Path, p) }); !ok {
			return fmt.Errorf("%w (%s is none of what it is to hold)", ErrOccupied, name)
		}
		return nil
	})
}

// writeTag writes one of the files that describe the bag and returns its SHA-256.
func (w *Writer) writeTag(name string, fill func(io.Writer) error) (sum [sha256.Size]byte, err error) {
	file, err := w.root.OpenFile(partFile, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return sum, err
	}
	h := sha256.New()
	err = fillAndSync(file, h, fill)
	if err := errors.Join(err, file.Close()); err != nil {
		return sum, fmt.Errorf("write %s: %w", name, err)
	}
	if err := w.root.Rename(partFile, name); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), durable.SyncDirIn(w.root, ".")
}

func fillAndSync(file *os.File, h hash.Hash, fill func(io.Writer) error) error {
	out := bufio.NewWriter(io.MultiWriter(file, h))
	if err := fill(out); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return file.Sync()
}
