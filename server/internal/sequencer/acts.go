package sequencer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/registry"
)

// acts returns the exact bytes of those entries from index from up to and without to in which people's acts stand. All others
// come again by themselves: what is sealed, withdrawn and closed from the ordinary rules, receipts from outboxes.
func (s *Sequencer) acts(from, to int64) (acts [][]byte, err error) {
	for leaf, err := range s.log.Entries(from, to) {
		if err != nil {
			return nil, err
		}
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			return nil, fmt.Errorf("read an entry of %s: %w", s.Origin(), err)
		}
		switch e.Body.(type) {
		case ledger.Assigned, ledger.Extended, ledger.Forgotten, ledger.Rekeyed, ledger.Retired:
			acts = append(acts, leaf)
		}
	}
	return acts, nil
}

// keepEvidence keeps a copy of the log before its last entries are cut off.
func (s *Sequencer) keepEvidence(ctx context.Context, entries int64, at time.Time) error {
	head, _, err := s.Head()
	if err == nil {
		err = s.haveRoom()
	}
	if err != nil {
		return err
	}
	where, err := s.evidence.Keep(ctx, s.log, head, at)
	if err != nil {
		return err
	}
	s.logger.LogAttrs(ctx, slog.LevelWarn, "entries that no agent ever held are replaced by an agent's", slog.String("origin", string(s.Origin())),
		slog.Int64("entries", entries), slog.String("evidence", where))
	return nil
}

// endRecovering says people's acts again that were cut off, retires a log that was restarted meanwhile, and ends the
// recovering. s.writing is held.
func (s *Sequencer) endRecovering(ctx context.Context, rec registry.Recovery, at time.Time) error {
	if err := s.sealAwaited(ctx, at); err != nil {
		return err
	}
	for _, leaf := range rec.Acts {
		if err := s.sayAgain(ctx, leaf, at); err != nil {
			return err
		}
	}
	if err := s.retireContinued(ctx, at); err != nil {
		return err
	}
	if err := s.update(func(rec *registry.Recovery) { rec.Recovering, rec.Wanted, rec.Acts = false, nil, nil }); err != nil {
		return err
	}
	size, _ := s.log.Position()
	s.logger.LogAttrs(ctx, slog.LevelInfo, "the log has recovered", slog.String("origin", string(s.Origin())), slog.Int64("size", size))
	return nil
}

// sealAwaited seals an empty manifest where the log ends in a withdrawn whose replacement was lost: what lies in the source
// now is sealed by the next look.
func (s *Sequencer) sealAwaited(ctx context.Context, at time.Time) error {
	var awaiting, withdrawn int64
	var night backup.Date
	var days int
	s.log.View(func(log *ledger.Log) {
		awaiting, withdrawn, days = log.Awaiting, int64(len(log.Manifests)), log.Genesis.WindowDays
		if m, ok := log.Manifest(withdrawn); ok {
			night = m.Night
		}
	})
	if awaiting == 0 {
		return nil
	}
	w, err := s.log.StageManifest(awaiting)
	if err != nil {
		return err
	}
	m := Manifest{Number: awaiting, Night: night, Deadline: at.UTC().Truncate(time.Second).AddDate(0, 0, days)}
	if m.Root, m.Items, m.Bytes, err = w.Commit(); err != nil {
		return err
	}
	return s.append(ctx, at, m.sealed())
}

// sayAgain appends a person's act as a new one, as far as the log as it is now leaves anything of it to say.
func (s *Sequencer) sayAgain(ctx context.Context, leaf []byte, at time.Time) error {
	e, err := ledger.ParseEntry(leaf)
	if err != nil {
		return fmt.Errorf("read an act of %s: %w", s.Origin(), err)
	}
	body, err := s.stillToSay(e.Body)
	if err != nil || body == nil {
		return err
	}
	err = s.append(ctx, at, body)
	if _, refused := errors.AsType[*ledger.RefusedError](err); refused || errors.Is(err, ErrOtherKey) {
		s.logger.LogAttrs(ctx, slog.LevelWarn, "an act was cut off and cannot be said again", slog.String("origin", string(s.Origin())),
			slog.String("kind", body.Kind().String()), slog.Any("error", err))
		return nil
	}
	return err
}

// stillToSay returns what is left of an act, nil for nothing.
func (s *Sequencer) stillToSay(body ledger.Body) (ledger.Body, error) {
	switch b := body.(type) {
	case ledger.Assigned:
		if _, key, _ := s.Assigned(); key == b.Request.AgentKey {
			return nil, nil
		}
	case ledger.Rekeyed:
		return s.stillToRekey(b)
	case ledger.Retired:
		if s.Retired() {
			return nil, nil
		}
	case ledger.Extended:
		if m, ok := s.Manifest(b.Manifest); ok && !b.Deadline.After(m.Deadline) {
			return nil, nil
		}
	case ledger.Forgotten:
		m, ok := s.Manifest(b.Manifest)
		if !ok || m.Root != b.Root {
			break // it is refused, and a person is told
		}
		states, err := s.log.States(b.Manifest)
		if err != nil {
			return nil, err
		}
		b.Indexes = b.Indexes.Difference(states.Items(backup.Forgotten))
		if b.Indexes.IsEmpty() {
			return nil, nil
		}
		return b, nil
	}
	return body, nil
}

// stillToRekey returns the change from the current key to the one that was to come, nil where the log has had that one since,
// or its private key is not here.
func (s *Sequencer) stillToRekey(b ledger.Rekeyed) (ledger.Body, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, err := s.readHistory()
	if err != nil {
		return nil, err
	}
	if s.keys[b.NewKey] == nil || slices.ContainsFunc(h.server, func(k since) bool { return k.key == b.NewKey }) {
		return nil, nil
	}
	return ledger.Rekeyed{OldKey: s.ServerKey(), NewKey: b.NewKey}, nil
}

// RebuildCatalog calls rebuild where entries were replaced or added from outside, and takes down that the catalog of the log
// fits it again. Until then the log is not [Sequencer.Ready]. rebuild may be called again, also after a crash.
func (s *Sequencer) RebuildCatalog(ctx context.Context, rebuild func(ctx context.Context) error) error {
	for {
		replaced := s.replaced.Load()
		rec, err := s.record()
		if err != nil || !rec.CatalogStale {
			return err
		}
		if err := rebuild(ctx); err != nil {
			return fmt.Errorf("make the catalog of %s again: %w", s.Origin(), err)
		}
		if done, err := s.catalogMade(replaced); done || err != nil {
			return err
		}
	}
}

// catalogMade is false where the log's end was replaced once more meanwhile.
func (s *Sequencer) catalogMade(replaced int64) (bool, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.replaced.Load() != replaced {
		return false, nil
	}
	return true, s.update(func(rec *registry.Recovery) { rec.CatalogStale = false })
}
