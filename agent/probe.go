package agent

import (
	"context"
	"errors"
	"log/slog"
	"os/user"
	"sync"
	"time"

	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/night"
	"github.com/wolkvox/backup/agent/internal/probe"
	"github.com/wolkvox/backup/agent/internal/uplink"
)

const (
	// checkPatience is how long one step of a check may take, at a destination or at the server.
	checkPatience = 20 * time.Second
	// answerLasts is for how long what the server answered a check is good for the checks of other destinations.
	answerLasts = 10 * time.Second
)

// newProbe returns what checks a destination.
func (a *Agent) newProbe(d *destination, logger *slog.Logger) *probe.Probe {
	place := d.config.Place
	name := ""
	if who, err := user.Current(); err == nil {
		name = who.Username
	}
	return probe.New(probe.Config{
		Name: d.config.Name, Location: d.config.Location(), Store: d.store, Faults: d.faults,
		Mounted: place.Directory != "", Login: place.Login != nil || place.SMB != nil || place.SFTP != nil || place.Rsync != nil && asksLogin(place.Rsync), User: name,
		JudgeKept: d.night.JudgeKept, Pending: d.night.Pending, Reserve: d.reserve,
		Ended:  func() bool { return errors.Is(d.night.Condition().Problem, night.ErrEnded) },
		Server: a.askServer, ServerAddress: a.who().Server, Now: a.now, ClockOffset: a.clock.Offset,
		CertificateEnd: func() time.Time { return a.who().Credential.Certificate.Leaf.NotAfter },
		Renewal: func() error {
			a.mu.Lock()
			defer a.mu.Unlock()
			return a.renewal
		},
		StateRoom: stateRoom(a.options.Config), Patience: checkPatience, Logger: logger,
	})
}

// asksLogin reports whether an rsync daemon or an SSH server is told who the agent is.
func asksLogin(r *config.Rsync) bool { return r.SSH != nil || r.User != "" }

// now returns the server's time as far as it is known.
func (a *Agent) now() time.Time {
	if at, ok := a.clock.Now(); ok {
		return at
	}
	return time.Now()
}

// serverAnswer keeps whether the server answered a check, for the checks of other destinations.
type serverAnswer struct {
	mu  sync.Mutex
	at  time.Time
	err error
}

// askServer sends a heartbeat for a check, and says why it was not answered, as exactly as can be found out.
func (a *Agent) askServer(ctx context.Context) error {
	s := &a.answer
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.at.IsZero() && time.Since(s.at) < answerLasts {
		return s.err
	}
	limited, cancel := context.WithTimeout(ctx, checkPatience/2)
	defer cancel()
	err := a.heartbeat(limited)
	if errors.Is(err, uplink.ErrUnreachable) || err != nil && limited.Err() != nil {
		if why := a.tryServer(ctx); why != nil {
			err = why
		}
	}
	s.at, s.err = time.Now(), err
	return err
}

// tryServer says why no connection to the server comes about; nil where one does.
func (a *Agent) tryServer(ctx context.Context) error {
	id := a.who()
	config, err := id.TLSConfig(a.judged)
	if err != nil {
		return err
	}
	return uplink.Handshake(ctx, id.Server, a.options.Config.Proxy, config)
}
