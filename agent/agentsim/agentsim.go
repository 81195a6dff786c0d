// Package agentsim is an agent's machine for simulations: the real parts of the agent, one process of them at a time, on a
// store and on shares in memory, which can be killed at any operation, set back to an older copy, cloned and replaced. It
// draws no schedules and checks nothing, and it knows no server: whoever starts a process gives it a connection.
package agentsim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/wolkvox/backup/agent/internal/uplink"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/simgate"
	"github.com/wolkvox/backup/internal/store"
)

// ErrKilled is why a process ended that was killed.
var ErrKilled = simgate.ErrKilled

// Destination is one destination of a machine.
type Destination struct {
	Name      string
	Origin    ledger.Origin
	Key       *ledger.SigningKey // the agent's own for this log
	ServerKey ledger.Verifier    // as written down when the agent enrolled
	Place     *Place
}

// Config is what a machine is made from.
type Config struct {
	Destinations []Destination
	Dir          string // where stores are made, each in a folder of its own; empty for stores in memory
	Logger       *slog.Logger
}

// Machine is an agent's machine. Its methods are called by one goroutine.
type Machine struct {
	config Config
	db     *store.DB
	stores int // how many were made in Dir
	clones int // how many were made

	// clockOffset is how wrong the machine's clock is, in nanoseconds. It is read when a process calls the server.
	clockOffset atomic.Int64

	process *process
}

// New returns a machine with an empty store on which nothing runs.
func New(c Config) (*Machine, error) {
	m := &Machine{config: c}
	return m, m.Restore(nil)
}

// process is one process of the agent, from its start to its end.
type process struct {
	ctx     context.Context // ends with it
	gate    simgate.Gate
	cancel  context.CancelFunc
	running sync.WaitGroup
	parts   []*part

	mu  sync.Mutex
	end error // why it ended by itself
}

// SetClock makes the machine's clock wrong by an offset. It may be called while a process runs.
func (m *Machine) SetClock(offset time.Duration) { m.clockOffset.Store(int64(offset)) }

// Start starts a process that calls the server over conn. The one before has ended and was reaped.
func (m *Machine) Start(ctx context.Context, conn grpc.ClientConnInterface) error {
	if m.process != nil {
		return errors.New("a process runs already")
	}
	p := &process{}
	ctx, p.cancel = context.WithCancel(ctx)
	p.ctx, p.gate.Killed = ctx, p.cancel
	m.process = p
	client := newLine(conn, p, func() time.Duration { return time.Duration(m.clockOffset.Load()) })
	beat := &heart{client: client, beating: make(chan struct{}, 1)}
	for _, d := range m.config.Destinations {
		part, err := newPart(m.db, p, d, beat, m.config.Logger)
		if err != nil {
			p.cancel()
			m.process = nil
			return err
		}
		p.parts = append(p.parts, part)
		beat.parts = append(beat.parts, part)
	}
	for _, part := range p.parts {
		p.run(func() error { return part.session.Run(ctx) })
		p.run(func() error { return part.night.Loop(ctx, part.window) })
	}
	p.run(func() error { beat.run(ctx); return nil })
	return nil
}

// run runs one part of the process; its error ends the process.
func (p *process) run(part func() error) {
	p.running.Go(func() {
		err := part()
		p.mu.Lock()
		defer p.mu.Unlock()
		if err != nil && p.end == nil && !p.gate.Closed() {
			p.end = err
			p.cancel()
		}
	})
}

// Kill ends the process at once.
func (m *Machine) Kill() {
	if m.process != nil {
		m.process.gate.Close()
	}
}

// KillAt kills the process at its n-th operation from now, which is still done or not.
func (m *Machine) KillAt(n int, done bool) {
	if m.process != nil {
		m.process.gate.Arm(n, done)
	}
}

// Up reports whether a process runs that was not killed and has not ended.
func (m *Machine) Up() bool {
	if m.process == nil {
		return false
	}
	m.process.mu.Lock()
	defer m.process.mu.Unlock()
	return m.process.end == nil && !m.process.gate.Closed()
}

// Reap waits for the end of a process that was killed or has ended by itself, so that the next one can be started, and
// returns why it ended; nil where one is up or none was started.
func (m *Machine) Reap() error {
	p := m.process
	if p == nil || m.Up() {
		return nil
	}
	p.running.Wait()
	m.process = nil
	tried, last := p.gate.Refused()
	err := p.end
	if err == nil {
		err = fmt.Errorf("%w at %s", ErrKilled, last)
	}
	if tried || errors.Is(err, store.ErrFailed) {
		return errors.Join(err, m.reopen())
	}
	return err
}

// IsSuperseded reports whether a process ended because a later one of the same agent began.
func IsSuperseded(err error) bool { return errors.Is(err, uplink.ErrSuperseded) }

// Stop ends the process, if there is one, and waits for it.
func (m *Machine) Stop() error {
	m.Kill()
	if err := m.Reap(); !errors.Is(err, ErrKilled) {
		return err
	}
	return nil
}

// Close gives everything back.
func (m *Machine) Close() error { return errors.Join(m.Stop(), m.db.Close()) }

// Snapshot returns a copy of the store as it is now.
func (m *Machine) Snapshot() (*store.Snapshot, error) { return m.db.Snapshot() }

// Restore replaces the store by a copy, or by an empty one where s is nil. No process runs.
func (m *Machine) Restore(s *store.Snapshot) error {
	if m.process != nil {
		return errors.New("a process runs")
	}
	if m.db != nil {
		if err := m.db.Close(); err != nil {
			return err
		}
	}
	dir := ""
	if m.config.Dir != "" {
		m.stores++
		dir = filepath.Join(m.config.Dir, fmt.Sprint(m.stores))
	}
	if s == nil {
		s = &store.Snapshot{}
	}
	var err error
	m.db, err = store.OpenSnapshot(dir, m.options(), s)
	return err
}

func (m *Machine) options() store.Options {
	return store.Options{InMemory: m.config.Dir == "", Small: true, Compactors: -1, Fault: func(point string) (bool, error) {
		if m.process == nil {
			return true, nil
		}
		return m.process.gate.Step("commit "+point, true)
	}}
}

// reopen opens the store again after a commit was refused, with what was committed before.
func (m *Machine) reopen() error {
	if m.config.Dir != "" {
		if err := m.db.Close(); err != nil {
			return err
		}
		var err error
		m.db, err = store.Open(filepath.Join(m.config.Dir, fmt.Sprint(m.stores)), m.options())
		return err
	}
	s, err := m.db.Snapshot()
	if err != nil {
		return err
	}
	return m.Restore(s)
}

// Clone returns a copy of the machine, on which nothing runs.
func (m *Machine) Clone() (*Machine, error) {
	s, err := m.db.Snapshot()
	if err != nil {
		return nil, err
	}
	c := m.config
	if c.Dir != "" {
		m.clones++
		c.Dir = filepath.Join(c.Dir, fmt.Sprintf("clone-%d", m.clones))
	}
	clone := &Machine{config: c}
	return clone, clone.Restore(s)
}

// Ledger returns the machine's copy of a log.
func (m *Machine) Ledger(o ledger.Origin) (*store.Ledger, error) { return m.db.Ledger(o) }

// Destinations returns what the machine serves.
func (m *Machine) Destinations() []Destination { return m.config.Destinations }

// Wake asks for a pass over every destination.
func (m *Machine) Wake() {
	if m.process != nil {
		for _, part := range m.process.parts {
			part.night.Wake()
		}
	}
}

// Problems returns what the parts of the process that runs say is wrong, by destination.
func (m *Machine) Problems() map[string]error {
	problems := make(map[string]error)
	if m.process == nil {
		return problems
	}
	for _, part := range m.process.parts {
		problems[part.Name] = errors.Join(part.session.Problem(), part.night.Condition().Problem)
	}
	return problems
}
