// Package probe tries, before the night, whether a destination would take a night's recordings, and says so in lines that
// a person can act on: the place and who the agent is to it, its marker and its history, writing and reading back, space, and
// the agent's own machine. It confirms nothing, overwrites nothing and leaves nothing behind, runs beside a night on a handle of
// its own, and repairs nothing. What an error means is for package fault to say.
package probe

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/agent/internal/night"
)

// What lines are about, in the order in which it is looked at.
const (
	SubjectPlace       = dest.SubjectPlace    // the place answers; who it takes the agent for
	SubjectPath        = "path"               // the configured path leads there: mounted, and for the service too
	SubjectAccount     = "account"            // the place takes the user and password, or key
	SubjectHostKey     = dest.SubjectHostKey  // the server is the one whose key is pinned
	SubjectProgram     = dest.SubjectProgram  // a program that is needed, and its version
	SubjectMarker      = "marker"             // it is the place of this log
	SubjectHistory     = "history"            // it has not gone back in time
	SubjectSpace       = "space"              // what is pending fits beside the reserve
	SubjectInodes      = "inodes"             // so many files fit
	SubjectQuota       = dest.SubjectQuota    // what this user may still store
	SubjectWrite       = "write"              // a file is written
	SubjectSync        = dest.SubjectSync     // and made durable
	SubjectRename      = dest.SubjectRename   // and takes a name without replacing
	SubjectReadBack    = "read-back"          // and reads back the same
	SubjectChecksum    = dest.SubjectChecksum // whether what the place says of its contents is believed
	SubjectDelete      = "delete"             // and can be deleted
	SubjectState       = "state"              // room on the volume of the agent's own state
	SubjectServer      = "server"             // wolkvox answers, and nobody is in between
	SubjectCertificate = "certificate"        // the agent's own, for wolkvox
	SubjectClock       = "clock"              // this machine's
)

// Config is what a Probe looks at. It is not changed after [New]. Functions may be called from any goroutine; those without a
// context answer at once.
type Config struct {
	Name     string // of the destination in the configuration
	Location string // for a person
	Mounted  bool   // the place is a path of this machine, which may not be mounted
	Login    bool   // the place asks who the agent is
	User     string // who the agent is on this machine, which is who a mounted place takes it for; empty where not known
	Store    *dest.Store
	Faults   fault.Teller // puts errors of the place into words

	JudgeKept func(night.Kept) error                     // see [night.Night.JudgeKept]
	Pending   func() (items, sizeBytes int64, err error) // what waits to be copied
	Reserve   func(dest.Space) int64                     // bytes that must stay free

	Ended func() bool // nothing is copied there any more, so that it is not checked by itself

	Server         func(ctx context.Context) error // asks wolkvox's server something; nil where it answers
	ServerAddress  string
	Now            func() time.Time             // the server's time as far as it is known
	ClockOffset    func() (time.Duration, bool) // this machine's clock less the server's; false where that was never heard
	CertificateEnd func() time.Time
	Renewal        func() error // why the certificate could not be renewed; nil where it could, or was not tried
	StateRoom      func() error // nil while the volume of the agent's own state has its reserve

	Patience time.Duration // how long one step at the place, or the server, may take
	Logger   *slog.Logger
}

// Probe checks one destination. Its methods may be called from any goroutine.
type Probe struct {
	Config
	turn chan struct{} // holds one while a check runs

	hung   *hung // a step of an earlier check that has not come back; owned by whoever has the turn
	mu     sync.Mutex
	last   backup.CheckReport // guarded by mu
	looked bool               // there was a check; guarded by mu
}

// New returns a Probe that has checked nothing.
func New(c Config) *Probe { return &Probe{Config: c, turn: make(chan struct{}, 1)} }

// Run makes one check and returns its report, which [Probe.Last] returns from then on. show is told of each line as it is
// found. Where the place hangs, the check does not. The error is that of ctx.
func (p *Probe) Run(ctx context.Context, show func(backup.CheckLine)) (backup.CheckReport, error) {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return backup.CheckReport{}, context.Cause(ctx)
	}
	server := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeoutCause(ctx, p.Patience, errSilent)
		defer cancel()
		server <- p.Server(ctx)
	}()
	c := &check{probe: p, show: show}
	c.place(ctx)
	c.machine(<-server)
	if ctx.Err() != nil {
		return backup.CheckReport{}, context.Cause(ctx)
	}
	report := backup.CheckReport{At: p.Now(), Lines: c.lines, Worst: backup.CheckGood}
	for _, line := range c.lines {
		report.Worst = max(report.Worst, line.Verdict)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.looked = report, true
	return report, nil
}

// Last returns the report of the last check, and false where there was none.
func (p *Probe) Last() (backup.CheckReport, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last, p.looked
}
