package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/wolkvox/backup/agent/internal/control"
	"github.com/wolkvox/backup/agent/internal/state"
	"github.com/wolkvox/backup/agent/internal/uplink"
	"github.com/wolkvox/backup/internal/store"
)

// steady is how long the parts run before a failure of the store counts as the first of a row.
const steady = 5 * time.Minute

// Run keeps all parts going until ctx ends, returning nil, or one of them fails. Where the store failed it is opened again,
// and where it is damaged set aside and filled anew, without a person.
func (a *Agent) Run(ctx context.Context, listener net.Listener) error {
	pause := uplink.Backoff{Base: time.Second, Max: time.Minute}
	for {
		began := time.Now()
		err := a.run(ctx, listener)
		if ctx.Err() != nil || !storeLost(err) {
			return err
		}
		if time.Since(began) > steady {
			pause.Reset()
		}
		if err := a.reopen(ctx, err, &pause); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if listener, err = control.Listen(a.options.Config.Socket, a.options.Config.SocketGroup); err != nil {
			return err
		}
	}
}

// storeLost reports whether err says that the store has to be opened again, or begun anew.
func storeLost(err error) bool {
	return errors.Is(err, store.ErrFailed) || errors.Is(err, store.ErrDamaged)
}

// watchDamage returns with the first damage that a read of the store meets, whoever reads, or with ctx.
func (a *Agent) watchDamage(ctx context.Context) error {
	select {
	case err := <-a.db.Damaged(): // an agent never cuts its log back
		return err
	case <-ctx.Done():
		return nil
	}
}

// open opens the store and builds the parts on it. Damage that shows only then is met in the same way as damage that the
// store shows by itself.
func (a *Agent) open(ctx context.Context) error {
	err := a.tryOpen(ctx)
	if !errors.Is(err, store.ErrDamaged) {
		return err
	}
	if err := a.discard(ctx, err); err != nil {
		return err
	}
	return a.tryOpen(ctx)
}

func (a *Agent) tryOpen(ctx context.Context) error {
	if err := stateRoom(a.options.Config)(); err != nil {
		return fmt.Errorf("%w: %w", store.ErrNoRoom, err)
	}
	db, aside, err := state.Open(ctx, a.options.Config.StateDir, store.Options{Logger: a.options.Logger, Room: stateRoom(a.options.Config), Fault: a.fault})
	a.troubles.setAside(aside, time.Now())
	if err != nil {
		return err
	}
	a.db = db
	if err := a.build(); err != nil {
		return errors.Join(err, a.Close())
	}
	return nil
}

// discard sets the store aside, which is closed.
func (a *Agent) discard(ctx context.Context, why error) error {
	aside, err := state.Discard(ctx, a.options.Config.StateDir, why, a.options.Logger)
	a.troubles.setAside(aside, time.Now())
	return err
}

// reopen closes the store and opens it again, because of why, as soon as that can be done. The parts have ended.
func (a *Agent) reopen(ctx context.Context, why error, pause *uplink.Backoff) error {
	a.options.Logger.LogAttrs(ctx, slog.LevelError, "the store has to be opened again", slog.Any("error", why))
	if err := a.Close(); err != nil {
		a.options.Logger.LogAttrs(ctx, slog.LevelWarn, "the store did not close well", slog.Any("error", err))
	}
	if errors.Is(why, store.ErrDamaged) {
		if err := a.discard(ctx, why); err != nil {
			return err
		}
	}
	for {
		if err := pause.Wait(ctx, why); err != nil {
			return err
		}
		err := a.open(ctx)
		if err == nil || errors.Is(err, store.ErrSchema) || errors.Is(err, state.ErrHeld) {
			return err
		}
		a.options.Logger.LogAttrs(ctx, slog.LevelError, "the store cannot be opened now", slog.Any("error", err))
	}
}
