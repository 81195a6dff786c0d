package night

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/evidence"
	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/ledger"
)

// Evidence is how far the plain files at the destination reach that prove what is there.
type Evidence struct {
	Size    int64       // of the agreed head that they reach; 0 where nothing is known to be written
	Through backup.Date // the last night up to which nothing was pending then; zero where there is none
	Problem error       // why they do not reach further; nil where they are as they should be
}

// Evidence returns how far it reaches now.
func (n *Night) Evidence() Evidence {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.evidence
}

// keepEvidence writes evidence whenever a head was agreed, until ctx ends. Copying goes on meanwhile, whatever becomes of it.
func (n *Night) keepEvidence(ctx context.Context) {
	n.recallEvidence(ctx)
	var left rest
	for {
		err := n.writeEvidence(ctx)
		if ctx.Err() != nil {
			return
		}
		left.after(err, time.Now())
		var again <-chan time.Time
		if err != nil {
			n.logWarn(ctx, "evidence not written", err)
			again = time.After(left.left(time.Now()))
		}
		n.mu.Lock()
		n.evidence.Problem = err
		n.mu.Unlock()
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
	if err != nil {
		return err
	}
	defer place.Close()
	before := n.Evidence()
	size, err := evidence.NewWriter(n.Log, ownFolder{place, evidence.Folder(n.Log.Origin())}).Write(ctx, before.Size)
	if err != nil {
		return n.atPlace(err)
	}
	through, err := n.settledThrough(size)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.evidence.Size, n.evidence.Through = size, through
	n.mu.Unlock()
	if size != before.Size {
		n.Slog.LogAttrs(ctx, slog.LevelInfo, "evidence written", slog.Int64("entries", size), slog.String("through_night", through.String()))
		n.keepReached(ctx, size)
	}
	return nil
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
func (n *Night) recallEvidence(ctx context.Context) {
	if n.EvidenceFile == "" {
		return
	}
	text, err := os.ReadFile(n.EvidenceFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.logWarn(ctx, "how far evidence was written cannot be read", err)
	}
	size, err := strconv.ParseInt(strings.TrimSuffix(string(text), "\n"), 10, 64)
	if err != nil || size < 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.evidence.Size = size
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
