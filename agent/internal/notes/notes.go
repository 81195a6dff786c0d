// Package notes keeps, in one small file of the state directory, what has to outlive the agent's process and is in no
// ledger: for each destination the pause that a person asked for, and the rate that recordings came at. It is not in the
// store, which is set aside where it is damaged. It decides nothing: neither what a pause stops nor how long a run takes.
package notes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/wolkvox/backup/internal/durable"
)

// File is the file's name in the state directory.
const File = "notes"

// Pause says until when nothing is copied by itself.
type Pause struct {
	Until  time.Time // UTC, in whole seconds; zero for until somebody resumes
	Reason string    // of who asked for it; at most [MaxReasonBytes] of text on one line; may be empty
}

// Ended reports whether the pause is over at the given time.
func (p Pause) Ended(at time.Time) bool { return !p.Until.IsZero() && !at.Before(p.Until) }

// Note is what is kept of one destination.
type Note struct {
	Pause          *Pause // nil where there is none
	BytesPerSecond int64  // the rate of the last runs; 0 where none was measured
}

// Book is the file, and what it says. It is safe for concurrent use.
type Book struct {
	path string

	mu      sync.Mutex
	notes   map[string]Note // by the destination's name
	damaged error           // why the file could not be read; nil where it could, or somebody paused or resumed since
}

// Open reads the file in the state directory. One that cannot be understood is as none, and [Book.Problem] says so.
func Open(stateDir string) *Book {
	b := &Book{path: filepath.Join(stateDir, File), notes: make(map[string]Note)}
	text, err := os.ReadFile(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return b
	}
	if err == nil {
		b.notes, err = Parse(text)
	}
	if err != nil {
		b.notes = make(map[string]Note)
		b.damaged = fmt.Errorf("what was noted of pauses cannot be read (%s: %w): no destination is paused now; pause again what has to be", b.path, err)
	}
	return b
}

// Problem is a sentence for a person where the file could not be read, until somebody pauses or resumes.
func (b *Book) Problem() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.damaged
}

// Note returns what is kept of a destination, also a pause that has ended.
func (b *Book) Note(destination string) Note {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.notes[destination]
}

// Pause keeps a pause in place of the one before. After a nil error it is durable; after any other nothing has changed, as
// far as this process knows.
func (b *Book) Pause(destination string, p Pause) error {
	if err := p.Check(); err != nil {
		return fmt.Errorf("pause %s: %w", destination, err)
	}
	return b.change(destination, func(n *Note) { n.Pause = &p })
}

// Resume ends a pause, durably.
func (b *Book) Resume(destination string) error {
	return b.change(destination, func(n *Note) { n.Pause = nil })
}

// measuredWeight is the weight of the last run in the rate.
const measuredWeight = 0.25

// Measured takes a rate into the moving average of a destination, in bytes per second. A file that could not be read is
// left for people to see.
func (b *Book) Measured(destination string, bytesPerSecond int64) error {
	if bytesPerSecond <= 0 || b.Problem() != nil {
		return nil
	}
	return b.change(destination, func(n *Note) {
		if n.BytesPerSecond == 0 {
			n.BytesPerSecond = bytesPerSecond
		}
		n.BytesPerSecond = max(n.BytesPerSecond+int64(measuredWeight*float64(bytesPerSecond-n.BytesPerSecond)), 1)
	})
}

func (b *Book) change(destination string, edit func(*Note)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.notes[destination]
	after := before
	edit(&after)
	b.notes[destination] = after
	err := durable.WriteFile(b.path, Format(b.notes), 0o600)
	if err != nil {
		b.notes[destination] = before
		return fmt.Errorf("keep what is noted of %s: %w", destination, err)
	}
	b.damaged = nil
	return nil
}
