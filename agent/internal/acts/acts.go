// Package acts keeps the agent's own list of what people did by hand: who brought, fetched or declined which recordings, and
// when. It is a file of the state directory to which lines are only added, and the only place where a person is named: ledgers
// hold no names, since nothing can be erased from them. It judges nobody, and no secret is in it.
package acts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/wolkvox/backup/internal/durable"
)

// File is the file's name in the state directory.
const File = "acts.log"

// The acts.
const (
	Import = "import"
	Fetch  = "fetch"
	Waive  = "waive"
)

// MaxNameBytes is how long a name may be, in UTF-8.
const MaxNameBytes = 200

// Act is one line: what somebody asked for, written before the agent signs anything for it. Whether it came to pass, the ledger
// says.
type Act struct {
	Time        time.Time `json:"time"` // the server's, as far as the agent knows it; UTC, whole seconds
	Act         string    `json:"act"`
	Destination string    `json:"destination"`      // its name in the configuration
	Origin      string    `json:"origin"`           // of its log
	Manifest    int64     `json:"manifest"`         //
	Items       string    `json:"items"`            // indexes of the manifest, as the ledger writes sets
	Reason      string    `json:"reason,omitempty"` // of what was declined
	By          string    `json:"by,omitempty"`     // the name that was given
	User        string    `json:"user,omitempty"`   // of this machine, whose process asked; empty where the system does not say
}

// CheckName returns why a name cannot be kept.
func CheckName(name string) error {
	switch {
	case len(name) > MaxNameBytes:
		return fmt.Errorf("the name has %d bytes, and %d are allowed", len(name), MaxNameBytes)
	case !utf8.ValidString(name):
		return errors.New("the name is no UTF-8")
	case strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("the name has control characters, such as the end of a line")
	}
	return nil
}

// List is the file. It is safe for concurrent use within a process; the state directory belongs to one process at a time.
type List struct {
	path string
	mu   sync.Mutex
}

// Open returns the list in the state directory. It touches nothing.
func Open(stateDir string) *List { return &List{path: filepath.Join(stateDir, File)} }

// Add adds a line. After a nil error it is durable. What a crash left of a line before is ended, and stays as it is.
func (l *List) Add(a Act) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	a.Time = a.Time.UTC().Truncate(time.Second)
	line, err := json.Marshal(a)
	if err == nil {
		err = l.append(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write down who did what (%s): %w", l.path, err)
	}
	return nil
}

func (l *List) append(line []byte) (err error) {
	_, err = os.Lstat(l.path)
	isNew := errors.Is(err, fs.ErrNotExist)
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	whole, err := endsWhole(file)
	if err != nil {
		return err
	}
	if !whole {
		line = append([]byte{'\n'}, line...)
	}
	if _, err := file.Write(line); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if isNew {
		return durable.SyncDir(filepath.Dir(l.path))
	}
	return nil
}

// endsWhole reports whether a file is empty or ends with a line.
func endsWhole(file *os.File) (bool, error) {
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return err == nil, err
	}
	var last [1]byte
	if _, err := file.ReadAt(last[:], size-1); err != nil {
		return false, err
	}
	return last[0] == '\n', nil
}
