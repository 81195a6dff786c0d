package store

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

func TestOutbox(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openStore(t, dir, Options{})
	l := openLedger(t, db)
	a := newAuthor(t, testOrigin)
	build := func(body func(r ledger.Receipt) ledger.Body, indexes ledger.Set) func(int64, tlog.Hash) ([]byte, error) {
		return func(number int64, previous tlog.Hash) ([]byte, error) {
			return a.leaf(body(ledger.Receipt{Manifest: 1, Root: a.root(1), Number: number, Previous: previous, Indexes: indexes})), nil
		}
	}
	delivered := func(r ledger.Receipt) ledger.Body {
		return ledger.Delivered{Receipt: r, Method: backup.ReadbackCached, Brought: ledger.BroughtAutomatic}
	}
	waived := func(r ledger.Receipt) ledger.Body { return ledger.Waived{Receipt: r, Reason: ledger.WaivedDeclined} }
	must(t, l.Append(a.genesis()))
	if _, err := l.Enqueue(func(int64, tlog.Hash) ([]byte, error) { return nil, nil }); !errors.Is(err, ErrNoAgent) {
		t.Errorf("Enqueue before an agent is assigned: %v", err)
	}
	must(t, l.Append(a.assign()))
	stage(t, l, 1, a.makeLines(1, 100))
	must(t, l.Append(a.add(a.sealed(1, a.lines[1]))))

	first, err := l.Enqueue(build(delivered, span(0, 9)))
	must(t, err)
	second, err := l.Enqueue(build(waived, span(20, 29)))
	must(t, err)
	third, err := l.Enqueue(build(delivered, span(5, 14)))
	must(t, err)
	e, err := ledger.ParseEntry(third)
	must(t, err)
	if r, _ := ledger.ReceiptOf(e.Body); r.Number != 3 || r.Previous != sha256.Sum256(second) {
		t.Errorf("the third receipt has number %d and previous %x", r.Number, r.Previous[:])
	}
	var refused *ledger.RefusedError
	if _, err := l.Enqueue(build(delivered, span(99, 100))); !errors.As(err, &refused) || refused.Reason != ledger.ReasonIndex {
		t.Errorf("Enqueue of an index that does not exist: %v", err)
	}
	if set := l.OutboxDelivered(1); set.String() != "0-14" {
		t.Errorf("OutboxDelivered = %s", set)
	}
	must(t, db.Close())

	l = openLedger(t, openStore(t, dir, Options{}))
	same := func(want ...[]byte) {
		t.Helper()
		got, err := l.Outbox()
		if err != nil || l.OutboxLen() != len(want) || !bytes.Equal(bytes.Join(got, nil), bytes.Join(want, nil)) {
			t.Errorf("Outbox has %d receipts, %v; want %d", len(got), err, len(want))
		}
	}
	same(first, second, third)
	a.addLeaf(first)
	must(t, l.Append(first))
	same(second, third)

	// The log takes another receipt 2, so those that wait are of another branch: the delivered is dropped and the
	// waived made again.
	must(t, l.Append(a.add(ledger.Lost{Receipt: a.receipt(1, span(3, 3)), Finding: ledger.LostAltered})))
	same(second, third)
	must(t, l.RenewOutbox(func(old []byte, number int64, previous tlog.Hash) ([]byte, error) {
		e, err := ledger.ParseEntry(old)
		must(t, err)
		if r, ok := e.Body.(ledger.Waived); ok {
			r.Number, r.Previous = number, previous
			return a.leaf(r), nil
		}
		return nil, nil
	}))
	all, err := l.Outbox()
	must(t, err)
	if len(all) != 1 {
		t.Fatalf("%d receipts wait", len(all))
	}
	a.addLeaf(all[0])
	must(t, l.Append(all[0]))
	same()
	_, err = l.Enqueue(build(delivered, span(40, 49)))
	must(t, err)
	must(t, l.DropOutbox())
	same()
	checkWell(t, l, a)
}

func TestHeads(t *testing.T) {
	t.Parallel()
	l := memoryLedger(t)
	a := newAuthor(t, testOrigin)
	must(t, l.Append(a.genesis(), a.assign()))
	sign := func(h ledger.Head) []byte {
		note, err := ledger.SignHead(h, a.server)
		must(t, err)
		return note
	}
	cosign := func(note []byte) []byte {
		agreed, err := ledger.Cosign(note, a.server.Verifier(), a.agent, testTime)
		must(t, err)
		return agreed
	}
	size, root := l.Position()
	one, err := l.RootAt(1)
	must(t, err)
	two, ahead := sign(ledger.Head{Origin: testOrigin, Size: size, Root: root}), sign(ledger.Head{Origin: testOrigin, Size: 9, Root: root})
	must(t, l.PutHead(two))
	must(t, l.PutHead(sign(ledger.Head{Origin: testOrigin, Size: 1, Root: one})))
	if !bytes.Equal(l.Head(), two) {
		t.Error("a smaller head replaced a greater one")
	}
	if err := l.PutHead(sign(ledger.Head{Origin: testOrigin, Size: 1, Root: root})); !errors.Is(err, ErrOtherHistory) {
		t.Errorf("a head with another root: %v", err)
	}
	if err := l.PutAgreed(two); err == nil {
		t.Error("a head without a cosignature was taken for agreed")
	}
	if err := l.PutAgreed(cosign(ahead)); !errors.Is(err, ErrNotFound) {
		t.Errorf("an agreed head ahead of the entries: %v", err)
	}
	must(t, l.PutAgreed(cosign(two)))
	must(t, l.PutHead(ahead))
	if !bytes.Equal(l.Head(), ahead) || !bytes.Equal(l.Agreed(), cosign(two)) {
		t.Error("the heads held are others")
	}
	r, err := l.Verify(t.Context())
	if err != nil || r.Agreed.Size != 2 || len(r.Problems) > 0 {
		t.Errorf("Verify = %+v, %v", r, err)
	}
	f := files{}
	must(t, l.Export(f.create))
	if got := f[ledger.ExportedHead].String(); got != string(cosign(two)) {
		t.Errorf("exported head %q", got)
	}
	i := 0
	for leaf, err := range ledger.ReadExported(bytes.NewReader([]byte(f[ledger.ExportedLedger].String()))) {
		must(t, err)
		if !bytes.Equal(leaf, a.leaves[i]) {
			t.Errorf("exported entry %d differs", i)
		}
		i++
	}
	if i != len(a.leaves) {
		t.Errorf("%d entries exported", i)
	}
}

func TestSession(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openStore(t, dir, Options{})
	l := openLedger(t, db)
	number := func(id byte) int64 {
		t.Helper()
		n, err := l.Session([16]byte{id})
		must(t, err)
		return n
	}
	first, second := number(1), number(2)
	if again := number(1); first < 1 || second != first+1 || again != first {
		t.Errorf("sessions %d, %d and %d", first, second, again)
	}
	if n := l.CurrentSession(); n != 0 {
		t.Errorf("before any was used CurrentSession = %d", n)
	}
	must(t, l.UseSession(second))
	must(t, l.UseSession(first))
	if err := l.UseSession(second + 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("using a number that was not given: %v", err)
	}
	must(t, db.Close())
	l = openLedger(t, openStore(t, dir, Options{}))
	if n := l.CurrentSession(); n != second || l.LastSession() != second {
		t.Errorf("CurrentSession = %d, LastSession = %d, want %d", n, l.LastSession(), second)
	}
	again := number(2)
	if again <= second || number(2) != again {
		t.Errorf("the second process got %d after opening again, want one after %d, and the same each time", again, second)
	}
	last := number(3)
	for id := byte(4); id < 40; id++ {
		last = number(id)
	}
	if n := number(1); n != last+1 {
		t.Errorf("a process that was forgotten got %d, want a new number after %d", n, last)
	}
}

// Whoever runs a store is told when it has to be opened again.
func TestRunEndsWhenACommitFailed(t *testing.T) {
	t.Parallel()
	crash := errors.New("crash")
	db := openStore(t, "", Options{InMemory: true})
	db.fault = func(string) (bool, error) { return false, crash }
	if _, err := openLedger(t, db).Session([16]byte{1}); !errors.Is(err, crash) {
		t.Fatalf("a commit that fails: %v", err)
	}
	if err := db.Run(t.Context()); !errors.Is(err, ErrFailed) || !errors.Is(err, crash) {
		t.Errorf("Run = %v", err)
	}
}

// A store that went back in time gives no number to a process that another one may still have from before.
func TestSessionAfterGoingBack(t *testing.T) {
	t.Parallel()
	dir, copied := t.TempDir(), t.TempDir()
	db := openStore(t, dir, Options{})
	_, err := openLedger(t, db).Session([16]byte{1})
	must(t, err)
	must(t, db.Close())
	must(t, os.CopyFS(copied, os.DirFS(dir)))
	given := func(dir string, ids ...byte) (numbers []int64) {
		t.Helper()
		db := openStore(t, dir, Options{})
		defer db.Close()
		l := openLedger(t, db)
		for _, id := range ids {
			n, err := l.Session([16]byte{id})
			must(t, err)
			numbers = append(numbers, n)
		}
		return numbers
	}
	before := given(dir, 2, 3, 4, 5)
	for _, n := range given(copied, 6, 7, 8, 9) {
		if slices.Contains(before, n) {
			t.Errorf("the number %d was given twice, before the store went back: %v", n, before)
		}
	}
}

// Numbers that a store gives which was begun anew are higher than those of the one that was lost, which may come back.
func TestSessionAfterLoss(t *testing.T) {
	t.Parallel()
	var before int64
	for range 3 {
		n, err := openLedger(t, openStore(t, t.TempDir(), Options{})).Session([16]byte{1})
		must(t, err)
		if n <= before {
			t.Errorf("the number %d, after %d in the store that was lost", n, before)
		}
		before = n
		time.Sleep(5 * time.Millisecond) // more than the gap
	}
}
