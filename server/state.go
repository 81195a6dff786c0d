package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/internal/config"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// state is what a server keeps, open.
type state struct {
	registry   *registry.Registry
	db         *store.DB
	sequencers *sequencer.Set
}

// openState opens what the state directory holds. Ledgers that are damaged are set aside and all of them recovered from the
// agents; for a damaged registry there is only the backup.
func openState(ctx context.Context, c config.Config, log *slog.Logger) (_ *state, err error) {
	reg, err := registry.Open(filepath.Join(c.StateDir, registryDir), log)
	if errors.Is(err, registry.ErrDamaged) {
		return nil, fmt.Errorf("%w: move %s away and restore the server from its backup with `wolkvox-server restore`; the ledgers then come back from the agents",
			err, c.StateDir)
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, reg.Close())
		}
	}()
	if c.Recover {
		if err := writeNote(c.StateDir, recoverNote); err != nil {
			return nil, err
		}
	}
	s, err := openLedgers(ctx, c.StateDir, reg, log)
	if !errors.Is(err, store.ErrDamaged) {
		return s, err
	}
	if err := setAside(ctx, c.StateDir, err, log); err != nil {
		return nil, err
	}
	return openLedgers(ctx, c.StateDir, reg, log)
}

// close releases all.
func (s *state) close() error { return errors.Join(s.db.Close(), s.registry.Close()) }

func openLedgers(ctx context.Context, stateDir string, reg *registry.Registry, log *slog.Logger) (*state, error) {
	if err := markRecovering(ctx, stateDir, reg, log); err != nil {
		return nil, err
	}
	db, err := store.Open(filepath.Join(stateDir, ledgersDir), store.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	sequencers, err := sequencer.OpenSet(ctx, reg, db, time.Now())
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &state{reg, db, sequencers}, nil
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
	if err := durable.RenameNoReplace(filepath.Join(stateDir, ledgersDir), to); err != nil {
		return fmt.Errorf("set the damaged ledgers aside: %w", errors.Join(err, cause))
	}
	if err := durable.SyncDir(stateDir); err != nil {
		return fmt.Errorf("set the damaged ledgers aside: %w", err)
	}
	log.LogAttrs(ctx, slog.LevelError, "the ledgers are damaged and were set aside; all come back from the agents",
		slog.String("kept", to), slog.Any("error", cause))
	return nil
}
