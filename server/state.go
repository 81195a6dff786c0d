package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/internal/config"
	"github.com/wolkvox/backup/server/internal/evidence"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// openRegistry opens the registry. For a damaged one there is only the backup.
func openRegistry(stateDir string, log *slog.Logger) (*registry.Registry, error) {
	reg, err := registry.Open(filepath.Join(stateDir, registryDir), log)
	if errors.Is(err, registry.ErrDamaged) {
		return nil, fmt.Errorf("%w: move %s away and restore the server from its backup with `wolkvox-server restore`; the ledgers then come back from the agents",
			err, stateDir)
	}
	return reg, err
}

// openLedgers opens the ledgers. Damaged ones are set aside, and all of them recovered from the agents.
func openLedgers(ctx context.Context, c config.Config, reg *registry.Registry, log *slog.Logger) (*store.DB, *sequencer.Set, error) {
	if c.Recover {
		if err := writeNote(c.StateDir, recoverNote); err != nil {
			return nil, nil, err
		}
	}
	known, err := noted(c.StateDir, damagedNote)
	if err != nil {
		return nil, nil, err
	}
	cause := errDamaged
	if !known {
		db, sequencers, err := tryLedgers(ctx, c, reg, log)
		if !errors.Is(err, store.ErrDamaged) {
			return db, sequencers, err
		}
		cause = err
	}
	if err := setAside(ctx, c.StateDir, cause, log); err != nil {
		return nil, nil, err
	}
	if known {
		if err := removeNote(c.StateDir, damagedNote); err != nil {
			return nil, nil, err
		}
	}
	return tryLedgers(ctx, c, reg, log)
}

func tryLedgers(ctx context.Context, c config.Config, reg *registry.Registry, log *slog.Logger) (*store.DB, *sequencer.Set, error) {
	if err := markRecovering(ctx, c.StateDir, reg, log); err != nil {
		return nil, nil, err
	}
	db, err := store.Open(filepath.Join(c.StateDir, ledgersDir), store.Options{Logger: log, Room: stateRoom(c)})
	if err != nil {
		return nil, nil, err
	}
	sequencers, err := sequencer.OpenSet(ctx, db, sequencer.Options{
		Registry: reg, Evidence: evidence.NewFolder(filepath.Join(c.StateDir, evidenceDir)),
		Dir: filepath.Join(c.StateDir, offersDir), Room: stateRoom(c), Logger: log,
	}, time.Now())
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, sequencers, nil
}

// markRecovering has every log recover where a note says so. The note stays until all are marked: whatever happens in between,
// the next start goes on.
func markRecovering(ctx context.Context, stateDir string, reg *registry.Registry, log *slog.Logger) error {
	wanted, err := noted(stateDir, recoverNote)
	if err != nil || !wanted {
		return err
	}
	all, err := reg.Destinations("")
	if err != nil {
		return fmt.Errorf("recover the ledgers: %w", err)
	}
	for _, d := range all {
		_, err := reg.UpdateRecovery(d.Origin, func(rec *registry.Recovery) { rec.Begun, rec.Recovering = true, true })
		if err != nil {
			return fmt.Errorf("recover the ledger %s: %w", d.Origin, err)
		}
	}
	log.LogAttrs(ctx, slog.LevelWarn, "recovering all ledgers from the agents; nothing is sealed or closed until each was heard", slog.Int("ledgers", len(all)))
	return removeNote(stateDir, recoverNote)
}

// setAside keeps damaged ledgers under another name, once it is noted that all logs recover.
func setAside(ctx context.Context, stateDir string, cause error, log *slog.Logger) error {
	if err := writeNote(stateDir, recoverNote); err != nil {
		return err
	}
	to := filepath.Join(stateDir, asideName(ledgersDir, time.Now()))
	err := durable.RenameNoReplace(filepath.Join(stateDir, ledgersDir), to)
	if errors.Is(err, fs.ErrNotExist) { // an earlier start was interrupted behind this
		return nil
	}
	if err != nil {
		return fmt.Errorf("set the damaged ledgers aside: %w", errors.Join(err, cause))
	}
	if err := durable.SyncDir(stateDir); err != nil {
		return fmt.Errorf("set the damaged ledgers aside: %w", err)
	}
	log.LogAttrs(ctx, slog.LevelError, "the ledgers are damaged and were set aside; all come back from the agents",
		slog.String("kept", to), slog.Any("error", cause))
	return nil
}
