package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

var errCrash = errors.New("crash")

// dump returns every record of the store.
func dump(t *testing.T, db *DB) map[string]string {
	t.Helper()
	records := map[string]string{}
	must(t, db.view(func(tx *badger.Txn) error {
		return each(tx, nil, func(key, value []byte) error {
			text := fmt.Sprintf("%q", value)
			if len(text) > 2000 {
				text = fmt.Sprintf("%d bytes with SHA-256 %x", len(value), sha256.Sum256(value))
			}
			records[fmt.Sprintf("%q", key)] = text
			return nil
		})
	}))
	return records
}

// life does everything that changes a store, the same each time, until after returns false. lines are more than are
// staged in one commit.
func life(t *testing.T, db *DB, lines [][]byte, after func() bool) {
	l := openLedger(t, db)
	a := newAuthor(t, testOrigin)
	receipt := func(number int64, previous tlog.Hash) ([]byte, error) {
		d := a.delivered(1, span(0, number))
		d.Number, d.Previous = number, previous
		return a.leaf(d), nil
	}
	steps := []func() error{
		func() error { return l.Append(a.genesis(), a.assign()) },
		func() error { l.given = map[string]bool{"": true}; _, err := l.Session([16]byte{1}); return err }, // the same number each time
		func() error { return stageSlowly(l, 1, lines) },
		func() error { return stageSlowly(l, 1, a.makeLines(1, 50)) },
		func() error { return l.Append(a.add(a.sealed(1, a.lines[1]))) },
		func() error {
			return l.Append(a.add(a.delivered(1, span(0, 9))), a.add(a.delivered(1, span(40, 44))))
		},
		func() error { return stageSlowly(l, 2, a.makeLines(2, 30)) },
		func() error { return l.DropStaged(2) },
		func() error { return stageSlowly(l, 2, a.makeLines(2, 10)) },
		func() error {
			return l.Append(
				a.add(ledger.Withdrawn{Manifest: 1, Root: a.root(1), Indexes: span(30, 34), Reason: ledger.WithdrawnLost, Replacement: 2}),
				a.add(a.sealed(2, a.lines[2])))
		},
		func() error { _, err := l.Enqueue(receipt); return err },
		func() error { _, err := l.Enqueue(receipt); return err },
		func() error { return l.PutFault(1, span(20, 25), Fault{Class: "disk-full", Last: testTime}) },
		func() error { return l.PutFault(1, span(23, 27), Fault{Class: "network", Last: testTime}) },
		func() error {
			return l.RenewOutbox(func(_ []byte, n int64, p tlog.Hash) ([]byte, error) { return receipt(n, p) })
		},
		func() error { leaves, _ := l.Outbox(); a.addLeaf(leaves[0]); return l.Append(leaves[0]) },
		func() error { return l.DropOutbox() },
		func() error {
			size, root := l.Position()
			note, err := ledger.SignHead(ledger.Head{Origin: testOrigin, Size: size, Root: root}, a.server)
			if err != nil {
				return err
			}
			agreed, err := ledger.Cosign(note, a.server.Verifier(), a.agent, testTime)
			return errors.Join(err, l.PutHead(note), l.PutAgreed(agreed))
		},
	}
	for _, step := range steps {
		err := step()
		if !after() {
			return
		}
		must(t, err)
	}
}

// stageSlowly stages a manifest in many commits.
func stageSlowly(l *Ledger, n int64, lines [][]byte) error {
	w, err := l.StageManifest(n)
	if err != nil {
		return err
	}
	for _, line := range lines {
		if err := w.Add(line); err != nil {
			return err
		}
	}
	_, _, _, err = w.Commit()
	return err
}

// Whatever commit the process dies at, done or not, reported as done or not: after opening again the store is exactly as
// it was before that commit or as it was after it.
func TestEveryCrashPoint(t *testing.T) {
	t.Parallel()
	lines := longLines(t, 100)
	var states []map[string]string // before commit i, and at last after all
	var points []string
	db := openStore(t, "", Options{InMemory: true, Fault: func(point string) (bool, error) {
		points = append(points, point)
		return true, nil
	}})
	db.fault = func(point string) (bool, error) {
		points = append(points, point)
		states = append(states, dump(t, db))
		return true, nil
	}
	points = nil
	life(t, db, lines, func() bool { return true })
	states = append(states, dump(t, db))
	t.Logf("%d commits: %q", len(points), points)
	for i, point := range points {
		for _, apply := range []bool{false, true} {
			for _, fault := range []error{nil, errCrash} {
				t.Run(fmt.Sprintf("%d %s apply=%t err=%v", i, point, apply, fault), func(t *testing.T) {
					t.Parallel()
					crash(t, lines, i, apply, fault, states)
				})
			}
		}
	}
}

func crash(t *testing.T, lines [][]byte, at int, apply bool, fault error, states []map[string]string) {
	dir := t.TempDir()
	db := openStore(t, dir, Options{noSync: true})
	commits := 0
	db.fault = func(string) (bool, error) {
		commits++
		switch {
		case commits-1 < at:
			return true, nil
		case commits-1 == at:
			return apply, fault
		}
		return false, errCrash // the process is dead
	}
	life(t, db, lines, func() bool { return commits <= at })
	must(t, db.Close())
	want := states[at]
	if apply {
		want = states[at+1]
	}
	db = openStore(t, dir, Options{noSync: true})
	if diff := cmp.Diff(want, dump(t, db)); diff != "" {
		t.Errorf("after the crash (-want +got):\n%s", diff)
	}
	r, err := openLedger(t, db).Verify(t.Context())
	if err != nil || len(r.Problems) > 0 {
		t.Errorf("Verify after the crash: %v, %v", r.Problems, err)
	}
	must(t, db.Close())
}

// After a commit that failed nobody knows what is on the disk: nothing more is written, and what is in memory is as
// before.
func TestFailedCommit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openStore(t, dir, Options{})
	l := openLedger(t, db)
	a := newAuthor(t, testOrigin)
	must(t, l.Append(a.genesis()))
	db.fault = func(string) (bool, error) { return true, errCrash }
	assign := a.assign()
	if err := l.Append(assign); !errors.Is(err, errCrash) {
		t.Errorf("Append = %v", err)
	}
	db.fault = nil
	if err := l.PutFault(0, ledger.Set{}, Fault{Class: "other", Last: time.Now()}); !errors.Is(err, ErrFailed) || !errors.Is(err, errCrash) {
		t.Errorf("a change after a failed commit: %v", err)
	}
	if size, _ := l.Position(); size != 1 {
		t.Errorf("size %d after a failed commit", size)
	}
	must(t, db.Close())
	l = openLedger(t, openStore(t, dir, Options{}))
	if size, _ := l.Position(); size != 2 {
		t.Errorf("size %d after opening again, want 2: the commit was done", size)
	}
	stage(t, l, 1, a.makeLines(1, 1))
	must(t, l.Append(a.add(a.sealed(1, a.lines[1]))))
	if s, err := l.StateOf(1, 0); err != nil || s != backup.Pending {
		t.Errorf("StateOf = %v, %v", s, err)
	}
}
