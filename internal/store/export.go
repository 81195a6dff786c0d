package store

import (
	"errors"
	"fmt"
	"io"

	"github.com/wolkvox/backup/internal/ledger"
)

// Export writes the ledger as plain files (proto/README.md, section 1.6). create is called with each file's path, with
// slashes, in turn, and the writer it returns is closed before the next. What is appended meanwhile is left out.
func (l *Ledger) Export(create func(path string) (io.WriteCloser, error)) error {
	s := l.state.Load()
	if err := l.export(s, create); err != nil {
		return fmt.Errorf("export the ledger %s: %w", l.origin, err)
	}
	return nil
}

func (l *Ledger) export(s *snapshot, create func(path string) (io.WriteCloser, error)) error {
	err := write(create, ledger.ExportedLedger, func(w io.Writer) error {
		i := int64(0)
		for leaf, err := range l.Entries(0, s.log.Size) {
			if err == nil {
				err = ledger.AppendExported(w, i, leaf)
			}
			if err != nil {
				return err
			}
			i++
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, m := range s.log.Manifests {
		err := write(create, ledger.ExportedManifest(m.Number), func(w io.Writer) error {
			for lines, err := range l.rawLines(m.Number, 0, m.Items) {
				if err == nil {
					_, err = w.Write(lines)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	head := s.agreed
	if h, _, err := ledger.ParseHead(s.head); head == nil && err == nil && h.Size <= s.log.Size {
		head = s.head
	}
	if head == nil {
		return nil
	}
	return write(create, ledger.ExportedHead, func(w io.Writer) error {
		_, err := w.Write(head)
		return err
	})
}

// write makes one file.
func write(create func(path string) (io.WriteCloser, error), path string, fill func(w io.Writer) error) error {
	w, err := create(path)
	if err != nil {
		return err
	}
	return errors.Join(fill(w), w.Close())
}
