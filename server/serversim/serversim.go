// Package serversim is a server for simulations: the real sequencers and services over a registry and a store in memory,
// which can be killed at any commit and set back to older copies, and recordings that it seals, serves and takes back as
// the real sealer and the real content service do. It draws no schedules, checks nothing and has no transport.
package serversim

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/simgate"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/enroll"
	"github.com/wolkvox/backup/server/internal/heartbeatrpc"
	"github.com/wolkvox/backup/server/internal/ledgerrpc"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// Tenant is the only tenant.
const Tenant = "acme"

// Config is what a server is made from.
type Config struct {
	Source *Source
	Dir    string // where offers lie while they are taken in, and stores of ledgers where OnDisk is set
	OnDisk bool   // stores of ledgers are made in folders of Dir; otherwise in memory
	Logger *slog.Logger
	// Served, where set, is told of every item whose contents are about to be sent. It is called concurrently.
	Served func(origin ledger.Origin, item backup.Item)
	// Closed, where set, is told of manifests that were just closed, and of how long the server was up.
	Closed func(origin ledger.Origin, manifests []int64, uptime time.Duration)
}

// Server is a server. Its methods are called by one goroutine, if not said otherwise.
type Server struct {
	config   Config
	registry *registry.Registry
	db       *store.DB
	stores   int // how many were made in Dir
	gate     *simgate.Gate

	// Of the process that runs; nil and zero while none does.
	set     *sequencer.Set
	ledger  *ledgerrpc.Service
	beats   *heartbeatrpc.Service
	started time.Time
	cancel  context.CancelFunc
	ctx     context.Context
	running sync.WaitGroup

	kept    atomic.Int64
	sealing sync.Mutex
	checks  chan suspicion
}

// suspicion is what is to be read again.
type suspicion struct {
	origin   ledger.Origin
	manifest int64
	indexes  ledger.Set
}

// New returns a server on which nothing runs, with a tenant and nothing else.
func New(c Config) (*Server, error) {
	s := &Server{config: c, gate: &simgate.Gate{}}
	if err := s.Restore(&Copy{ledgers: &store.Snapshot{}}, true, true); err != nil {
		return nil, err
	}
	return s, s.registry.CreateTenant(registry.Tenant{Name: Tenant, TimeZone: "UTC"})
}

// AddDestination creates a destination, and returns its log's origin and server key. The server is up.
func (s *Server) AddDestination(name string) (ledger.Origin, ledger.Verifier, error) {
	d, err := s.registry.CreateDestination(Tenant, name, backup.StorageRSYNC, time.Now())
	if err != nil {
		return "", "", err
	}
	_, err = s.set.Add(s.ctx, d, time.Now())
	return d.Origin, d.ServerKey, err
}

// Admit lets an agent in for a destination, in place of the agent named replaces, which is empty where none serves yet.
func (s *Server) Admit(agent string, origin ledger.Origin, key *ledger.SigningKey, replaces string) error {
	if !s.Up() {
		return ErrDown
	}
	secret := sha256.Sum256([]byte(string(origin) + agent))
	var err error
	if until := time.Now().Add(time.Hour); replaces == "" {
		err = s.registry.CreateToken(secret, origin, until, time.Now())
	} else {
		err = s.registry.CreateReplacingToken(secret, origin, replaces, until, time.Now())
	}
	if err != nil {
		return err
	}
	applicant := registry.Applicant{Agent: registry.Agent{Tenant: Tenant, Name: agent}, AgentKey: key.Verifier()}
	if _, err := s.registry.Redeem(secret, applicant, time.Now()); err != nil {
		return err
	}
	return s.Assign(origin, key, replaces)
}

// Assign lets the agent with this key serve a destination from here on, in place of the agent named replaces.
func (s *Server) Assign(origin ledger.Origin, key *ledger.SigningKey, replaces string) error {
	request, err := ledger.SignRequest(origin, key)
	if err != nil {
		return err
	}
	seq, err := s.sequencer(origin)
	if err != nil {
		return err
	}
	return seq.Assign(s.ctx, request, replaces, time.Now())
}

// ErrDown says that no process of the server runs.
var ErrDown = errors.New("the server is down")

func (s *Server) sequencer(origin ledger.Origin) (*sequencer.Sequencer, error) {
	if !s.Up() {
		return nil, ErrDown
	}
	seq, ok := s.set.Of(origin)
	if !ok {
		return nil, fmt.Errorf("the log %s is not open", origin)
	}
	return seq, nil
}

// Extend gives all manifests of a log that have a deadline before then another half window.
func (s *Server) Extend(origin ledger.Origin) error {
	seq, err := s.sequencer(origin)
	if err != nil {
		return err
	}
	until := time.Now().Add(Window / 2).UTC().Truncate(time.Second)
	_, err = seq.Extend(s.ctx, ledger.ExtendedCourtesy, false, time.Now(), func(m ledger.Manifest, pending int64) (sequencer.Extension, bool) {
		return sequencer.Extension{Manifest: m.Number, Old: m.Deadline, New: until, PendingCount: pending}, m.Deadline.Before(until)
	}, nil)
	return err
}

// Rekey gives a log another server key.
func (s *Server) Rekey(origin ledger.Origin) error {
	seq, err := s.sequencer(origin)
	if err != nil {
		return err
	}
	next, err := s.registry.AddLogKey(origin)
	if err != nil {
		return err
	}
	return seq.Rekey(s.ctx, next, time.Now())
}

// Retire ends a log.
func (s *Server) Retire(origin ledger.Origin) error {
	seq, err := s.sequencer(origin)
	if err != nil {
		return err
	}
	return seq.Retire(s.ctx, ledger.RetiredEnded, time.Now())
}

// Start starts a process.
func (s *Server) Start(ctx context.Context) error {
	if s.set != nil {
		return errors.New("a process runs already")
	}
	ctx, cancel := context.WithCancel(ctx)
	s.gate = &simgate.Gate{Killed: cancel}
	set, err := sequencer.OpenSet(ctx, s.db, sequencer.Options{
		Registry: s.registry, Evidence: evidence{s}, Dir: filepath.Join(s.config.Dir, "offers"), Logger: s.config.Logger,
	}, time.Now())
	if err != nil {
		cancel()
		if s.gate.Closed() {
			return s.reopen() // it was killed while it started
		}
		return err
	}
	s.ctx, s.cancel, s.set, s.started = ctx, cancel, set, time.Now()
	s.checks = make(chan suspicion, 64)
	s.ledger = ledgerrpc.New(set, s.config.Logger)
	s.beats = heartbeatrpc.New(set, s.registry, s, s.config.Logger)
	s.running.Go(func() { s.work(ctx) })
	s.running.Go(func() { _ = s.beats.Run(ctx) })
	return nil
}

// Register registers the services of the process that runs.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	backupv1.RegisterLedgerServiceServer(r, s.ledger)
	backupv1.RegisterHeartbeatServiceServer(r, s.beats)
	backupv1.RegisterContentServiceServer(r, &contents{server: s})
}

// Guard returns the interceptors that every call passes.
func (s *Server) Guard() (grpc.UnaryServerInterceptor, grpc.StreamServerInterceptor) {
	guard := authz.Guard{Admission: enroll.NewAdmission(s.registry, s.set.Serves, noClones{}, s.config.Logger)}
	return guard.Unary, guard.Stream
}

// noClones is told of no agent: each has one certificate for ever.
type noClones struct{}

// Cloned implements [enroll.CloneReporter].
func (noClones) Cloned(string, string, string) {}

// Context ends with the process that runs.
func (s *Server) Context() context.Context { return s.ctx }

// Up reports whether a process runs that was not killed.
func (s *Server) Up() bool { return s.set != nil && !s.gate.Closed() }

// Kill ends the process at once.
func (s *Server) Kill() {
	if s.set != nil {
		s.gate.Close()
	}
}

// KillAt kills the process at its n-th commit from now, which is still done or not.
func (s *Server) KillAt(n int, done bool) { s.gate.Arm(n, done) }

// Reap waits for the end of a process that was killed, so that the next one can be started. Calls that it was
// answering have to be over.
func (s *Server) Reap() error {
	if s.set == nil || s.Up() {
		return nil
	}
	s.ledger.Stop()
	s.running.Wait()
	s.set, s.ledger, s.beats, s.ctx, s.cancel = nil, nil, nil, nil, nil
	if tried, _ := s.gate.Refused(); tried {
		return s.reopen()
	}
	return nil
}

// Close gives everything back. No process runs.
func (s *Server) Close() error { return errors.Join(s.db.Close(), s.registry.Close()) }

// Copy is an older copy of a server's state.
type Copy struct {
	registry *registry.Copy
	ledgers  *store.Snapshot
}

// Snapshot returns a copy of the state as it is now.
func (s *Server) Snapshot() (*Copy, error) {
	r, err := s.registry.Copy()
	if err != nil {
		return nil, err
	}
	l, err := s.db.Snapshot()
	return &Copy{r, l}, err
}

// Restore puts the registry, or the ledgers, or both, back to a copy; a nil copy of the ledgers is an empty store. No
// process runs.
func (s *Server) Restore(c *Copy, theRegistry, theLedgers bool) (err error) {
	if s.set != nil {
		return errors.New("a process runs")
	}
	if theRegistry {
		if s.registry != nil {
			if err := s.registry.Close(); err != nil {
				return err
			}
		}
		if s.registry, err = registry.OpenInMemory(c.registry); err != nil {
			return err
		}
	}
	if !theLedgers {
		return nil
	}
	if s.db != nil {
		if err := s.db.Close(); err != nil {
			return err
		}
	}
	s.stores++
	s.db, err = store.OpenSnapshot(s.storeDir(), s.options(), c.ledgers)
	return err
}

// Empty is a copy without any ledger.
func Empty() *Copy { return &Copy{ledgers: &store.Snapshot{}} }

func (s *Server) storeDir() string {
	if !s.config.OnDisk {
		return ""
	}
	return filepath.Join(s.config.Dir, fmt.Sprint(s.stores))
}

func (s *Server) options() store.Options {
	return store.Options{InMemory: !s.config.OnDisk, Small: true, Compactors: -1, Fault: func(point string) (bool, error) {
		return s.gate.Step("commit "+point, true)
	}}
}

// reopen opens the store again after a commit was refused, with what was committed before.
func (s *Server) reopen() error {
	s.gate = &simgate.Gate{}
	if !s.config.OnDisk {
		c, err := s.db.Snapshot()
		if err != nil {
			return err
		}
		return s.Restore(&Copy{ledgers: c}, false, true)
	}
	err := s.db.Close()
	if err == nil {
		s.db, err = store.Open(s.storeDir(), s.options())
	}
	return err
}

// SayRecovered makes all logs recover, as the operator does who starts a server from a backup. No process runs.
func (s *Server) SayRecovered() error {
	destinations, err := s.registry.Destinations("")
	if err != nil {
		return err
	}
	for _, d := range destinations {
		if _, err := s.registry.UpdateRecovery(d.Origin, func(rec *registry.Recovery) { rec.Recovering = true }); err != nil {
			return err
		}
	}
	return nil
}

// Alarms returns the kinds of alarms that stand for a log, and whether it recovers.
func (s *Server) Alarms(origin ledger.Origin) (kinds []string, recovering bool, err error) {
	all, err := s.registry.Alarms("")
	for _, a := range all {
		if a.Origin == origin {
			kinds = append(kinds, a.Kind.String())
		}
	}
	if err != nil {
		return nil, false, err
	}
	rec, err := s.registry.Recovery(origin)
	return kinds, rec.Recovering, err
}

// evidence counts what is kept of logs that were cut back.
type evidence struct{ server *Server }

// Keep implements what a sequencer wants of evidence.
func (e evidence) Keep(_ context.Context, log *store.Ledger, _ []byte, _ time.Time) (string, error) {
	e.server.kept.Add(1)
	return "memory", nil
}

// Kept returns how often a part of a log was cut off and kept.
func (s *Server) Kept() int64 { return s.kept.Load() }

// Ledger returns the server's copy of a log, to be read only.
func (s *Server) Ledger(origin ledger.Origin) (*store.Ledger, error) { return s.db.Ledger(origin) }
