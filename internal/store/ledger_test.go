package store

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

func TestAppendAndRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openStore(t, dir, Options{})
	l := openLedger(t, db)
	if size, root := l.Position(); size != 0 || root != ledger.EmptyRoot() {
		t.Errorf("Position of an empty ledger = %d, %x", size, root[:])
	}
	if origins, err := db.Origins(); err != nil || len(origins) != 0 {
		t.Errorf("Origins = %v, %v before anything was written", origins, err)
	}
	a := newAuthor(t, testOrigin)
	changed := l.Changed()
	must(t, l.Append(a.genesis(), a.assign()))
	select {
	case <-changed:
	default:
		t.Error("Changed is still open after an append")
	}
	stage(t, l, 1, a.makeLines(1, 100))
	must(t, l.Append(a.add(a.sealed(1, a.lines[1]))))
	must(t, l.Append(a.add(a.delivered(1, span(10, 19))), a.add(a.delivered(1, span(40, 59)))))
	must(t, l.Append(a.add(ledger.Closed{Manifest: 1, Root: a.root(1), Counts: ledger.Counts{backup.Confirmed: 30, backup.Expired: 70}})))
	check := func(l *Ledger) {
		t.Helper()
		checkWell(t, l, a)
		if set, err := l.Items(1, backup.Confirmed); err != nil || set.String() != "10-19,40-59" {
			t.Errorf("Items(confirmed) = %v, %v", set, err)
		}
		if s, err := l.StateOf(1, 20); err != nil || s != backup.Expired {
			t.Errorf("StateOf(20) = %v, %v", s, err)
		}
		if _, err := l.StateOf(1, 100); !errors.Is(err, ErrNotFound) {
			t.Errorf("StateOf(100) = %v", err)
		}
		var all [][]byte
		for leaf, err := range l.Entries(0, 1<<40) {
			must(t, err)
			all = append(all, leaf)
		}
		if !bytes.Equal(bytes.Join(all, nil), bytes.Join(a.leaves, nil)) {
			t.Error("Entries are not those that were appended")
		}
		if leaf, err := l.Entry(2); err != nil || !bytes.Equal(leaf, a.leaves[2]) {
			t.Errorf("Entry(2) = %q, %v", leaf, err)
		}
		if _, err := l.Entry(int64(len(a.leaves))); !errors.Is(err, ErrNotFound) {
			t.Errorf("Entry past the end: %v", err)
		}
		var tree ledger.Frontier
		for i, leaf := range a.leaves {
			tree.Add(ledger.LineHash(leaf))
			if root, err := l.RootAt(int64(i) + 1); err != nil || root != tree.Root() {
				t.Errorf("RootAt(%d) = %x, %v, want %x", i+1, root[:], err, tree.Root())
			}
		}
		proof, err := tlog.ProveRecord(int64(len(a.leaves)), 1, l)
		if err == nil {
			err = tlog.CheckRecord(proof, int64(len(a.leaves)), tree.Root(), 1, ledger.LineHash(a.leaves[1]))
		}
		if err != nil {
			t.Errorf("proof of entry 1: %v", err)
		}
	}
	check(l)
	must(t, db.Close())
	db = openStore(t, dir, Options{})
	check(openLedger(t, db))
	if origins, err := db.Origins(); err != nil || len(origins) != 1 || origins[0] != testOrigin {
		t.Errorf("Origins = %v, %v", origins, err)
	}
}

func TestAppendRefused(t *testing.T) {
	t.Parallel()
	l := memoryLedger(t)
	a := newAuthor(t, testOrigin)
	other := newAuthor(t, "wolkvox.com/backup/acme-1/nas/ffffffffffffffffffffffffffffffff")
	reason := func(err error) ledger.Reason {
		var refused *ledger.RefusedError
		if !errors.As(err, &refused) {
			t.Errorf("the error %v is no refusal", err)
			return ""
		}
		return refused.Reason
	}
	if got := reason(l.Append(other.genesis())); got != ledger.ReasonOrigin {
		t.Errorf("the genesis of another log: %s", got)
	}
	genesis, assign := a.genesis(), a.assign()
	if got := reason(l.Append(genesis, assign, genesis)); got != ledger.ReasonGenesis {
		t.Errorf("a second genesis: %s", got)
	}
	if size, _ := l.Position(); size != 0 {
		t.Errorf("a refused append left %d entries", size)
	}
	must(t, l.Append(genesis, assign))
	lines := a.makeLines(1, 10)
	seal := a.leaf(a.sealed(1, lines))
	if err := l.Append(seal); !errors.Is(err, ErrNoManifest) {
		t.Errorf("sealed without its manifest: %v", err)
	}
	w, err := l.StageManifest(1)
	must(t, err)
	for _, line := range lines {
		must(t, w.Add(line))
	}
	if err := l.Append(seal); !errors.Is(err, ErrNoManifest) {
		t.Errorf("sealed while its manifest is staged: %v", err)
	}
	if _, err := l.StageManifest(1); !errors.Is(err, ErrStaging) {
		t.Errorf("staged twice at a time: %v", err)
	}
	_, _, _, err = w.Commit()
	must(t, err)
	if err := l.Append(a.leaf(a.sealed(1, lines[:9]))); !errors.Is(err, ErrNoManifest) {
		t.Errorf("sealed with other lines: %v", err)
	}
	must(t, l.Append(seal))
	if _, err := l.StageManifest(1); !errors.Is(err, ErrSealed) {
		t.Errorf("a sealed manifest staged again: %v", err)
	}
	a.addLeaf(seal)
	checkWell(t, l, a)
}

func TestErrTooLarge(t *testing.T) {
	t.Parallel()
	db := openStore(t, t.TempDir(), Options{})
	l := openLedger(t, db)
	a := newAuthor(t, testOrigin)
	must(t, l.Append(a.genesis(), a.assign()))
	stage(t, l, 1, a.makeLines(1, 9000))
	must(t, l.Append(a.add(a.sealed(1, a.lines[1]))))
	var ranges []ledger.Range
	for i := range int64(3000) {
		ranges = append(ranges, ledger.Range{First: 3 * i, Last: 3*i + 1})
	}
	var leaves [][]byte
	total := 0
	for total < 3<<19 {
		leaves = append(leaves, a.add(a.delivered(1, ledger.NewSet(ranges...))))
		total += len(leaves[len(leaves)-1])
	}
	before, root := l.Position()
	if err := l.Append(leaves...); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("an append of %d bytes: %v", total, err)
	}
	if size, after := l.Position(); size != before || after != root {
		t.Error("the append that was too large changed the ledger")
	}
	for len(leaves) > 0 {
		n, bytes := 0, 0
		for n < len(leaves) && bytes+len(leaves[n]) <= MaxAppendBytes {
			bytes += len(leaves[n])
			n++
		}
		must(t, l.Append(leaves[:n]...))
		leaves = leaves[n:]
	}
	checkWell(t, l, a)
}
