package sequencer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// An offer that is not what the server signed changes nothing.
func TestBadOffers(t *testing.T) {
	t.Parallel()
	r := newRig(t, 10, 20)
	short := r.hold()
	r.seal(3, 5)
	whole := r.hold()
	r.rollBack(3, true)
	before := r.hold()
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	entry := whole
	entry.leaves = slices.Clone(whole.leaves)
	entry.leaves[3] = flip(entry.leaves[3], len(entry.leaves[3])-20)
	lines := whole
	lines.lines = map[int64][]byte{2: flip(whole.lines[2], 3), 3: whole.lines[3]}
	fewer := whole
	fewer.lines = map[int64][]byte{2: whole.lines[2][:bytes.IndexByte(whole.lines[2], '\n')+1], 3: whole.lines[3]}
	truncated := whole
	truncated.leaves = whole.leaves[:4]
	longer := short
	longer.leaves, longer.lines = whole.leaves, whole.lines
	forged := whole
	var err error
	forged.head, err = ledger.SignHead(ledger.Head{Origin: origin, Size: 9}, newKey(t, string(origin), 3))
	r.must(err)
	for name, c := range map[string]copyOf{
		"a byte of an entry": entry, "a byte of a line": lines, "fewer lines": fewer, "fewer entries": truncated,
		"more entries": longer, "a head of another key": forged, "no head": {head: []byte("x")},
	} {
		if taken, err := r.offer(c, c.all()); taken || !errors.Is(err, ErrBadOffer) {
			t.Errorf("%s: %t, %v", name, taken, err)
		}
		r.equals(before)
	}
	if left, err := os.ReadDir(filepath.Join(r.evidence, "offers")); err != nil || len(left) != 0 {
		t.Errorf("%d offers are left on the disk, %v", len(left), err)
	}
	if taken, err := r.offer(whole, whole.all()); !taken || err != nil {
		t.Errorf("the offer as it is: %t, %v", taken, err)
	}
}

// What the log contains is not taken again, and a second offer at the same time has to wait.
func TestOfferOfWhatIsKnown(t *testing.T) {
	t.Parallel()
	r := newRig(t, 10)
	short := r.hold()
	r.seal(2, 5)
	now := r.hold()
	o, err := r.seq.Offer(t.Context(), short.head, short.all())
	r.must(err)
	if _, err := r.seq.Offer(t.Context(), short.head, short.all()); !errors.Is(err, ErrOffering) {
		t.Errorf("a second offer: %v", err)
	}
	o.Close()
	if taken, err := r.offer(short, short.all()); taken || err != nil {
		t.Errorf("an offer of what is known: %t, %v", taken, err)
	}
	r.equals(now)
	if err := r.seq.Ready(); err != nil {
		t.Error(err)
	}
}

// Wherever the store fails while an offer is taken, or while the log ends recovering, the log recovers when it is opened again, and
// the same offer then leads to the same end.
func TestOfferCrash(t *testing.T) {
	t.Parallel()
	total := offerCrash(t, 1<<30, false)
	if total < 8 {
		t.Fatalf("only %d commits", total)
	}
	for at := range total {
		apply := at == total-1 // of the others that they were done shows at the next one
		t.Run(fmt.Sprintf("commit %d of %d, done %t", at, total, apply), func(t *testing.T) {
			t.Parallel()
			offerCrash(t, at, apply)
		})
	}
}

func offerCrash(t *testing.T, at int, apply bool) (commits int) {
	t.Helper()
	dir := t.TempDir()
	armed, crash := false, errors.New("crash")
	options := store.Options{Compactors: -1, Fault: func(string) (bool, error) {
		if !armed {
			return true, nil
		}
		if commits++; commits-1 < at {
			return true, nil
		}
		return apply && commits-1 == at, crash
	}}
	r := newRigIn(t, dir, options)
	r.must(r.seq.Assign(t.Context(), r.request(r.agent), "", start))
	r.seal(1, 10)
	r.seal(2, 5)
	r.seal(3, 5)
	whole := r.hold()
	r.rollBack(3, true)
	r.seal(2, 7)
	m, _ := r.seq.Manifest(1)
	r.must(r.seq.append(t.Context(), start, ledger.Extended{Manifest: 1, Root: m.Root, Deadline: m.Deadline.AddDate(0, 0, 3), Reason: ledger.ExtendedOutage}))
	branch, _ := r.seq.Ledger().Position()

	again := func() error {
		if _, err := r.offer(whole, known(whole.all(), nil)); err != nil {
			return err
		}
		_, err := r.compare(known(whole.all(), nil))
		return err
	}
	armed = true
	err := again()
	armed = false
	if commits <= at { // no crash at all
		r.must(err)
		return commits
	}
	if !errors.Is(err, crash) {
		t.Errorf("the crash was not reported: %v", err)
	}
	r.must(r.db.Close())
	r.openStore(dir, options)
	if recovering, err := r.seq.Recovering(); err != nil || !recovering {
		t.Errorf("it does not recover after the crash: %v", err)
	}
	r.must(again())
	r.equals(whole, ledger.KindExtended)
	if got := r.evidences(); len(got) == 0 || got[0] != int(branch) {
		t.Errorf("evidence of %v entries, want %d", got, branch)
	}
	r.catalogMade()
	r.seal(4, 1)
	return commits
}
