package uplink

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

// ErrSuperseded says that a later process of the same agent serves the destination. This one stops.
var ErrSuperseded = errors.New("another process of this agent began later and serves the destination; " +
	"if this machine was cloned, enrol one of the two anew")

// ErrUnreachable says that the server, or what lies on the way to it, does not answer.
var ErrUnreachable = errors.New("the server cannot be reached")

// Why the two sides do not come together; all but ErrOfferWanted want people.
var (
	// ErrOfferWanted says that the server's log does not contain what this agent or the destination holds.
	ErrOfferWanted = errors.New("the server does not know the head that this agent or the destination holds: " +
		"one of the sides went back in time")
	// ErrFork says that two histories of the log exist, each held by somebody.
	ErrFork = errors.New("the log of this destination has forked: somebody holds another history of it than this agent, both signed by the server; " +
		"nothing is signed until wolkvox has decided which one goes on: call wolkvox; the recordings at the destination stay as they are")
	// ErrTailLost says that nobody can supply a head that the destination keeps.
	ErrTailLost = errors.New("the end of the log is lost: the destination keeps a signed head that neither the server nor this agent can lead to; " +
		"nothing is signed until wolkvox has begun a new log: ask wolkvox for a join string and enroll with it; what is at the destination is then taken over and not fetched again")
	// ErrBadOffer says that the server refused what this agent holds of the log.
	ErrBadOffer = errors.New("the server refused the end of the log that this agent holds; nothing is signed meanwhile: call wolkvox")
	// ErrNoSession says that the server does not know the session of a call: it went back in time.
	ErrNoSession = errors.New("the server does not know this session any more: heads are compared again")
)

// KeptHead returns the agreed head kept at the destination, nil where there is none, and whether that is known: false
// where the destination cannot be read now.
type KeptHead func(ctx context.Context) (head []byte, known bool)

// Session keeps one log equal to the server's from the start of a process to its end. It is safe for concurrent
// use.
type Session struct {
	client    *Client
	log       *store.Ledger
	keptHead  KeptHead
	room      func() error
	slog      *slog.Logger
	processID [16]byte

	hurry chan struct{} // holds at most one wish not to wait for the next watch

	mu      sync.Mutex
	number  int64              // of the session; 0 before the first answer
	synced  bool               // an answer to a WatchLedger sent after this start, or the last Resync, was applied
	fatal   error              // why the session ended for good
	problem error              // why there is no watch now
	restart context.CancelFunc // ends the watch that is open
	// recovering is whether the server's log is, as it said when the watch was opened.
	recovering bool
	changed    chan struct{} // closed and replaced whenever one of the above changes
}

// NewSession prepares a session for log. room returns nil while the store may be written to.
func NewSession(client *Client, log *store.Ledger, keptHead KeptHead, room func() error, logger *slog.Logger) *Session {
	s := &Session{client: client, log: log, keptHead: keptHead, room: room, slog: logger, changed: make(chan struct{}), hurry: make(chan struct{}, 1)}
	rand.Read(s.processID[:]) // never fails (crypto/rand)
	return s
}

// How long to wait between attempts: a line that was cut is tried again soon, what people have to decide slowly.
const (
	retryFirst, retryLongest   = 250 * time.Millisecond, time.Minute
	peopleFirst, peopleLongest = 30 * time.Second, 15 * time.Minute
)

// Run keeps a watch open until ctx ends, returning nil, or it cannot go on: the session is superseded, or the store has
// to be opened again. Where the server lacks what this log holds, it is offered to the server. That the session is
// superseded is told to the server once.
func (s *Session) Run(ctx context.Context) error {
	retry := Backoff{Base: retryFirst, Max: retryLongest}
	people := Backoff{Base: peopleFirst, Max: peopleLongest}
	for {
		began := time.Now()
		err := s.watch(ctx)
		offered := errors.Is(err, ErrOfferWanted)
		if offered {
			err = s.handOver(ctx, err)
		}
		if ctx.Err() != nil {
			return nil
		}
		if fatal := s.note(err); fatal != nil {
			if errors.Is(fatal, ErrSuperseded) {
				s.saySuperseded(ctx)
			}
			return fatal
		}
		if !offered && (time.Since(began) > lasted || errors.Is(err, errResync)) {
			retry.Reset()
		}
		wait := &retry
		if ForPeople(err) {
			wait = &people
		} else {
			people.Reset()
		}
		if !errors.Is(err, errResync) {
			s.slog.LogAttrs(ctx, slog.LevelWarn, "watch ended", slog.Any("error", err))
		}
		if wait.WaitOr(ctx, err, s.hurry) != nil {
			return nil
		}
	}
}

// ForPeople reports whether err, a [Session.Problem], is one that people have to decide: trying again soon is of no use.
func ForPeople(err error) bool {
	return errors.Is(err, ErrFork) || errors.Is(err, ErrTailLost) || errors.Is(err, ErrBadOffer) || errors.Is(err, ErrOfferWanted) ||
		errors.Is(err, ErrSuperseded)
}

// lasted is how long a watch lasts that was not refused, but cut.
const lasted = 5 * time.Second

// note keeps why a watch ended, and returns why the session ends with it, if it does.
func (s *Session) note(err error) (fatal error) {
	s.update(func() {
		if s.fatal == nil && (errors.Is(err, ErrSuperseded) || errors.Is(err, store.ErrFailed) || errors.Is(err, store.ErrDamaged)) {
			s.fatal = err
		}
		if !errors.Is(err, errResync) {
			s.problem = err
		}
		fatal = s.fatal
	})
	return fatal
}

var errResync = errors.New("compare heads again")

// watch opens one WatchLedger and applies what it brings until it ends.
func (s *Session) watch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resync := false
	var fatal error
	s.update(func() {
		s.restart = func() { resync = true; cancel() }
		s.synced, fatal = false, s.fatal
	})
	if fatal != nil {
		return fatal
	}
	err := s.receive(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restart = nil
	if resync {
		return errResync
	}
	return err
}

func (s *Session) receive(ctx context.Context) error {
	kept, known := s.keptHead(ctx)
	size, root := s.log.Position()
	stream, err := openStream(ctx, s.client.ledger.WatchLedger, &backupv1.WatchLedgerRequest{
		Origin: string(s.log.Origin()), ProcessId: s.processID[:], Position: wire.Position(size, root), KeptHead: kept, KeptHeadKnown: known,
	})
	if err != nil {
		return err
	}
	defer stream.close()
	first, err := stream.next(callTimeout)
	if err != nil {
		return err
	}
	// The number is 0 for an agent that served the destination before: it may read why it does not any more.
	opened := first.GetOpened()
	if opened == nil || opened.GetSessionNumber() < 0 || opened.GetSize() < size {
		return errors.New("the server's first answer does not open a session")
	}
	if err := s.client.Clock.hear(opened.GetServerTime()); err != nil {
		return err
	}
	s.update(func() { s.number, s.problem, s.recovering = opened.GetSessionNumber(), nil, opened.GetRecovering() })
	if opened.GetRecovering() {
		again := time.AfterFunc(recoveringCheck, s.Resync)
		defer again.Stop()
	}
	s.caughtUp(ctx, opened.GetSize())
	for {
		message, err := stream.next(0)
		if err != nil {
			return err
		}
		batch := message.GetBatch()
		if batch == nil {
			return errors.New("the server sent a message of an unknown kind")
		}
		if err := s.apply(ctx, batch); err != nil {
			return err
		}
		s.caughtUp(ctx, opened.GetSize())
	}
}

// recoveringCheck is how long after a watch of a log that is recovering heads are compared again: the destination may
// then show the head that it keeps, and the server be done.
const recoveringCheck = time.Minute

// caughtUp takes note where the log has the size that the server's had when the watch of ctx was opened. A watch that
// [Session.Resync] ended proves nothing any more: it cancels ctx while it holds s.mu.
func (s *Session) caughtUp(ctx context.Context, opened int64) {
	size, _ := s.log.Position()
	s.update(func() {
		if size >= opened && ctx.Err() == nil {
			s.synced = true
		}
	})
}

// apply appends the entries of a batch if they lead from this log's head to the signed one.
func (s *Session) apply(ctx context.Context, batch *backupv1.EntryBatch) error {
	if err := s.room(); err != nil {
		return err
	}
	size, _ := s.log.Position()
	if batch.GetAfterSequence() != size {
		return fmt.Errorf("the server sent what follows entry %d, this log has %d entries", batch.GetAfterSequence(), size)
	}
	if len(batch.GetEntries()) == 0 {
		return s.keepHead(batch.GetHead())
	}
	var sealed []int64
	for i, leaf := range batch.GetEntries() {
		entry, err := ledger.ParseEntry(leaf)
		if err != nil {
			return fmt.Errorf("entry %d from the server: %w", size+int64(i), err)
		}
		if body, ok := entry.Body.(ledger.Sealed); ok {
			if err := s.readManifest(ctx, body.Manifest, body.Items); err != nil {
				return fmt.Errorf("read manifest %d: %w", body.Manifest, err)
			}
			sealed = append(sealed, body.Manifest)
		}
	}
	err := s.log.AppendTo(batch.GetHead(), batch.GetEntries()...)
	if errors.Is(err, store.ErrNoManifest) {
		// What was staged is of another history: the next attempt reads it from its first line.
		for _, n := range sealed {
			err = errors.Join(err, s.log.DropStaged(n))
		}
	}
	if err != nil {
		return fmt.Errorf("append %d entries from the server: %w", len(batch.GetEntries()), err)
	}
	return nil
}

// keepHead keeps a head that came without entries: it has to be of exactly this log.
func (s *Session) keepHead(note []byte) error {
	head, _, err := ledger.ParseHead(note)
	if err != nil {
		return fmt.Errorf("a head from the server: %w", err)
	}
	if size, root := s.log.Position(); head.Size != size || head.Root != root {
		return fmt.Errorf("the server signed a head of size %d without the entries that lead to it from %d: %w", head.Size, size, store.ErrOtherHistory)
	}
	return s.log.PutHead(note)
}

// errNoSession says that a call of a session was made before the server had opened one.
var errNoSession = errors.New("the server has not opened a session yet")

// Number returns the session's number for other calls, and false before there is one.
func (s *Session) Number() (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.number, s.number > 0
}

// Problem says why there is no watch now; nil where there is one, or none was tried yet.
func (s *Session) Problem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.fatal, s.problem)
}

// Recovering reports whether the server is recovering the log, as it said last: nothing is sealed or closed then.
func (s *Session) Recovering() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recovering && s.problem == nil
}

// Resync forgets that the log is caught up and compares heads anew.
func (s *Session) Resync() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.synced = false
	if s.restart != nil {
		s.restart()
	}
}

// WaitSynced returns when heads were compared and the log has caught up, which alone allows signing. Where that
// cannot be now it returns why, after patience has passed.
func (s *Session) WaitSynced(ctx context.Context, patience time.Duration) error {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case s.hurry <- struct{}{}:
	default:
	}
	for {
		s.mu.Lock()
		synced, fatal, problem, changed := s.synced && s.problem == nil, s.fatal, s.problem, s.changed
		s.mu.Unlock()
		switch {
		case fatal != nil:
			return fatal
		case synced:
			return nil
		}
		select {
		case <-changed:
		case <-timeout.C:
			if problem == nil {
				problem = errors.New("the server did not answer in time")
			}
			return problem
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Supersede ends the session for good: the server answered a call with this number that a later one began. Where this
// process has another number by now the later one is its own: the server went back in time, and gave it anew.
func (s *Session) Supersede(number int64) {
	s.update(func() {
		if s.number != number {
			return
		}
		s.fatal = ErrSuperseded
		if s.restart != nil {
			s.restart()
		}
	})
}

// meant is [sessionError] of an answer to a call with this number of the session; a session that was superseded ends with it, and one that
// the server does not know compares heads again.
func (s *Session) meant(err error, number int64) error {
	err = sessionError(err)
	switch {
	case errors.Is(err, ErrSuperseded):
		s.Supersede(number)
	case errors.Is(err, ErrNoSession):
		s.Resync()
	}
	return err
}

// saySuperseded tells the server, once, that this process was told that a later one began: a process that was killed
// never says so, and two that are alive are a machine and its clone. It is tried a few times where nobody answers.
func (s *Session) saySuperseded(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	size, root := s.log.Position()
	retry := Backoff{Base: retryFirst, Max: retryLongest}
	for retry.Attempts() < 3 {
		stream, err := openStream(ctx, s.client.ledger.WatchLedger, &backupv1.WatchLedgerRequest{
			Origin: string(s.log.Origin()), ProcessId: s.processID[:], Position: wire.Position(size, root), Superseded: true,
		})
		if err == nil {
			_, err = stream.next(callTimeout)
			stream.close()
		}
		if !errors.Is(err, ErrUnreachable) {
			return
		}
		if retry.Wait(ctx, err) != nil {
			return
		}
	}
}

func (s *Session) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}
