package night

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/schedule"
	"github.com/wolkvox/backup/agent/internal/uplink"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// TestRest leaves alone what met faults for longer each time, until it goes well again.
func TestRest(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	var r rest
	for i, bound := range []time.Duration{1, 2, 4, 8, 15, 15, 15} {
		r.after(errors.New("broken"), now)
		if most := bound * time.Minute * 9 / 8; r.until.Sub(now) < bound*time.Minute/8 || r.until.Sub(now) > most {
			t.Errorf("after fault %d it rests for %v, want at most %v", i+1, r.until.Sub(now), most)
		}
	}
	if r.after(nil, now); r != (rest{}) {
		t.Errorf("after a success it rests until %v", r.until)
	}
}

// closedWindow never lets a pass begin by itself.
func closedWindow() (schedule.Window, bool) { return schedule.Window{}, false }

// loop runs the parts of an agent between its passes, until use returns.
func (m *machine) loop(use func(n *Night)) error { return m.loopIn(closedWindow, use) }

// loopIn is loop with a window.
func (m *machine) loopIn(window func() (schedule.Window, bool), use func(n *Night)) error {
	m.t.Helper()
	ctx, cancel := context.WithCancel(m.t.Context())
	defer cancel()
	conn := m.peer.dial()
	defer conn.Close()
	log, err := m.db.Ledger(testOrigin)
	if err != nil {
		m.t.Fatal(err)
	}
	place, err := dest.New(m.opener(), "memory", string(testOrigin))
	if err != nil {
		m.t.Fatal(err)
	}
	client, silent := uplink.NewClient(conn, &uplink.ServerClock{}), slog.New(slog.DiscardHandler)
	room := func() error { return nil }
	session := uplink.NewSession(client, log, func(context.Context) ([]byte, bool) { return nil, false }, room, silent)
	n := New(Config{
		Name: "nas", Log: log, Key: m.peer.agent, ServerKey: m.peer.known, Client: client, Session: session, Dest: place, Streams: 1,
		Paused: m.paused, Measured: m.measured,
		Reserve: func(dest.Space) int64 { return 0 }, Room: room, Patience: 10 * time.Second, Slog: silent,
		Agreed: func(ctx context.Context) error {
			_, err := client.Heartbeat(ctx, uplink.Self{Version: "test"}, []uplink.Report{{Session: session}})
			return err
		},
	})
	var parts sync.WaitGroup
	parts.Go(func() { session.Run(ctx) })
	ended := make(chan error, 1)
	parts.Go(func() { ended <- n.Loop(ctx, window) })
	use(n)
	cancel()
	parts.Wait()
	return <-ended
}

// await waits until ok is true at one of the server's or the agent's changes.
func (m *machine) await(what string, ok func(log *store.Ledger) bool) {
	m.t.Helper()
	log, err := m.db.Ledger(testOrigin)
	if err != nil {
		m.t.Fatal(err)
	}
	for began := time.Now(); !ok(log); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			m.t.Fatalf("%s does not come", what)
		}
	}
}

// TestBetweenPasses agrees on what is appended and sends what waits, but copies nothing while no window is open. A pass is
// made when somebody asks.
func TestBetweenPasses(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	names := recordings(3)
	err := m.loop(func(n *Night) {
		agreed := func(log *store.Ledger) bool {
			size, _ := p.log.Position()
			head, _, err := ledger.ParseHead(log.Agreed())
			return err == nil && head.Size == size
		}
		m.await("the first agreement", agreed)
		p.seal(names, contentOf)
		m.await("the agreement on a new night", agreed)
		if p.served != 0 || !n.settled() || n.Condition().Problem != nil {
			t.Errorf("%d items were fetched, settled %v, problem %v", p.served, n.settled(), n.Condition().Problem)
		}
		outcome, err := n.RunNow(t.Context())
		if err != nil || !outcome.Complete || n.Total().ConfirmedItems != 3 {
			t.Errorf("the pass that was asked for: %+v, %v, in all %+v", outcome, err, n.Total())
		}
		m.disk.Unplug()
		p.append(ledger.Retired{Reason: "moved"})
		m.await("a problem", func(*store.Ledger) bool { return n.Condition().Problem != nil })
	})
	if err != nil {
		t.Errorf("Loop = %v, want nil when its time is over", err)
	}
	m.check("at the end")
}

// TestWaitingReceipts sends what an earlier process had signed and could not send, without a pass.
func TestWaitingReceipts(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	p.seal(recordings(2), contentOf)
	m.outage.at, m.outage.only, m.outage.done = 1, "write own", true // the power goes when the receipt was announced
	if outcome := m.life(t.Context()); outcome.Complete || !m.outage.off {
		t.Fatalf("the first process ends with %+v", outcome)
	}
	m.cut(func() bool { return true })
	if err := m.loop(func(n *Night) {
		p.seal(nil, contentOf)
		m.await("the receipt", func(*store.Ledger) bool {
			total, err := p.log.Total()
			return err == nil && total[backup.Confirmed] == 2
		})
	}); err != nil {
		t.Errorf("Loop = %v", err)
	}
	m.check("at the end")
}

// TestStoreFailed ends the loop where the store has to be opened again, and answers who asked.
func TestStoreFailed(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, t.TempDir())
	p.seal(recordings(1), contentOf)
	err := m.loop(func(n *Night) {
		m.await("the night", func(log *store.Ledger) bool { size, _ := log.Position(); return size == 3 && n.settled() })
		m.outage.mu.Lock()
		m.outage.off = true
		m.outage.mu.Unlock()
		for n.Condition().Problem == nil || !errors.Is(n.Condition().Problem, store.ErrFailed) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			outcome, err := n.RunNow(ctx)
			cancel()
			if err != nil || outcome.Complete {
				t.Fatalf("a pass without power: %+v, %v", outcome, err)
			}
		}
		time.Sleep(50 * time.Millisecond)
	})
	if !errors.Is(err, store.ErrFailed) {
		t.Errorf("Loop = %v, want ErrFailed", err)
	}
}

// TestHeadAhead signs no head of entries that are not here.
func TestHeadAhead(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Fatal(outcome.Err)
	}
	log, err := m.db.Ledger(testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	before := log.Agreed()
	ahead, err := ledger.SignHead(ledger.Head{Origin: testOrigin, Size: 100, Root: [32]byte{1}}, p.key)
	if err == nil {
		err = log.PutHead(ahead)
	}
	if err != nil {
		t.Fatal(err)
	}
	if outcome := m.life(t.Context()); outcome.Complete || outcome.Err == nil {
		t.Errorf("with a head of entries that never came a pass ends with %+v", outcome)
	}
	if string(log.Agreed()) != string(before) || string(m.disk.Files()[".wolkvox/head"]) != string(before) {
		t.Error("a head of entries that are not here was signed")
	}
}
