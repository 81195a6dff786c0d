// Package witnesses has third parties cosign the agreed heads of all ledgers (C2SP tlog-witness), and keeps what they sign
// beside them. It asks after the fact: no witness holds up a night, and nothing of what they say enters a ledger.
package witnesses

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/ledger"
)

const (
	interval    = 15 * time.Second // between rounds
	callTimeout = 10 * time.Second
)

// Log is a ledger whose agreed heads are to be cosigned. It may be called concurrently.
type Log interface {
	tlog.HashReader // of the log's tree
	// Origin names the log.
	Origin() ledger.Origin
	// Agreed returns the last agreed head, nil where there is none; the caller does not change it.
	Agreed() []byte
}

// Witness is a third party.
type Witness struct {
	URL string // to which /add-checkpoint is appended
	Key ledger.WitnessKey
}

// Options are what witnesses are asked with; all are required.
type Options struct {
	Dir       string // where cosigned heads are kept; made with the first
	Witnesses []Witness
	Logs      func() []Log
	Logger    *slog.Logger
}

// Witnesses asks for cosignatures. Its methods may be called concurrently.
type Witnesses struct {
	Options
	client *http.Client
}

// New returns the witnesses, of which none is asked before [Witnesses.Run].
func New(o Options) *Witnesses {
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Witnesses{Options: o, client: &http.Client{Timeout: callTimeout, CheckRedirect: refuse}}
}

// Run asks every witness for what it has not signed yet, again and again until ctx ends.
func (w *Witnesses) Run(ctx context.Context) error {
	var asking sync.WaitGroup
	for _, witness := range w.Witnesses {
		asking.Go(func() { w.ask(ctx, witness) })
	}
	asking.Wait()
	return nil
}

func (w *Witnesses) ask(ctx context.Context, witness Witness) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		w.Round(ctx, witness)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Round asks one witness for the heads of all logs that it has not signed yet. What goes wrong is logged and tried again in the
// next round; where the witness cannot be reached, the round ends.
func (w *Witnesses) Round(ctx context.Context, witness Witness) {
	for _, log := range w.Logs() {
		if ctx.Err() != nil {
			return
		}
		err := w.cosign(ctx, witness, log)
		if err == nil || ctx.Err() != nil {
			continue
		}
		level := slog.LevelWarn
		if errors.Is(err, errContradicts) {
			level = slog.LevelError
		}
		w.Logger.LogAttrs(ctx, level, "head not witnessed", slog.String("origin", string(log.Origin())), slog.String("witness", witness.Key.Name()), slog.Any("error", err))
		if errors.Is(err, errUnreachable) {
			return
		}
	}
}

// cosign asks for the last agreed head of a log, unless the witness has signed it.
func (w *Witnesses) cosign(ctx context.Context, witness Witness, log Log) error {
	head := log.Agreed()
	if head == nil {
		return nil
	}
	text := checkpointText(head)
	path := w.path(log.Origin(), witness)
	old := int64(0)
	kept, err := os.ReadFile(path)
	switch {
	case err == nil:
		if bytes.Equal(checkpointText(kept), text) {
			return nil
		}
		if h, _, err := ledger.ParseHead(serverSigned(kept)); err == nil {
			old = h.Size
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	line, err := w.submit(ctx, witness, log, head, old)
	if err != nil {
		return err
	}
	if err := durable.CreateDir(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(path, append(serverSigned(head), line...), 0o600)
}

// checkpointText returns what the signatures of a head are over.
func checkpointText(head []byte) []byte { return head[:bytes.Index(head, []byte("\n\n"))+1] }

// serverSigned returns a head with its first signature alone, the server's.
func serverSigned(head []byte) []byte {
	at := bytes.Index(head, []byte("\n\n")) + 2
	end := bytes.IndexByte(head[at:], '\n')
	return bytes.Clone(head[:at+end+1])
}

func (w *Witnesses) path(o ledger.Origin, witness Witness) string {
	return filepath.Join(w.folder(o), name(string(witness.Key))+".txt")
}

func (w *Witnesses) folder(o ledger.Origin) string { return filepath.Join(w.Dir, name(string(o))) }

func name(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// Witnessed returns what the witnesses of today signed last of a log, as witness.txt of an export has it (proto/README.md,
// section 1.9); of no bytes where they signed nothing.
func (w *Witnesses) Witnessed(o ledger.Origin) (text []byte, err error) {
	for _, witness := range w.Witnesses {
		note, err := os.ReadFile(w.path(o, witness))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read what %s signed of %s: %w", witness.Key.Name(), o, err)
		}
		text = append(fmt.Appendf(text, "witness %d\n", len(note)), note...)
	}
	return text, nil
}
