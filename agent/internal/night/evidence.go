package night

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/evidence"
	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/ledger"
)

// Evidence is how far the plain files at the destination reach that prove what is there.
type Evidence struct {
	Size    int64       // of the agreed head that they reach; 0 where nothing is known to be written
	Through backup.Date // the last night that they reach before the first one with something pending; zero where there is none
	Problem error       // why they do not reach further; nil where they are as they should be
}

// Evidence returns how far it reaches now, as far as this process or an earlier one knows.
func (n *Night) Evidence() Evidence {
	n.mu.Lock()
	e := n.evidence
	n.mu.Unlock()
	through, err := n.settledThrough(e.Size)
	e.Through = through
	if e.Problem == nil {
		e.Problem = err
	}
	return e
}

// keepEvidence writes evidence whenever a head was agreed, until ctx ends. Copying goes on meanwhile, whatever becomes of it.
func (n *Night) keepEvidence(ctx context.Context) {
	var left rest
	for {
		err := n.tryEvidence(ctx)
		if ctx.Err() != nil {
			return
		}
		left.after(err, time.Now())
		var again <-chan time.Time
		if err != nil {
			n.logWarn(ctx, "evidence not written", err)
			again = time.After(left.left(time.Now()))
		}
		select {
		case <-ctx.Done():
			return
		case <-n.agreedNow:
		case <-again:
		}
	}
}

// tellAgreed says that a head was agreed, without waiting for anybody.
func (n *Night) tellAgreed() {
	select {
	case n.agreedNow <- struct{}{}:
	default:
	}
}

// evidencePatience is how long a pass that somebody asked for waits for its evidence.
const evidencePatience = time.Minute

// awaitEvidence has the evidence written before somebody is told that all is done: a process that makes one pass ends with it.
func (n *Night) awaitEvidence(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, evidencePatience)
	defer cancel()
	if err := n.tryEvidence(ctx); err != nil {
		n.logWarn(ctx, "evidence not written", err)
	}
}

// tryEvidence is writeEvidence, by one goroutine at a time, and keeps why it could not be written.
func (n *Night) tryEvidence(ctx context.Context) error {
	select {
	case n.evidenceTurn <- struct{}{}:
		defer func() { <-n.evidenceTurn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err := n.writeEvidence(ctx)
	if ctx.Err() == nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.evidence.Problem = err
	}
	return err
}

// writeEvidence adds to the evidence what was agreed since.
func (n *Night) writeEvidence(ctx context.Context) error {
	if n.Log.Agreed() == nil {
		return nil
	}
	open := n.openPlace
	switch err := n.checkAssigned(); {
	case errors.Is(err, ErrEnded):
		open = n.openStore
	case err != nil:
		return nil // another agent writes it, or nobody knows who may
	}
	place, err := open(ctx)
	if errors.Is(err, errHalfMade) {
		return nil // when it is ended, another head is agreed
	}
	if err != nil {
		return err
	}
	defer place.Close()
	n.mu.Lock()
	before := n.evidence.Size
	n.mu.Unlock()
	size, err := evidence.NewWriter(n.Log, ownFolder{place, evidence.Folder(n.Log.Origin())}).Write(ctx, before)
	if differs, ok := errors.AsType[*evidence.DiffersError](err); ok {
		return n.differs(differs)
	}
	if errors.Is(err, evidence.ErrAhead) {
		return err
	}
	if err != nil {
		return n.atPlace(err)
	}
	n.mu.Lock()
	n.evidence.Size = size
	n.mu.Unlock()
	if size != before {
		n.Slog.LogAttrs(ctx, slog.LevelInfo, "evidence written", slog.Int64("entries", size))
		n.keepReached(ctx, size)
	}
	return nil
}

// differs says in the language of the configuration that somebody changed the evidence, and what to do.
func (n *Night) differs(err *evidence.DiffersError) error {
	sentence := "the evidence at %s differs from the ledger in %s: it is left as it is. Find out who changed it; then move the folder %s away, and it is written anew: %w"
	if n.Faults.Language == fault.Spanish {
		sentence = "la evidencia en %s difiere del registro en %s: se deja como está. Averigüe quién la cambió; después aparte la carpeta %s, y se escribirá de nuevo: %w"
	}
	return fmt.Errorf(sentence, n.Faults.Place, err.Name, backup.OwnPrefix+"/"+evidence.Folder(n.Log.Origin()), err)
}

// settledThrough returns the last of the nights sealed below size before the first one that has something pending now.
func (n *Night) settledThrough(size int64) (through backup.Date, err error) {
	var manifests []ledger.Manifest
	n.Log.View(func(log *ledger.Log) { manifests = append(manifests, log.Manifests...) })
	slices.SortStableFunc(manifests, func(a, b ledger.Manifest) int { return a.Night.Compare(b.Night) })
	var first backup.Date // that is not settled
	for _, m := range manifests {
		counts, err := n.Log.Counts(m.Number)
		if err != nil {
			return backup.Date{}, err
		}
		if first.IsZero() && (counts[backup.Pending] > 0 || m.SealedAt >= size) {
			first = m.Night
		}
	}
	for _, m := range manifests {
		if first.IsZero() || m.Night.Compare(first) < 0 {
			through = m.Night
		}
	}
	return through, nil
}

// recallEvidence reads how far an earlier process came. It only saves work: without it everything is compared again.
func recallEvidence(file string) (size int64) {
	if file == "" {
		return 0
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	size, err = strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0
	}
	return max(size, 0)
}

func (n *Night) keepReached(ctx context.Context, size int64) {
	if n.EvidenceFile == "" {
		return
	}
	if err := durable.WriteFile(n.EvidenceFile, strconv.AppendInt(nil, size, 10), 0o600); err != nil {
		n.logWarn(ctx, "how far evidence was written cannot be kept", err)
	}
}

// ownFolder is a folder among the agent's own files at a place.
type ownFolder struct {
	place  *dest.Place
	folder string
}

// Read implements evidence.Files.
func (f ownFolder) Read(ctx context.Context, name string) ([]byte, error) {
	return f.place.ReadOwn(ctx, dest.OwnFile(f.folder+"/"+name))
}

// Write implements evidence.Files.
func (f ownFolder) Write(ctx context.Context, name string, data []byte) error {
	return f.place.WriteOwn(ctx, dest.OwnFile(f.folder+"/"+name), data)
}
