package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// damagedNote says that the ledgers were found to be damaged while they were served: the next start sets them aside.
const damagedNote = "ledgers.damaged"

// errDamaged ends a server whose ledgers turned out to be damaged.
var errDamaged = errors.New("the ledgers are damaged: the next start sets them aside and recovers all of them from the agents")

// watchDamage looks through all ledgers whenever a read met damage, until ctx ends. Where they are damaged it says so to the
// next start, and ends this one.
func watchDamage(ctx context.Context, stateDir string, db *store.DB, sequencers *sequencer.Set, log *slog.Logger) error {
	for {
		select {
		case <-db.Damaged():
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for _, seq := range sequencers.All() {
			err := checkLedger(ctx, seq)
			if !errors.Is(err, store.ErrDamaged) {
				continue
			}
			log.LogAttrs(ctx, slog.LevelError, "a ledger is damaged", slog.String("origin", string(seq.Origin())), slog.Any("error", err))
			return errors.Join(errDamaged, err, writeNote(stateDir, damagedNote))
		}
	}
}

// checkLedger reads the entries and lines of a ledger. The error wraps [store.ErrDamaged] where something is unreadable, and
// the ledger was not cut back meanwhile.
func checkLedger(ctx context.Context, seq *sequencer.Sequencer) error {
	log := seq.Ledger()
	size, root := log.Position()
	err := readLedger(ctx, log, size)
	if now, gone := log.RootAt(size); err != nil && (gone != nil || now != root) {
		return nil
	}
	return err
}

func readLedger(ctx context.Context, log *store.Ledger, size int64) error {
	for _, err := range log.Entries(0, size) {
		if err = errors.Join(err, context.Cause(ctx)); err != nil {
			return err
		}
	}
	var manifests []ledger.Manifest
	log.View(func(l *ledger.Log) { manifests = l.Manifests })
	for _, m := range manifests {
		for _, err := range log.Lines(m.Number, 0) {
			if err = errors.Join(err, context.Cause(ctx)); err != nil {
				return fmt.Errorf("manifest %d: %w", m.Number, err)
			}
		}
	}
	return nil
}
