// Package night is the journey of a recording, from what the log says is pending to the head that both sides
// signed. [Night.Run] is one pass over it, in the order of the eight steps of docs/journey.md; [Night.Loop] begins
// passes when the nightly window opens or somebody asks. One Night serves one destination. It does not speak to
// the server itself (package uplink), nor write to destinations itself (package dest), nor classify what went
// wrong (package fault).
package night

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/audit"
	"github.com/wolkvox/backup/agent/internal/circuit"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/agent/internal/pace"
	"github.com/wolkvox/backup/agent/internal/uplink"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// Config is what a Night works with. It is not changed after [New].
type Config struct {
	Name string             // of the destination in the configuration
	Log  *store.Ledger      // the agent's copy of the log
	Key  *ledger.SigningKey // signs receipts and heads
	// ServerKey is the server's key of the log when the agent enrolled, which the client wrote down.
	ServerKey ledger.Verifier
	Client    *uplink.Client
	Session   *uplink.Session
	Dest      *dest.Store
	Streams   int                          // how many files are fetched at a time at most
	Limiter   *rate.Limiter                // bytes per second; may be changed by others while it runs
	Paused    func(at time.Time) bool      // whether nothing is to be copied by itself; nil for never
	Measured  func(bytesPerSecond int64)   // told at which rate a pass fetched; nil for nobody
	Reserve   func(space dest.Space) int64 // bytes that must stay free at the destination
	Room      func() error                 // nil while the volume of the agent's own state has its reserve
	Agreed    func(context.Context) error  // hands an agreed head to the server
	Faults    fault.Teller                 // puts faults into words
	// Circuit says when the destination is to be left alone; nil for one that nobody else has.
	Circuit *circuit.Breaker
	// Audits is where audits keep how far they came and what they found.
	Audits *audit.Journal
	// Rounds is the same for the rolling audit.
	Rounds *audit.Journal
	// Repair says that what an audit found altered is moved aside, so that the next pass copies it again.
	Repair bool
	// RetainDays is for how many days after its night the client's own retention keeps a recording; 0 for ever.
	RetainDays int
	// Zone returns the tenant's zone, nil where it is not known; nil for never known.
	Zone func() *time.Location
	// Patience is how long a pass waits for the server before it is given up.
	Patience time.Duration
	// EvidenceFile is where it is kept, beside the store, how far the evidence at the destination reaches; empty for nowhere.
	EvidenceFile string
	Slog         *slog.Logger
}

// Night copies the recordings of one destination. Run is called by one goroutine at a time; all other methods may
// be called from any.
type Night struct {
	Config
	pace     *pace.Controller // of what is fetched at a time
	requests chan chan<- Outcome
	wake     chan struct{} // holds at most one wish for a pass that nobody waits for
	moves    chan *move
	errands  chan errand
	// agreedNow holds at most one message that a head was agreed.
	agreedNow    chan struct{}
	evidenceTurn chan struct{} // holds one message while evidence is written

	auditing sync.Mutex // held by the audit that somebody asked for and that is under way
	slicing  sync.Mutex // held by the slice of the rolling audit that is being read
	receipts sync.Mutex // held while a receipt is made: what stands beside the marker follows the outbox
	marks    marks      // guarded by receipts
	forked   bool       // receipts are to be signed anew before any other; guarded by receipts

	mu        sync.Mutex
	progress  Progress
	suspicion *suspicion           // what one audit found in excess of what may be signed at once; nil where nothing waits
	scanned   int64                // entries up to here were looked at for `closed` and `withdrawn`
	closed    map[int64]bool       // manifests whose expired items are to be looked for at the destination
	withdrawn map[int64]ledger.Set // items that were withdrawn and may have been published before, per manifest
	// knownServer says that the log was seen to have had the server's key that this agent was enrolled with.
	knownServer bool
	altered     map[int64]ledger.Set // items that an audit found altered and that were not looked at since, per manifest
	suspects    map[int64]ledger.Set // items that met an error at the destination, per manifest
	swept       bool                 // staging of earlier processes was deleted
	running     bool
	problem     error // why the last pass could not do its work; nil where it could
	total       Progress
	// unsettled is why what is due between passes could not be done since the last one; nil where it could.
	unsettled error
	met       time.Time // when problem or unsettled was met, by the server's clock
	lastRun   time.Time
	evidence  Evidence
	restUntil time.Time // until when no pass begins by itself because of faults, by this process's own uptime
}

// Progress is how far a pass has come.
type Progress struct {
	WantedItems, ConfirmedItems, FaultItems int64
	WantedBytes, FetchedBytes               int64
}

// Outcome is how a pass ended.
type Outcome struct {
	Progress Progress
	Complete bool  // nothing is pending, nothing waits, and the head is agreed
	Err      error // why it ended early, or what keeps it from being complete
}

// New returns a Night that has not begun.
func New(c Config) *Night {
	if c.Circuit == nil {
		c.Circuit = circuit.New(nil, c.Faults, nil)
	}
	return &Night{Config: c, evidence: Evidence{Size: recallEvidence(c.EvidenceFile)}, pace: pace.New(c.Streams),
		requests: make(chan chan<- Outcome), wake: make(chan struct{}, 1), moves: make(chan *move), errands: make(chan errand),
		agreedNow: make(chan struct{}, 1), evidenceTurn: make(chan struct{}, 1),
		closed: make(map[int64]bool), withdrawn: make(map[int64]ledger.Set), altered: make(map[int64]ledger.Set), suspects: make(map[int64]ledger.Set)}
}

// Now returns the server's time, carried on by this process's own uptime, and what this machine's clock shows before the
// server was heard. Nothing that matters is decided before.
func (n *Night) Now() time.Time {
	if at, ok := n.Client.Clock.Now(); ok {
		return at
	}
	return time.Now()
}

// batchItems is how many items are taken up at a time.
const batchItems = 4096

// Run makes one pass: it copies what is pending until nothing more can be done now. Step 1, sealing, is the
// server's.
func (n *Night) Run(ctx context.Context) Outcome { return n.pass(ctx, newPass(n)) }

func (n *Night) pass(ctx context.Context, p *pass) Outcome {
	n.Slog.LogAttrs(ctx, slog.LevelInfo, "pass begins")
	n.begin()
	if p.forced {
		ctx = circuit.Force(ctx)
	}
	began := time.Now()
	err := p.run(ctx)
	outcome := n.end(p, errors.Join(err, p.hit(ctx, err)))
	n.measure(outcome.Progress.FetchedBytes, time.Since(began))
	if outcome.Complete && !p.onlyClosed {
		n.Circuit.Record(nil)
	}
	n.Slog.LogAttrs(ctx, slog.LevelInfo, "pass ends", slog.Bool("complete", outcome.Complete),
		slog.Int64("confirmed", outcome.Progress.ConfirmedItems), slog.Int64("faults", outcome.Progress.FaultItems),
		slog.Int64("fetched_bytes", outcome.Progress.FetchedBytes))
	return outcome
}

func (p *pass) run(ctx context.Context) error {
	n := p.night
	if err := n.Room(); err != nil {
		return err
	}
	// 2. Learn: the session takes in entries and manifests by itself; nothing is signed before it has caught up.
	if err := n.Session.WaitSynced(ctx, n.Patience); err != nil {
		return err
	}
	if err := n.checkAssigned(); errors.Is(err, ErrEnded) {
		return errors.Join(err, n.conclude(ctx))
	} else if err != nil {
		return err
	}
	if err := n.resume(ctx); err != nil {
		return err
	}
	if err := p.work(ctx); err != nil {
		if errors.Is(err, dest.ErrUnreachable) || errors.Is(err, errWentBack) || errors.Is(err, errKeptUnknown) {
			return err // nothing is sent before the destination was seen to be the place as it was
		}
		// What is in the outbox is true whatever went wrong afterwards.
		return errors.Join(err, n.deliver(ctx))
	}
	if err := n.deliver(ctx); err != nil {
		return err
	}
	// 8. Agree: sign the head that the log has now, and hand it over.
	if err := n.agree(ctx); err != nil {
		return err
	}
	return n.Agreed(ctx)
}

// work takes batch after batch through the steps 3 to 7. While one batch is made durable and read back, the next is
// already being fetched.
func (p *pass) work(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	finishing := finished(nil)
	defer func() { err = errors.Join(err, <-finishing) }()
	for {
		w, err := p.choose()
		if err != nil {
			return err
		}
		if w.empty() {
			if err := <-finishing; err != nil {
				finishing = finished(nil)
				return err
			}
			finishing = finished(nil)
			if again, err := p.awaitChange(ctx); err != nil || !again {
				return err
			}
			continue
		}
		// 3. Fetch: stage every file by its digest, out of sight.
		b, fetchErr := p.fetch(ctx, w)
		if err := <-finishing; err != nil {
			finishing = finished(nil)
			return errors.Join(err, fetchErr, b.discard())
		}
		// 4. Write, 5. verify, 6. publish, 7. confirm: also what came before the line broke.
		finishing = start(func() error { return b.finish(ctx) })
		if fetchErr != nil {
			return fetchErr
		}
	}
}

func finished(err error) chan error {
	done := make(chan error, 1)
	done <- err
	return done
}

// start runs f and returns where its error arrives; whoever starts receives it.
func start(f func() error) chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

func (n *Night) begin() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running, n.progress = true, Progress{}
}

func (n *Night) end(p *pass, err error) Outcome {
	counts, countErr := n.Log.Total()
	if err == nil {
		err = countErr
	}
	if err == nil {
		err = p.leftOver(counts[backup.Pending])
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running = false
	if p.byHand != nil && err == nil { // it says nothing of what is pending
		return Outcome{Progress: n.progress, Complete: true}
	}
	n.problem, n.unsettled, n.lastRun = err, nil, n.Now()
	n.met = n.lastRun
	if errors.Is(err, ErrPaused) { // as somebody wants it
		n.problem = nil
	}
	return Outcome{Progress: n.progress, Complete: err == nil, Err: err}
}

// Progress returns how far the pass that runs, or else the last one, has come.
func (n *Night) Progress() Progress {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.progress
}

// Total returns what all passes since the process started add up to.
func (n *Night) Total() Progress {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.total
}

// Condition is how a Night is doing.
type Condition struct {
	Running bool
	Problem error     // why the last pass did not complete, or what came after it could not be done; nil where all is well
	LastRun time.Time // when a pass last ended, by the server's clock; zero where none did
	// Fault is what hit the destination as a whole where that is the problem, whether or not it is left alone because of it;
	// nil where there is none.
	Fault *store.Fault
}

// Condition returns how it is doing now.
func (n *Night) Condition() Condition {
	n.mu.Lock()
	defer n.mu.Unlock()
	problem := n.problem
	if problem == nil {
		problem = n.unsettled
	}
	if size, _ := n.Log.Position(); problem == nil && size > 0 {
		problem = n.standing()
	}
	condition := Condition{Running: n.running, Problem: problem, LastRun: n.lastRun}
	if whole, ok := errors.AsType[*placeError](problem); ok {
		f := whole.fault
		condition.Fault = &store.Fault{Class: f.Class, Party: f.Party, Code: f.Code, Message: f.Message, Last: n.met, Attempts: 1}
	}
	return condition
}

func (n *Night) setUnsettled(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unsettled = err
	if n.problem == nil {
		n.met = n.Now()
	}
}

func (n *Night) count(change func(*Progress)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(&n.progress)
	change(&n.total)
}
