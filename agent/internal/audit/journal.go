package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/wolkvox/backup/internal/durable"
)

// Dir is the folder of the state directory in which audits keep their files.
const Dir = "audits"

// Position is how far an audit has come.
type Position struct {
	Options
	Began    time.Time `json:"began"`
	Manifest int64     `json:"manifest"` // items before this one were looked at
	Index    int64     `json:"index"`
	Counts   Counts    `json:"counts"` // of those
	// FindingsBytes is how much of the file of findings is about them.
	FindingsBytes int64 `json:"findings_bytes"`
}

// Journal is the files of one destination's audits:
//
//	NAME.position.json  how far the audit that is under way, or was interrupted, has come
//	NAME.findings       what it, or else the last one, found: one JSON object on each line
//	NAME.last.json      how the last one ended
//
// One audit at a time writes; Last may be called from any goroutine.
type Journal struct {
	dir, name string
	ageless   bool
	findings  *os.File
	buffer    *bufio.Writer
	written   int64
}

// NewJournal returns the journal of a destination in a folder that is made when it is needed.
func NewJournal(dir, name string) *Journal { return &Journal{dir: dir, name: name} }

// NewRounds returns the journal of a destination's rolling audit, whose rounds take as long as they take; its files are named
// NAME.round.
func NewRounds(dir, name string) *Journal {
	return &Journal{dir: dir, name: name + ".round", ageless: true}
}

func (j *Journal) path(suffix string) string { return filepath.Join(j.dir, j.name+suffix) }

// FindingsPath is where the findings are kept.
func (j *Journal) FindingsPath() string { return j.path(".findings") }

func (j *Journal) read(suffix string, into any) (bool, error) {
	text, err := os.ReadFile(j.path(suffix))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return false, fmt.Errorf("read what is kept of audits of %s: %w", j.name, err)
	}
	return true, nil
}

func (j *Journal) write(suffix string, value any) error {
	text, err := json.Marshal(value)
	if err == nil {
		err = os.MkdirAll(j.dir, 0o700)
	}
	if err == nil {
		err = durable.WriteFile(j.path(suffix), append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep how far the audit of %s has come: %w", j.name, err)
	}
	return nil
}

// maxAge is how old an interrupted audit may be that another one goes on with: what it found is looked at again before anything
// is signed, but what it did not find may have changed.
const maxAge = 7 * 24 * time.Hour

// Position returns how far the audit that is under way, or was interrupted, has come, and false where there is none.
func (j *Journal) Position() (Position, bool, error) {
	var p Position
	ok, err := j.read(".position.json", &p)
	return p, ok, err
}

// Begin begins an audit, or goes on with one that read, had the same options and was interrupted, unless fresh says not to. It
// returns how far that had come, and calls found with what it had found. What is kept and makes no sense is as none.
func (j *Journal) Begin(o Options, fresh bool, at time.Time, found func(Finding) error) (Position, error) {
	p, goOn, err := j.Position()
	if err != nil || !goOn || fresh || o.Level != Read || p.Options != o || !j.ageless && at.Sub(p.Began) > maxAge || at.Before(p.Began) {
		p = Position{Options: o, Began: at, Manifest: 1}
	}
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return Position{}, fmt.Errorf("keep what the audit of %s finds: %w", j.name, err)
	}
	file, err := os.OpenFile(j.FindingsPath(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return Position{}, fmt.Errorf("keep what the audit of %s finds: %w", j.name, err)
	}
	if info, statErr := file.Stat(); statErr == nil && info.Size() < p.FindingsBytes { // it is not the file that the position is about
		p = Position{Options: o, Began: at, Manifest: 1}
	}
	err = replay(file, p.FindingsBytes, found)
	if err == nil {
		err = file.Truncate(p.FindingsBytes)
	}
	if err == nil {
		_, err = file.Seek(p.FindingsBytes, io.SeekStart)
	}
	if err != nil {
		return Position{}, errors.Join(fmt.Errorf("keep what the audit of %s finds: %w", j.name, err), file.Close())
	}
	j.findings, j.buffer, j.written = file, bufio.NewWriter(file), p.FindingsBytes
	return p, nil
}

// replay calls found with the findings in the first bytes of a file.
func replay(r io.Reader, sizeBytes int64, found func(Finding) error) error {
	decoder := json.NewDecoder(bufio.NewReader(io.LimitReader(r, sizeBytes)))
	for {
		var f Finding
		err := decoder.Decode(&f)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = found(f)
		}
		if err != nil {
			return err
		}
	}
}

// Found keeps a finding. It is durable after the next [Journal.Keep].
func (j *Journal) Found(f Finding) error {
	text, err := json.Marshal(f)
	if err == nil {
		_, err = j.buffer.Write(append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keep what the audit of %s finds: %w", j.name, err)
	}
	j.written += int64(len(text)) + 1
	return nil
}

// Written returns how much has been written to the file of findings.
func (j *Journal) Written() int64 { return j.written }

// Keep makes durable how far the audit has come, and what it found until now.
func (j *Journal) Keep(p Position) error {
	err := j.buffer.Flush()
	if err == nil {
		err = j.findings.Sync()
	}
	if err != nil {
		return fmt.Errorf("keep what the audit of %s finds: %w", j.name, err)
	}
	return j.write(".position.json", p)
}

// Close releases the file of findings. An audit that has not ended goes on from what was kept last.
func (j *Journal) Close() error {
	if j.findings == nil {
		return nil
	}
	err := errors.Join(j.buffer.Flush(), j.findings.Close())
	j.findings, j.buffer = nil, nil
	if err != nil {
		return fmt.Errorf("keep what the audit of %s found: %w", j.name, err)
	}
	return nil
}

// End keeps how an audit ended in place of how far it had come.
func (j *Journal) End(r Report) error {
	if err := j.KeepLast(r); err != nil {
		return err
	}
	if err := os.Remove(j.path(".position.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("end the audit of %s: %w", j.name, err)
	}
	return nil
}

// KeepLast keeps how an audit ended that another one will go on with.
func (j *Journal) KeepLast(r Report) error { return j.write(".last.json", r) }

// Last returns how the last audit ended, and false where there was none.
func (j *Journal) Last() (Report, bool, error) {
	var r Report
	ok, err := j.read(".last.json", &r)
	return r, ok, err
}
