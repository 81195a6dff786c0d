package night

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/fault"
)

func errno(number int64) error {
	return &dest.CodeError{Space: dest.SpaceErrno, Number: number, Cause: fmt.Errorf("errno %d", number)}
}

// TestWhole ends a pass, and reports once, what hits the destination as a whole, wherever it is met, and goes on when it is over.
func TestWhole(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		op    desttest.Op
		errno int64
		class string
		items int // that may have faults of their own
	}{
		{"full while writing", desttest.OpWrite, 28, fault.ClassCapacity, 0},
		{"full while syncing", desttest.OpSync, 28, fault.ClassCapacity, 0},
		{"quota while closing", desttest.OpClose, 122, fault.ClassQuota, 0},
		{"full while publishing", desttest.OpPublish, 28, fault.ClassCapacity, 0},
		{"no inodes for a staging folder", desttest.OpNewStage, 28, fault.ClassCapacity, 0},
		{"gone while publishing", desttest.OpPublish, 116, fault.ClassDestLost, 0},
		{"may not publish", desttest.OpPublish, 13, fault.ClassPermission, 2},
		{"full when signing", desttest.OpWriteOwn, 28, fault.ClassCapacity, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPeer(t)
			m := newMachine(t, p, "")
			var well atomic.Bool
			m.refuse = func(op desttest.Op, name string) error {
				if op == test.op && !well.Load() {
					return errno(test.errno)
				}
				return nil
			}
			const count = 40
			p.seal(recordings(count), contentOf)
			err := m.loop(func(n *Night) {
				outcome, err := n.RunNow(t.Context())
				if err != nil || outcome.Complete || outcome.Progress.FaultItems > int64(test.items) {
					t.Fatalf("the pass ends with %+v, %v", outcome, err)
				}
				if f := fault.Of(outcome.Err); f.Class != test.class || !strings.Contains(outcome.Err.Error(), "estination") {
					t.Errorf("the pass ends with %v, which is %+v", outcome.Err, f)
				}
				left := n.LeftAlone()
				if left == nil || left.Fault.Class != test.class || n.Circuit.Left() <= 0 {
					t.Errorf("left alone is %+v", left)
				}
				whole, single := 0, 0
				p.mu.Lock()
				for _, f := range p.reported {
					if f.GetManifest() == 0 && len(f.GetIndexes()) == 0 && f.GetFault().GetClass() == test.class {
						whole++
					} else {
						single++
					}
				}
				p.mu.Unlock()
				if whole != 1 || single > test.items {
					t.Errorf("%d faults of the whole and %d of items were reported, want 1 and at most %d", whole, single, test.items)
				}
				well.Store(true)
				if outcome, err := n.RunNow(t.Context()); err != nil || !outcome.Complete || n.LeftAlone() != nil {
					t.Errorf("the next pass ends with %+v, %v; left alone: %+v", outcome, err, n.LeftAlone())
				}
			})
			if err != nil {
				t.Error(err)
			}
			m.check("at the end")
		})
	}
}

// TestWholeOnce shows what hit the destination as a whole though it is not left alone for it yet, until it is over.
func TestWholeOnce(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	var well atomic.Bool
	m.refuse = func(op desttest.Op, name string) error {
		if op == desttest.OpWriteOwn && !well.Load() {
			return errno(13)
		}
		return nil
	}
	p.seal(recordings(3), contentOf)
	err := m.loop(func(n *Night) {
		if f := n.Condition().Fault; f != nil {
			t.Errorf("before any pass: %+v", f)
		}
		if outcome, err := n.RunNow(t.Context()); err != nil || outcome.Complete || n.LeftAlone() != nil {
			t.Fatalf("the pass ends with %+v, %v; left alone: %+v", outcome, err, n.LeftAlone())
		}
		if f := n.Condition().Fault; f == nil || f.Class != fault.ClassPermission || f.Code != "EACCES" || !f.Last.Equal(n.Condition().LastRun) {
			t.Errorf("after the pass: %+v", f)
		}
		well.Store(true)
		if outcome, err := n.RunNow(t.Context()); err != nil || !outcome.Complete || n.Condition().Fault != nil {
			t.Errorf("the next pass ends with %+v, %v; the fault is %+v", outcome, err, n.Condition().Fault)
		}
	})
	if err != nil {
		t.Error(err)
	}
	m.check("at the end")
}

// TestFewBad copies everything else where a folder of the destination takes nothing, however its files lie in the night.
func TestFewBad(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	bad := 0
	names := recordings(40)
	for _, name := range names {
		if strings.HasPrefix(name, "calls/0/") {
			bad++
		}
	}
	m.refuse = func(op desttest.Op, name string) error {
		if op == desttest.OpPublish && strings.HasPrefix(name, "calls/0/") {
			return errno(13)
		}
		return nil
	}
	p.seal(names, contentOf)
	err := m.loop(func(n *Night) {
		var confirmed int64
		for range 20 { // as often as a person asks
			outcome, err := n.RunNow(t.Context())
			if err != nil || outcome.Complete {
				t.Fatalf("%+v, %v", outcome, err)
			}
			if confirmed += outcome.Progress.ConfirmedItems; confirmed == int64(len(names)-bad) {
				return
			}
		}
		t.Errorf("%d of %d were copied, %d cannot be", confirmed, len(names), bad)
	})
	if err != nil {
		t.Error(err)
	}
	m.check("at the end")
}

// TestBadDisk leaves a disk alone that spoils more than one file in a hundred, and not one that spoils a single one.
func TestBadDisk(t *testing.T) {
	t.Parallel()
	for spoiled, want := range map[int]bool{1: false, 12: true} {
		p := newPeer(t)
		m := newMachine(t, p, "")
		var count atomic.Int64
		m.refuse = func(op desttest.Op, name string) error {
			if op == desttest.OpPublish && count.Add(1)%3 == 0 && count.Load()/3 <= int64(spoiled) {
				return errno(5)
			}
			return nil
		}
		p.seal(recordings(40), contentOf)
		err := m.loop(func(n *Night) {
			if outcome, err := n.RunNow(t.Context()); err != nil || outcome.Complete {
				t.Fatalf("%+v, %v", outcome, err)
			}
			if left := n.LeftAlone(); (left != nil) != want {
				t.Errorf("with %d spoiled of 40: %+v", spoiled, left)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
}
