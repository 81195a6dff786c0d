package store

import (
	"errors"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/ledger"
)

// TestPrepared makes receipts that are announced before they wait, and resolves one that was caught in between.
func TestPrepared(t *testing.T) {
	t.Parallel()
	for _, announced := range []bool{true, false} {
		dir := t.TempDir()
		db := openStore(t, dir, Options{})
		l := openLedger(t, db)
		a := newAuthor(t, testOrigin)
		must(t, l.Append(a.genesis(), a.assign()))
		must(t, stageSlowly(l, 1, a.makeLines(1, 10)))
		must(t, l.Append(a.add(a.sealed(1, a.lines[1]))))
		build := func(number int64, previous tlog.Hash) ([]byte, error) {
			d := a.delivered(1, span(number, number))
			d.Number, d.Previous = number, previous
			return a.leaf(d), nil
		}
		quiet := func([]byte) error { return nil }
		if _, err := l.EnqueueDelivered(build, quiet); err != nil {
			t.Fatal(err)
		}
		var told []byte
		_, err := l.EnqueueDelivered(build, func(leaf []byte) error { told = leaf; return errCrash })
		if !errors.Is(err, errCrash) {
			t.Fatalf("an announcement that failed gives %v", err)
		}
		if _, err := l.Enqueue(build); !errors.Is(err, ErrPrepared) {
			t.Errorf("Enqueue beside a prepared receipt gives %v, want ErrPrepared", err)
		}
		if err := l.RenewOutbox(func([]byte, int64, tlog.Hash) ([]byte, error) { return nil, nil }); !errors.Is(err, ErrPrepared) {
			t.Errorf("RenewOutbox beside a prepared receipt gives %v, want ErrPrepared", err)
		}
		must(t, db.Close())
		db = openStore(t, dir, Options{})
		l = openLedger(t, db)
		prepared, err := l.Prepared()
		if err != nil || string(prepared) != string(told) || l.OutboxLen() != 1 {
			t.Fatalf("after reopening, prepared is %q, %v, and %d wait", prepared, err, l.OutboxLen())
		}
		must(t, l.ResolvePrepared(announced))
		want := 1
		if announced {
			want = 2
		}
		if prepared, err := l.Prepared(); err != nil || prepared != nil || l.OutboxLen() != want {
			t.Errorf("resolved, announced %v: prepared is %q, %v, and %d wait, want %d", announced, prepared, err, l.OutboxLen(), want)
		}
		leaf, err := l.EnqueueDelivered(build, quiet)
		if err != nil {
			t.Fatal(err)
		}
		entry, err := ledger.ParseEntry(leaf)
		if err != nil {
			t.Fatal(err)
		}
		if r, _ := ledger.ReceiptOf(entry.Body); r.Number != int64(want)+1 {
			t.Errorf("the next receipt has number %d, want %d", r.Number, want+1)
		}
	}
}
