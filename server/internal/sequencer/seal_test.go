package sequencer

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

func TestWithdraw(t *testing.T) {
	t.Parallel()
	r := newRig(t, 10)
	session := r.session()
	r.submit(session, r.receipt(1, set(0, 2), nil))
	withdrawn, err := r.seq.Withdraw(t.Context(), Withdrawal{1, set(2, 4), ledger.WithdrawnLost}, start)
	r.must(err)
	if !withdrawn.Equal(set(3, 4)) {
		t.Errorf("withdrew %s", withdrawn)
	}
	size, _ := r.seq.Ledger().Position()
	if withdrawn, err = r.seq.Withdraw(t.Context(), Withdrawal{1, set(0, 4), ledger.WithdrawnLost}, start); err != nil || !withdrawn.IsEmpty() {
		t.Errorf("again: %s, %v", withdrawn, err)
	}
	if now, _ := r.seq.Ledger().Position(); now != size {
		t.Error("withdrawing nothing added an entry")
	}
	withdrawn, err = r.seq.Replace(t.Context(), Withdrawal{1, set(4, 6), ledger.WithdrawnChanged}, r.stage(2, 2), start)
	r.must(err)
	if !withdrawn.Equal(set(5, 6)) || r.seq.Last() != 2 {
		t.Errorf("replaced %s, the last manifest is %d", withdrawn, r.seq.Last())
	}
	var kinds []ledger.Kind
	for leaf, err := range r.seq.Ledger().Entries(size, size+10) {
		r.must(err)
		e, err := ledger.ParseEntry(leaf)
		r.must(err)
		kinds = append(kinds, e.Body.Kind())
	}
	if diff := cmp.Diff([]ledger.Kind{ledger.KindWithdrawn, ledger.KindSealed}, kinds); diff != "" {
		t.Error(diff)
	}
	// Nothing changes its state any more: the manifest is sealed alone.
	if withdrawn, err = r.seq.Replace(t.Context(), Withdrawal{1, set(4, 6), ledger.WithdrawnChanged}, r.stage(3, 2), start); err != nil || !withdrawn.IsEmpty() || r.seq.Last() != 3 {
		t.Errorf("replaced %s, last %d, %v", withdrawn, r.seq.Last(), err)
	}
	// A replacement that is not staged leaves nothing behind.
	size, _ = r.seq.Ledger().Position()
	if _, err := r.seq.Replace(t.Context(), Withdrawal{1, set(7, 7), ledger.WithdrawnChanged}, Manifest{
		Number: 4, Night: backup.Date{Year: 2026, Month: 2, Day: 28}, Items: 1, Bytes: 1, Deadline: start,
	}, start); !errors.Is(err, store.ErrNoManifest) {
		t.Errorf("a replacement that is not staged: %v", err)
	}
	if now, _ := r.seq.Ledger().Position(); now != size {
		t.Error("half of a transaction was appended")
	}
	if got, want := r.states(1), "[3 3 0 0 0 4 0]"; got != want {
		t.Errorf("states: %s, want %s", got, want)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	deadline := start.Add(15 * 24 * time.Hour)
	tests := []struct {
		name   string
		at     time.Time
		uptime time.Duration
		heard  time.Time
		closes bool
	}{
		{"before the deadline", deadline.Add(-time.Second), 1000 * time.Hour, deadline.Add(time.Hour), false},
		{"at the deadline, heard before", deadline, 1000 * time.Hour, deadline, false},
		{"heard after", deadline.Add(time.Minute), time.Minute, deadline.Add(time.Second), true},
		{"not heard, 24 hours not over", deadline.Add(24*time.Hour - time.Second), 1000 * time.Hour, time.Time{}, false},
		{"not heard, 24 hours over", deadline.Add(24 * time.Hour), 1000 * time.Hour, time.Time{}, true},
		{"not heard, the server was down", deadline.Add(240 * time.Hour), 23 * time.Hour, time.Time{}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 4, 2, 0)
			r.submit(r.session(), r.receipt(1, set(1, 1), nil))
			r.seq.Heard(test.heard)
			closed, err := r.seq.Close(t.Context(), test.at, test.uptime)
			r.must(err)
			if got := len(closed) == 3; got != test.closes || !got && len(closed) > 0 {
				t.Fatalf("closed %v", closed)
			}
			if !test.closes {
				return
			}
			if got, want := r.states(1)+r.states(2), "[0 1 3 0 0 0 0][0 0 2 0 0 0 0]"; got != want {
				t.Errorf("states %s, want %s", got, want)
			}
			if closed, err = r.seq.Close(t.Context(), test.at.Add(time.Hour), test.uptime); err != nil || len(closed) > 0 {
				t.Errorf("closed again: %v, %v", closed, err)
			}
		})
	}
}
