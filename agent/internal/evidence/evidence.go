// Package evidence writes what a client and his auditor need to check a destination without anybody's software: the log, the
// manifests, the agreed heads and a SHA256SUMS per night, as plain files (proto/README.md, section 1.8). Files are only ever
// added: what is complete is never written again. It does not decide when, opens no destination, and signs nothing.
package evidence

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// Files is where evidence goes.
type Files interface {
	// Read returns a file's contents, fs.ErrNotExist only where it is truly absent.
	Read(ctx context.Context, name string) ([]byte, error)
	// Write makes a file of at most [dest.MaxOwnBytes], durably.
	Write(ctx context.Context, name string, data []byte) error
}

// Writer writes the evidence of one log. It is used by one goroutine at a time.
type Writer struct {
	log   *store.Ledger
	files Files
	// own is where the evidence is at its destination, for the lines about itself; empty in a kit, which is elsewhere.
	own    string
	wanted func(backup.Date) bool
	kit    bool
}

// DiffersError says that a file that is there is not what the log says. It is left as it is.
type DiffersError struct {
	Name string // of the file, in the [Folder]
}

// Error names the file.
func (e *DiffersError) Error() string { return "the evidence " + e.Name + " is not what the log says" }

// ErrAhead says that what is there goes on where the log here ends. It is left as it is.
var ErrAhead = errors.New("the evidence goes on where the log here ends")

// Folder returns the folder of a log's evidence among the agent's own files at a destination.
func Folder(origin ledger.Origin) string {
	return fmt.Sprintf("evidence/%s-%s/%s", origin.Tenant(), origin.Destination(), origin.LogID())
}

// NewWriter returns a writer of all that a log says, for files in its [Folder] at the destination.
func NewWriter(log *store.Ledger, files Files) *Writer {
	return &Writer{
		log: log, files: files, own: backup.OwnPrefix + "/" + Folder(log.Origin()),
		wanted: func(backup.Date) bool { return true },
	}
}

// Names of the files. Numbers have at least ten digits, so that names are in the order of what they hold.

func ledgerName(first int64) string { return fmt.Sprintf("ledger/%010d.txt", first) }

func manifestName(manifest, first int64) string {
	return fmt.Sprintf("manifests/%d/%010d.txt", manifest, first)
}

func headName(size int64) string { return fmt.Sprintf("heads/%010d.txt", size) }

func sumsName(night backup.Date, size int64, piece int) string {
	name := fmt.Sprintf("nights/%s/%010d/SHA256SUMS", night, size)
	if piece > 1 {
		name += fmt.Sprintf(".%04d", piece)
	}
	return name
}

// ownPath returns where a file of the evidence is at the destination.
func (w *Writer) ownPath(name string) string { return path.Join(w.own, name) }

// maxPieceBytes bounds a piece.
const maxPieceBytes = dest.MaxOwnBytes
