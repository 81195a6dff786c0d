package alerts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/wolkvox/backup/internal/durable"
)

const (
	lookEvery = 15 * time.Minute
	sendEvery = time.Minute
	// keptFor is how long is tried to deliver a message; after that newer ones say what it said.
	keptFor = 3 * 24 * time.Hour
	maxWait = time.Hour
	// stopGrace is how long a delivery may go on after the server was told to stop.
	stopGrace = 3 * time.Second
)

// Options are how alerts are given. All are required but Mailer, where no recipient has an address.
type Options struct {
	Recipients []Recipient
	Mailer     *Mailer
	Path       string // the file of what was told and what waits
	Look       func(ctx context.Context, at time.Time) ([]Alert, error)
	Logger     *slog.Logger
}

// Alerts tells people. It is for one goroutine.
type Alerts struct {
	Options
	state state
}

// Open takes up what was told and what waits.
func Open(o Options) (*Alerts, error) {
	a := &Alerts{Options: o}
	text, err := os.ReadFile(o.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &a.state)
	}
	if err != nil {
		return nil, fmt.Errorf("read who was alerted of what: %w", err)
	}
	return a, nil
}

// Run looks and delivers until ctx ends, whose cause it then returns.
func (a *Alerts) Run(ctx context.Context) error {
	if len(a.Recipients) == 0 {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	ticker := time.NewTicker(sendEvery)
	defer ticker.Stop()
	var looked time.Time
	for {
		now := time.Now()
		if now.Sub(looked) >= lookEvery {
			looked = now
			a.report(ctx, "alerts not looked for", a.LookOnce(ctx, now))
		}
		a.report(ctx, "alerts not kept", a.Deliver(ctx, time.Now()))
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (a *Alerts) report(ctx context.Context, message string, err error) {
	if err != nil && ctx.Err() == nil {
		a.Logger.LogAttrs(ctx, slog.LevelError, message, slog.Any("error", err))
	}
}

// LookOnce looks at the instant at and queues what has to be told. After it returned, what is queued is durable, together
// with the word that it was told: neither is lost or doubled by a restart. What could not be read is an error beside that.
func (a *Alerts) LookOnce(ctx context.Context, at time.Time) error {
	all, lookErr := a.Look(ctx, at)
	if err := ctx.Err(); err != nil {
		return err
	}
	if a.state.plan(a.Recipients, all, at) == 0 && lookErr == nil {
		return nil
	}
	return errors.Join(lookErr, a.save())
}

// Deliver tries what waits and is due at the instant at. A message is forgotten when the other side has taken it; a
// crash just between the two has it sent again with the same identifier.
func (a *Alerts) Deliver(ctx context.Context, at time.Time) error {
	noServer := false
	for i := 0; i < len(a.state.Queue) && ctx.Err() == nil; {
		m := &a.state.Queue[i]
		recipient, known := a.recipient(m.Recipient)
		if known && at.Sub(m.MadeAt) < keptFor {
			if m.NextTry.After(at) || noServer && recipient.Webhook == nil {
				i++
				continue
			}
			if err := a.send(ctx, recipient, *m, at); err != nil {
				noServer = noServer || errors.Is(err, errNoServer)
				m.Attempts++
				m.NextTry = at.Add(min(time.Minute<<min(m.Attempts-1, 10), maxWait)).UTC()
				a.Logger.LogAttrs(ctx, slog.LevelWarn, "alert not delivered", slog.String("recipient", m.Recipient), slog.Int("attempts", m.Attempts), slog.Any("error", err))
				if err := a.save(); err != nil {
					return err
				}
				i++
				continue
			}
			a.Logger.LogAttrs(ctx, slog.LevelInfo, "alert delivered", slog.String("recipient", m.Recipient), slog.String("id", m.ID), slog.Int("alerts", m.Count))
		}
		a.state.Queue = append(a.state.Queue[:i], a.state.Queue[i+1:]...)
		if err := a.save(); err != nil {
			return err
		}
	}
	return nil
}

// send delivers a message. One that is under way when ctx ends may still be taken within [stopGrace]: cut off, it would be
// sent twice.
func (a *Alerts) send(ctx context.Context, r Recipient, m Message, at time.Time) error {
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, cancel) })()
	ctx = lasting
	if r.Webhook != nil {
		return r.Webhook.send(ctx, m, at)
	}
	return a.Mailer.send(ctx, r.Mail, m)
}

func (a *Alerts) recipient(key string) (Recipient, bool) {
	for _, r := range a.Recipients {
		if r.Key() == key {
			return r, true
		}
	}
	return Recipient{}, false
}

func (a *Alerts) save() error {
	text, err := json.Marshal(a.state)
	if err == nil {
		err = durable.WriteFile(a.Path, text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep who was alerted of what: %w", err)
	}
	return nil
}
