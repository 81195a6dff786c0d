package sequencer

import (
	"errors"
	"testing"

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
