package night

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/audit"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
	"github.com/wolkvox/backup/agent/internal/uplink"
	"github.com/wolkvox/backup/internal/ledger"
)

// at runs the parts of an agent whose configuration names the place so, until use returns.
func (m *machine) at(label string, use func(ctx context.Context, n *Night)) {
	m.t.Helper()
	ctx, cancel := context.WithCancel(m.t.Context())
	defer cancel()
	conn := m.peer.dial()
	defer conn.Close()
	log, err := m.db.Ledger(testOrigin)
	check(m.t, err)
	opener := desttest.WithFaults(m.disk, func(op desttest.Op, name string) (bool, error) {
		if err := m.answer(op, name); err != nil {
			return false, err
		}
		return m.outage.step(string(op))
	})
	if m.wrap != nil {
		opener = m.wrap(opener)
	}
	place, err := dest.New(opener, label, string(testOrigin))
	check(m.t, err)
	client, silent, room := uplink.NewClient(conn, &uplink.ServerClock{}), slog.New(slog.DiscardHandler), func() error { return nil }
	var n *Night
	session := uplink.NewSession(client, log, func(ctx context.Context) ([]byte, bool) { return n.KeptHead(ctx) }, room, silent)
	n = New(Config{
		Name: "nas", Log: log, Key: m.peer.agent, ServerKey: m.peer.known, Client: client, Session: session, Dest: place, Streams: 2,
		Reserve: func(dest.Space) int64 { return 0 }, Room: room, Patience: 30 * time.Second, Slog: silent,
		Audits: audit.NewJournal(m.audits, "nas"), Rounds: audit.NewRounds(m.audits, "nas"), Repair: m.repair, RetainDays: m.retain,
		Agreed: func(ctx context.Context) error {
			_, err := client.Heartbeat(ctx, uplink.Self{Version: "test"}, []uplink.Report{{Session: session}})
			return err
		},
	})
	var parts sync.WaitGroup
	parts.Go(func() { session.Run(ctx) })
	parts.Go(func() { n.Loop(ctx, closedWindow) })
	use(ctx, n)
	cancel()
	parts.Wait()
}

// answer is what the destination answers; one call at a time.
func (m *machine) answer(op desttest.Op, name string) error {
	m.refusing.Lock()
	defer m.refusing.Unlock()
	if m.refuse == nil {
		return nil
	}
	return m.refuse(op, name)
}

// refuseFrom changes what the destination answers while it is in use.
func (m *machine) refuseFrom(refuse func(op desttest.Op, name string) error) {
	m.refusing.Lock()
	defer m.refusing.Unlock()
	m.refuse = refuse
}

// move moves to the place that the configuration names so.
func (m *machine) move(label string, accept bool) (moved Moved, err error) {
	m.t.Helper()
	m.at(label, func(ctx context.Context, n *Night) { moved, err = n.Move(ctx, accept, func(Moving) {}) })
	return moved, err
}

// moving has so many recordings confirmed at a place, and returns their names.
func moving(t *testing.T, dir string, items int) (*machine, []string) {
	t.Helper()
	m := newMachine(t, newPeer(t), dir)
	names := recordings(items)
	m.peer.seal(names, contentOf)
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Fatal(outcome.Err)
	}
	return m, names
}

// bare returns a copy of a disk without the agent's own files.
func bare(disk *memdest.Disk) *memdest.Disk {
	other := memdest.New()
	for name, data := range disk.Files() {
		if !strings.HasPrefix(name, backup.OwnPrefix) {
			other.Plant(name, data)
		}
	}
	return other
}

func (m *machine) wantConfirmed(when string, confirmed int64) {
	m.t.Helper()
	if total, err := m.peer.log.Total(); err != nil || total[backup.Confirmed] != confirmed {
		m.t.Errorf("%s the server says %v, %v, want %d confirmed", when, total, err, confirmed)
	}
}

// TestMove takes a copy of the old place as the new one, with the agent's own files and without: what is there stays
// confirmed and is not pulled, what is missing is copied by the next pass, and only that.
func TestMove(t *testing.T) {
	t.Parallel()
	for name, copied := range map[string]func(*memdest.Disk) *memdest.Disk{"whole copy": (*memdest.Disk).Snapshot, "recordings only": bare} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, names := moving(t, "", 200)
			old := m.disk
			before := old.Files()
			m.disk = copied(old)
			m.disk.Remove(names[7])
			served := m.peer.served
			m.at("new", func(ctx context.Context, n *Night) {
				var last Moving
				moved, err := n.Move(ctx, false, func(so Moving) { last = so })
				want := Moved{Moving: Moving{Wanted: 200, Audited: 200, Lost: 1}}
				if err != nil || moved != want || last != want.Moving {
					t.Errorf("Move = %+v, %v, last seen %+v; want %+v", moved, err, last, want)
				}
				m.wantConfirmed("after the move", 199)
				if m.peer.served != served || n.Condition().Problem != nil || n.Condition().Running {
					t.Errorf("%d items were fetched, condition %+v", m.peer.served-served, n.Condition())
				}
				outcome, err := n.RunNow(ctx)
				if err != nil || !outcome.Complete || outcome.Progress.ConfirmedItems != 1 || m.peer.served != served+1 {
					t.Errorf("the next pass: %+v, %v, %d items were fetched", outcome, err, m.peer.served-served)
				}
				if moved, err := n.Move(ctx, false, func(Moving) {}); err != nil || !moved.Same || moved.Audited != 0 {
					t.Errorf("the move again: %+v, %v, want that it is the same place", moved, err)
				}
			})
			m.wantConfirmed("at the end", 200)
			m.check("at the end")
			if !maps.EqualFunc(before, old.Files(), func(a, b []byte) bool { return string(a) == string(b) }) {
				t.Error("the old place was touched")
			}
		})
	}
}

// TestRunAtCopy audits a copy under another name, though all that stands beside its marker is as it should be, and nobody asked for
// a move; and only once.
func TestRunAtCopy(t *testing.T) {
	t.Parallel()
	m, names := moving(t, "", 150)
	m.disk = m.disk.Snapshot()
	m.disk.Remove(names[99])
	served, read := m.peer.served, 0
	m.outage.hook = func(op string) {
		if op == string(desttest.OpOpen) {
			read++
		}
	}
	m.at("new", func(ctx context.Context, n *Night) {
		outcome, err := n.RunNow(ctx)
		if err != nil || !outcome.Complete || m.peer.served != served+1 || read < 150 {
			t.Errorf("the pass: %+v, %v, %d read, %d fetched", outcome, err, read, m.peer.served-served)
		}
		read = 0
		if outcome, err := n.RunNow(ctx); err != nil || !outcome.Complete || read > 0 {
			t.Errorf("the next pass: %+v, %v, %d read", outcome, err, read)
		}
	})
	m.check("at the end")
}

// TestMoveNowhere does nothing where the configured place is the one that it was before.
func TestMoveNowhere(t *testing.T) {
	t.Parallel()
	m, _ := moving(t, "", 3)
	before := m.disk.Files()
	m.outage.hook = func(op string) {
		if op == string(desttest.OpOpen) {
			t.Errorf("it did: %s", op)
		}
	}
	if moved, err := m.move("memory", false); err != nil || !moved.Same {
		t.Errorf("Move = %+v, %v", moved, err)
	}
	after := m.disk.Files()
	maps.DeleteFunc(after, func(name string, _ []byte) bool { return strings.HasPrefix(name, evidenceFolder) })
	if !maps.EqualFunc(before, after, func(a, b []byte) bool { return string(a) == string(b) }) {
		t.Error("the place was changed")
	}
}

// TestMoveAltered signs what is altered as lost, leaves it as it is, and says so.
func TestMoveAltered(t *testing.T) {
	t.Parallel()
	m, names := moving(t, "", 150)
	m.disk = m.disk.Snapshot()
	m.disk.Plant(names[3], []byte("somebody else's"))
	m.at("new", func(ctx context.Context, n *Night) {
		moved, err := n.Move(ctx, false, func(Moving) {})
		if err != nil || moved.Lost != 1 || moved.Altered != 1 {
			t.Errorf("Move = %+v, %v, want one altered", moved, err)
		}
		faults, err := n.Log.Faults(1)
		if err != nil || len(faults) != 1 || faults[0].Fault.Code != "CONFLICT" {
			t.Errorf("faults: %+v, %v, want one CONFLICT", faults, err)
		}
		if outcome, err := n.RunNow(ctx); err != nil || outcome.Complete {
			t.Errorf("the next pass: %+v, %v, want it incomplete", outcome, err)
		}
	})
	if got, _ := m.disk.Contents(names[3]); string(got) != "somebody else's" {
		t.Errorf("the altered file holds %q now", got)
	}
	m.wantConfirmed("at the end", 149)
}

// TestMoveRefused begins nothing where the place is another log's, away, or unfit, or the log is not this agent's to write.
func TestMoveRefused(t *testing.T) {
	t.Parallel()
	foreign := memdest.New()
	other, err := dest.New(foreign, "memory", strings.Replace(string(testOrigin), "nas", "tape", 1))
	check(t, err)
	_, err = other.Init(t.Context())
	check(t, err)
	away := memdest.New()
	away.Unplug()
	for name, test := range map[string]struct {
		disk   *memdest.Disk
		fails  string // an operation
		append ledger.Body
		want   error
	}{
		"foreign": {disk: foreign, want: dest.ErrForeignMarker},
		"away":    {disk: away, want: dest.ErrUnreachable},
		"unfit":   {fails: string(desttest.OpNewStage), want: dest.ErrUnsuitable},
		"ended":   {append: ledger.Retired{Reason: "ended"}, want: ErrEnded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := moving(t, "", 2)
			old := m.disk
			if m.disk = test.disk; m.disk == nil {
				m.disk = old.Snapshot()
			}
			if test.append != nil {
				m.peer.append(test.append)
			}
			m.outage.at, m.outage.only = 1, test.fails
			if test.fails == "" {
				m.outage.at = 0
			}
			m.outage.count = 0
			if moved, err := m.move("new", true); !errors.Is(err, test.want) {
				t.Errorf("Move = %+v, %v, want %v", moved, err, test.want)
			}
			m.wantConfirmed("afterwards", 2)
		})
	}
}

// TestMoveCutShort ends the process at every operation at the place, done or not done, but for the many reads of the audit, of
// which some. Whether the move is begun again or a pass comes first: what is missing is found, and nothing else is pulled.
func TestMoveCutShort(t *testing.T) {
	t.Parallel()
	for op, test := range map[desttest.Op]struct{ stride, atLeast int }{
		desttest.OpOpen: {49, 2}, desttest.OpReadOwn: {5, 2}, desttest.OpWriteOwn: {1, 4}, desttest.OpRemoveOwn: {1, 2},
		desttest.OpSync: {1, 1}, desttest.OpPublish: {1, 2}, desttest.OpSweep: {1, 1},
	} {
		t.Run(string(op), func(t *testing.T) {
			t.Parallel()
			cuts := 0
			for at := 1; !t.Failed(); at += test.stride {
				cut := moveCutAt(t, op, at, true, at%2 == 0)
				if !cut {
					break
				}
				moveCutAt(t, op, at, false, at%2 == 1)
				cuts++
			}
			if cuts < test.atLeast {
				t.Errorf("cut at %d operations only, want %d", cuts, test.atLeast)
			}
		})
	}
}

// moveCutAt lives through one move that is interrupted at an operation, and returns false where it has not so many of them.
func moveCutAt(t *testing.T, op desttest.Op, at int, done, again bool) bool {
	t.Helper()
	m, names := moving(t, "", 100)
	m.disk = m.disk.Snapshot()
	m.disk.Remove(names[42])
	served := m.peer.served
	m.outage.count, m.outage.at, m.outage.done, m.outage.only = 0, at, done, string(op)
	_, err := m.move("new", false)
	if !m.outage.off {
		if err != nil {
			t.Errorf("without an outage: %v", err)
		}
		return false
	}
	when := fmt.Sprintf("%s %d, done %v, again %v", op, at, done, again)
	m.cut(func() bool { return true })
	if again {
		if _, err := m.move("new", false); err != nil {
			t.Errorf("%s: the move again: %v", when, err)
		}
	}
	m.at("new", func(ctx context.Context, n *Night) {
		if outcome, err := n.RunNow(ctx); err != nil || !outcome.Complete {
			t.Errorf("%s: the pass after it ends with %+v, %v", when, outcome, err)
		}
	})
	if fetched := m.peer.served - served; fetched != 1 {
		t.Errorf("%s: %d were fetched, want the missing one", when, fetched)
	}
	m.wantConfirmed(when, 100)
	m.check(when)
	return true
}

// TestMoveCalledOff gives up a move to a place that has nothing of the old one while it is audited, tries it again and leaves
// the agent to itself: nothing is signed as lost that nobody accepted.
func TestMoveCalledOff(t *testing.T) {
	t.Parallel()
	m, _ := moving(t, "", 200)
	m.disk = memdest.New()
	m.at("new", func(ctx context.Context, n *Night) {
		given, giveUp := context.WithCancel(ctx)
		n.Move(given, false, func(Moving) { giveUp() })
		if _, err := n.Move(ctx, false, func(Moving) {}); !errors.Is(err, ErrMassLoss) {
			t.Errorf("the move again: %v, want ErrMassLoss", err)
		}
		for range 2 {
			if outcome, err := n.RunNow(ctx); err != nil || !errors.Is(outcome.Err, dest.ErrNoMarker) {
				t.Errorf("a pass after it: %+v, %v, want ErrNoMarker", outcome, err)
			}
		}
	})
	m.wantConfirmed("at the end", 200)
}
