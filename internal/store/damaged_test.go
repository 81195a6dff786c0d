package store

import (
	"errors"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// TestDamaged tells of what a read meets and of what is found by verifying, and not of what the log itself says.
func TestDamaged(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(l *Ledger, a *author, tx *badger.Txn) error
		read  bool // meets it
	}{
		"an entry": {func(l *Ledger, _ *author, tx *badger.Txn) error { return tx.Delete(l.id.key(tableEntries, 1)) }, true},
		"another entry": {func(l *Ledger, _ *author, tx *badger.Txn) error {
			return tx.Set(l.id.key(tableEntries, 1), []byte("x"))
		}, false},
		"lines":           {func(l *Ledger, _ *author, tx *badger.Txn) error { return tx.Delete(l.id.key(tableChunks, 1, 0)) }, true},
		"the state":       {func(l *Ledger, _ *author, tx *badger.Txn) error { return tx.Delete(l.id.key(tableManifest, 1)) }, false},
		"nothing":         {func(*Ledger, *author, *badger.Txn) error { return nil }, false},
		"nothing of ours": {func(*Ledger, *author, *badger.Txn) error { return nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := memoryLedger(t)
			a := newAuthor(t, testOrigin)
			must(t, l.Append(a.genesis(), a.assign()))
			stage(t, l, 1, a.makeLines(1, 5))
			must(t, l.Append(a.add(a.sealed(1, a.lines[1]))))
			if name == "nothing of ours" {
				must(t, l.Append(a.leaf(ledger.Closed{Manifest: 1, Root: a.root(1), Counts: ledger.Counts{backup.Confirmed: 1, backup.Expired: 4}})))
			}
			must(t, l.db.write("spoil", func(tx *badger.Txn) error { return test.spoil(l, a, tx) }))
			for _, err := range l.Entries(0, 3) {
				_ = err
			}
			for _, err := range l.Lines(1, 0) {
				_ = err
			}
			met := func() bool {
				select {
				case err := <-l.db.Damaged():
					if !errors.Is(err, ErrDamaged) {
						t.Errorf("told is %v", err)
					}
					return true
				default:
					return false
				}
			}
			if got := met(); got != test.read {
				t.Errorf("reading tells of damage: %v, want %v", got, test.read)
			}
			report, err := l.Verify(t.Context())
			must(t, err)
			if (len(report.Problems) > 0) != (name != "nothing") {
				t.Errorf("problems %q", report.Problems)
			}
			if got, want := met(), name != "nothing" && name != "nothing of ours"; got != want {
				t.Errorf("verifying tells of damage: %v, want %v", got, want)
			}
		})
	}
}
