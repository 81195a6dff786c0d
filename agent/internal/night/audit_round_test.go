package night

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/wolkvox/backup/agent/internal/dest/desttest"
)

// TestAuditSlices reads every recording once in a round of slices, none twice, signs for what is lost as it goes, and begins anew.
func TestAuditSlices(t *testing.T) {
	t.Parallel()
	m, names := moving(t, "", 300)
	total := 0
	for _, name := range names {
		total += len(contentOf(name))
	}
	m.disk.Remove(names[250])
	opened := make(map[string]int)
	m.refuse = func(op desttest.Op, name string) error {
		if op == desttest.OpOpen {
			opened[name]++
		}
		return nil
	}
	slices, done := 0, false
	for range 2 { // two processes
		m.at("memory", func(ctx context.Context, n *Night) {
			if due, err := n.due(1); slices == 0 && (err != nil || due <= 0 || due > int64(total)/100) {
				t.Errorf("at the start %d of %d bytes are due, %v", due, total, err)
			}
			for range 4 {
				before := slices
				err := n.AuditSlice(ctx, int64(total/7), nil)
				slices++
				switch _, ended, lastErr := n.Rounds.Last(); {
				case errors.Is(err, ErrMassLoss): // one of about forty: the same slice decides
					check(t, n.AuditSlice(ctx, int64(total/7), nil))
				case err != nil || lastErr != nil:
					t.Errorf("slice %d: %v, %v", before, err, lastErr)
				case ended:
					done = true
					return
				}
			}
		})
	}
	if !done || slices < 7 {
		t.Errorf("after %d slices the round has ended: %v", slices, done)
	}
	m.wantConfirmed("after the round", 299)
	twice := 0
	for _, name := range names {
		switch opened[name] {
		case 0:
			t.Errorf("%s was not read", name)
		case 1:
		default:
			twice++
		}
	}
	if twice > 300/5 { // those beside the lost one
		t.Errorf("%d were read more than once", twice)
	}
}

// TestDueBytes spreads a round over nine tenths of its days.
func TestDueBytes(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, test := range []struct {
		elapsed time.Duration
		read    int64
		want    int64
	}{{0, 0, 0}, {9 * day, 0, 500}, {9 * day, 500, 0}, {9 * day, 600, -100}, {18 * day, 900, 100}, {90 * day, 0, 1000}} {
		if got := dueBytes(1000, test.read, test.elapsed, 20); got != test.want {
			t.Errorf("after %v, %d read: %d are due, want %d", test.elapsed, test.read, got, test.want)
		}
	}
}
