// Package witness is a transparency log witness (C2SP tlog-witness, https://c2sp.org/tlog-witness): it cosigns a checkpoint of
// a log that it was told to watch, if the checkpoint is signed by a key of that log and contains everything that it cosigned
// before. It knows nothing of what stands in the logs, keeps one checkpoint of each, and shares no code with server and agent but
// the text forms. It does not fetch logs: whoever wants a cosignature comes with a proof.
package witness

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/ledger"
)

// Errors that a submission ends with, beside those of a bad form.
var (
	errUnknownOrigin = errors.New("this witness does not watch the log")
	errUnknownKey    = errors.New("no key of the log signed the checkpoint")
	errProof         = errors.New("the proof does not show that the checkpoint contains what was cosigned before")
)

// A conflictError says that the old size is not that of the latest checkpoint, or that another root has that size.
type conflictError struct{ size int64 }

func (e *conflictError) Error() string {
	return fmt.Sprintf("the latest checkpoint that was cosigned has %d entries", e.size)
}

// Log is a log that is watched.
type Log struct {
	Origin string
	Keys   []note.Verifier // any of which signs its checkpoints
}

// Witness cosigns checkpoints. Its methods may be called concurrently.
type Witness struct {
	key  *ledger.SigningKey
	dir  string
	logs map[string]*watched
}

// watched is a log with its latest checkpoint, which a file holds.
type watched struct {
	verifiers note.Verifiers
	path      string

	mu     sync.Mutex // held from comparing to signing
	latest checkpoint // as the file has it
	broken error      // why nothing is known of the file: nothing is cosigned any more
}

// Open returns the witness with this key, whose state is below the directory. What was cosigned before is read from there; where
// that cannot be read, it is an error: a witness that forgot what it cosigned would cosign a fork.
func Open(dir string, key *ledger.SigningKey, logs []Log) (*Witness, error) {
	w := &Witness{key: key, dir: dir, logs: make(map[string]*watched)}
	for _, l := range logs {
		sum := sha256.Sum256([]byte(l.Origin))
		log := &watched{verifiers: note.VerifierList(l.Keys...), path: filepath.Join(dir, hex.EncodeToString(sum[:16])+".txt"), latest: checkpoint{origin: l.Origin, root: ledger.EmptyRoot()}}
		text, err := os.ReadFile(log.path)
		if err == nil {
			log.latest, err = readCheckpoint(text, l.Origin)
		} else if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if err != nil {
			return nil, fmt.Errorf("read what was cosigned of %s: %w; a witness whose state is lost begins anew with another key", l.Origin, err)
		}
		w.logs[l.Origin] = log
	}
	return w, nil
}

// readCheckpoint reads what [Witness.Add] kept.
func readCheckpoint(kept []byte, origin string) (checkpoint, error) {
	text, _, ok := bytes.Cut(kept, []byte("\n\n"))
	if !ok {
		return checkpoint{}, errors.New("the file is cut")
	}
	c, err := parseCheckpoint(append(text, '\n'))
	if err == nil && c.origin != origin {
		err = fmt.Errorf("it is of %s", c.origin)
	}
	return c, err
}

// Add judges a submission and returns the witness's signature line over the checkpoint. By then the checkpoint is durably the
// latest one of its log.
func (w *Witness) Add(s submission, at time.Time) ([]byte, error) {
	c, err := parseCheckpoint(checkpointText(s.note))
	if err != nil {
		return nil, err
	}
	log, ok := w.logs[c.origin]
	if !ok {
		return nil, errUnknownOrigin
	}
	opened, err := note.Open(s.note, log.verifiers)
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified), errors.As(err, &invalid):
		return nil, errUnknownKey
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errForm, err)
	case s.old > c.size:
		return nil, fmt.Errorf("%w: the old size %d is above the checkpoint's %d", errForm, s.old, c.size)
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	if log.broken != nil {
		return nil, log.broken
	}
	if err := log.latest.precedes(s.old, c, s.proof); err != nil {
		if s.old == log.latest.size {
			err = errors.Join(err, log.accuse(s, c))
		}
		return nil, err
	}
	if c.size > log.latest.size {
		if err := durable.WriteFile(log.path, kept(opened), 0o600); err != nil {
			log.broken = fmt.Errorf("keep the checkpoint of %s: %w; nothing of it is cosigned until the program starts again", c.origin, err)
			return nil, log.broken
		}
		log.latest = c
	}
	return w.key.CosignAsWitness([]byte(opened.Text), at), nil
}

// precedes says why a checkpoint is not known to contain the latest one, nil where it is.
func (latest checkpoint) precedes(old int64, c checkpoint, proof tlog.TreeProof) error {
	switch {
	case old != latest.size, old == c.size && c.root != latest.root:
		return &conflictError{latest.size}
	case old == 0 || old == c.size:
		if len(proof) != 0 {
			return errProof
		}
		return nil
	}
	if err := tlog.CheckTree(proof, c.size, c.root, latest.size, latest.root); err != nil {
		return errProof
	}
	return nil
}

// accuse keeps the first submission that a key of the log signed and that does not contain what was cosigned. One of the same
// size with another root is the proof of a fork; any other may come with a wrong proof.
func (log *watched) accuse(s submission, c checkpoint) error {
	path := log.path + ".refused"
	if c.size == log.latest.size {
		path = log.path + ".fork"
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.WriteFile(path, s.body, 0o600)
}

// kept is a note with those signatures alone that were verified.
func kept(n *note.Note) []byte {
	b := append([]byte(n.Text), '\n')
	for _, s := range n.Sigs {
		b = append(b, "— "+s.Name+" "+s.Base64+"\n"...)
	}
	return b
}
