package night

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
)

// TestMoveToEmptyPlace signs nothing and leaves no marker where nothing is, however often it is found so: it may be a mount
// point. A person may accept it.
func TestMoveToEmptyPlace(t *testing.T) {
	t.Parallel()
	m, _ := moving(t, "", 12)
	m.disk = memdest.New()
	m.at("new", func(ctx context.Context, n *Night) {
		for range 2 {
			moved, err := n.Move(ctx, false, func(Moving) {})
			if !errors.Is(err, ErrMassLoss) || moved.Lost != 12 || moved.Wanted != 12 {
				t.Errorf("Move = %+v, %v, want ErrMassLoss", moved, err)
			}
			if files := m.disk.Files(); len(files) != 0 {
				t.Errorf("at the empty place are now %v", slices.Collect(maps.Keys(files)))
			}
			if outcome, err := n.RunNow(ctx); err != nil || !errors.Is(outcome.Err, dest.ErrNoMarker) {
				t.Errorf("a pass: %+v, %v, want ErrNoMarker", outcome, err)
			}
			m.wantConfirmed("before it was accepted", 12)
		}
		if moved, err := n.Move(ctx, true, func(Moving) {}); err != nil || moved.Lost != 12 {
			t.Errorf("Move again = %+v, %v", moved, err)
		}
		m.wantConfirmed("when it was signed", 0)
		if outcome, err := n.RunNow(ctx); err != nil || !outcome.Complete || outcome.Progress.ConfirmedItems != 12 {
			t.Errorf("the next pass: %+v, %v", outcome, err)
		}
	})
	m.check("at the end")
	m.wantSettled("at the end")
}

// wantSettled makes sure that nothing says that a move is not finished.
func (m *machine) wantSettled(when string) {
	m.t.Helper()
	if _, stands := m.disk.Files()[backup.OwnPrefix+"/moving"]; stands {
		m.t.Errorf("%s the move is still said not to be finished", when)
	}
}

// TestMoveToFreshPlaceCutShort ends the process at every operation of a move to a place without a marker, done or not done.
// Where that place lacks all, no number of passes signs it, only a person; where it has all, a pass ends the move.
func TestMoveToFreshPlaceCutShort(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		there bool // the recordings
		end   func(ctx context.Context, n *Night) error
		want  int // operations at least
	}{
		{"empty, moved again", false, func(ctx context.Context, n *Night) error {
			_, err := n.Move(ctx, true, func(Moving) {})
			return err
		}, 20},
		{"empty, accepted", false, func(ctx context.Context, n *Night) error {
			if _, _, err := n.AcceptLosses(); err != nil { // no audit waits where the place was not marked yet
				_, err = n.Move(ctx, true, func(Moving) {})
				return err
			}
			return nil
		}, 20},
		{"whole", true, func(context.Context, *Night) error { return nil }, 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			at := 1
			for ; !t.Failed() && freshCutAt(t, at, at%2 == 0, test.there, test.end); at++ {
			}
			t.Logf("cut at %d operations", at-1)
			if at <= test.want {
				t.Errorf("cut at %d operations only, want %d", at-1, test.want)
			}
		})
	}
}

// freshCutAt lives through one move to a place without a marker that is interrupted at an operation, and returns false where
// it has not so many of them.
func freshCutAt(t *testing.T, at int, done, there bool, end func(context.Context, *Night) error) bool {
	t.Helper()
	const items = 12
	m, _ := moving(t, "", items)
	if there {
		m.disk = bare(m.disk)
	} else {
		m.disk = memdest.New()
	}
	m.outage.count, m.outage.at, m.outage.done = 0, at, done
	moved, err := m.move("new", false)
	if !m.outage.off {
		if there && err != nil || !there && !errors.Is(err, ErrMassLoss) {
			t.Errorf("without an outage: %+v, %v", moved, err)
		}
		return false
	}
	when := fmt.Sprintf("operation %d (%s), done %v:", at, m.outage.last, done)
	m.cut(func() bool { return true })
	m.at("new", func(ctx context.Context, n *Night) {
		for range 3 {
			outcome, err := n.RunNow(ctx)
			switch {
			case err != nil:
				t.Errorf("%s a pass: %v", when, err)
			case !there && outcome.Err == nil:
				t.Errorf("%s a pass at the empty place is complete", when)
			case !there && !errors.Is(outcome.Err, dest.ErrNoMarker) && !strings.Contains(outcome.Err.Error(), "`wolkvox-agent destination move nas` again"):
				t.Errorf("%s a pass does not say what to do: %v", when, outcome.Err)
			case there && outcome.Err != nil && !errors.Is(outcome.Err, dest.ErrNoMarker):
				t.Errorf("%s a pass at the whole place: %v", when, outcome.Err)
			}
			m.wantConfirmed(when+" after a pass", items)
		}
		if there {
			if _, err := n.Move(ctx, false, func(Moving) {}); err != nil {
				t.Errorf("%s the move again: %v", when, err)
			}
			m.wantConfirmed(when+" at the end", items)
		} else if err := end(ctx, n); err != nil {
			t.Errorf("%s the person's word: %v", when, err)
		}
		if outcome, err := n.RunNow(ctx); err != nil || !outcome.Complete {
			t.Errorf("%s the last pass: %+v, %v", when, outcome, err)
		}
	})
	m.wantConfirmed(when, items)
	m.wantSettled(when)
	m.check(when)
	return true
}
