package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup/internal/ledger"
)

// past is a log with entries of most kinds, given size by size.
type past struct {
	*author
	lines [][][]byte // of manifest n at n-1
}

func newPast(t testing.TB) *past {
	a := newAuthor(t, testOrigin)
	p := &past{author: a}
	a.genesis()
	a.assign()
	for n := int64(1); n <= 3; n++ {
		lines := a.makeLines(n, 20*n)
		p.lines = append(p.lines, lines)
		a.add(a.sealed(n, lines))
		a.add(a.delivered(n, span(0, 5)))
		a.add(ledger.Withdrawn{Manifest: n, Root: a.root(n), Indexes: span(7, 8), Reason: ledger.WithdrawnLost})
		a.add(a.delivered(1, span(9, 10+n)))
	}
	counts := a.fold.Counts(2)
	counts[3] += counts[1]
	counts[1] = 0
	a.add(ledger.Closed{Manifest: 2, Root: a.root(2), Counts: counts})
	a.add(ledger.Extended{Manifest: 1, Root: a.root(1), Deadline: testTime.AddDate(0, 0, 30), Reason: ledger.ExtendedOutage})
	return p
}

// appendTo appends the entries from the log's end up to size, with their manifests.
func (p *past) appendTo(l *Ledger, size int64) {
	p.t.Helper()
	for at, _ := l.Position(); at < size; at++ {
		e, err := ledger.ParseEntry(p.leaves[at])
		must(p.t, err)
		if sealed, ok := e.Body.(ledger.Sealed); ok {
			stage(p.t, l, sealed.Manifest, p.lines[sealed.Manifest-1])
		}
		must(p.t, l.Append(p.leaves[at]))
	}
}

func (p *past) head(l *Ledger, size int64, agreed bool) []byte {
	p.t.Helper()
	root, err := l.RootAt(size)
	must(p.t, err)
	note, err := ledger.SignHead(ledger.Head{Origin: testOrigin, Size: size, Root: root}, p.server)
	must(p.t, err)
	if agreed {
		note, err = ledger.Cosign(note, p.server.Verifier(), p.agent, testTime)
		must(p.t, err)
	}
	return note
}

// records is the dump without item states, whose bitmaps may be written in more than one way.
func records(t *testing.T, db *DB) map[string]string {
	t.Helper()
	all := dump(t, db)
	for key := range all {
		if strings.HasPrefix(key, `"l\x00\x00\x00\x01i`) {
			delete(all, key)
		}
	}
	return all
}

// reference is what a store holds whose log never had more than size entries.
func (p *past) reference(t *testing.T, size int64) (map[string]string, ledger.Counts) {
	t.Helper()
	db := openStore(t, "", Options{InMemory: true})
	l := openLedger(t, db)
	l.given = map[string]bool{"": true} // so that it is the same number each time
	_, err := l.Session([16]byte{1})
	must(t, err)
	p.appendTo(l, size)
	if size >= 4 {
		must(t, l.PutHead(p.head(l, 4, false)))
		must(t, l.PutAgreed(p.head(l, 4, true)))
	}
	if size > 10 {
		must(t, l.PutFault(3, span(30, 40), Fault{Class: "network", Last: testTime}))
	}
	total, err := l.Total()
	must(t, err)
	return records(t, db), total
}

// whole is a store with the whole log, and more that a cut removes.
func (p *past) whole(t *testing.T, dir string, o Options) (*DB, *Ledger) {
	db := openStore(t, dir, o)
	l := openLedger(t, db)
	l.given = map[string]bool{"": true} // so that it is the same number each time
	_, err := l.Session([16]byte{1})
	must(t, err)
	p.appendTo(l, int64(len(p.leaves)))
	stage(t, l, 4, testLines(t, 4, 3))
	must(t, l.PutFault(3, span(30, 40), Fault{Class: "network", Last: testTime}))
	return db, l
}

func testLines(t testing.TB, n, items int64) (lines [][]byte) {
	for i := range items {
		lines = append(lines, testLine(t, n, i))
	}
	return lines
}

// However long the log was, after a cut it is as if it had never been longer, and it goes on from there.
func TestCut(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	for size := range int64(len(p.leaves)) {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			want, total := p.reference(t, size)
			db, l := p.whole(t, "", Options{InMemory: true})
			headSize := int64(4)
			if size < headSize {
				headSize = 12 // beyond the cut
			}
			must(t, l.PutHead(p.head(l, headSize, false)))
			must(t, l.PutAgreed(p.head(l, headSize, true)))
			changed := l.Changed()
			must(t, l.Cut(t.Context(), size))
			select {
			case <-changed:
			default:
				t.Error("nobody was told")
			}
			if now, root := l.Position(); now != size {
				t.Fatalf("%d entries (%x), want %d", now, root[:], size)
			}
			if got, err := l.Total(); err != nil || got != total {
				t.Errorf("Total = %v, %v, want %v", got, err, total)
			}
			if (l.Head() != nil) != (size >= 4) || (l.Agreed() != nil) != (size >= 4) {
				t.Errorf("heads after cutting at %d: %q, %q", size, l.Head(), l.Agreed())
			}
			if staged, err := l.Staged(); err != nil || len(staged) != 0 {
				t.Errorf("staged: %v, %v", staged, err)
			}
			if r, err := l.Verify(t.Context()); err != nil || len(r.Problems) > 0 || r.Size != size {
				t.Errorf("Verify: %v, %v", r, err)
			}
			if diff := cmp.Diff(want, records(t, db)); diff != "" {
				t.Errorf("records after the cut (-want +got):\n%s", diff)
			}
			p.appendTo(l, int64(len(p.leaves)))
			r, err := l.Verify(t.Context())
			if err != nil || len(r.Problems) > 0 || r.Counts != p.fold.Total() || r.Root != p.fold.Tree.Root() {
				t.Errorf("Verify after going on: %+v, %v", r, err)
			}
		})
	}
}

func TestCutRefused(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	_, l := p.whole(t, "", Options{InMemory: true})
	size, root := l.Position()
	for _, bad := range []int64{-1, size + 1} {
		if err := l.Cut(t.Context(), bad); !errors.Is(err, ErrNotFound) {
			t.Errorf("Cut(%d) = %v", bad, err)
		}
	}
	must(t, l.Cut(t.Context(), size))
	w, err := l.StageManifest(5)
	must(t, err)
	if err := l.Cut(t.Context(), 4); !errors.Is(err, ErrStaging) {
		t.Errorf("Cut while a manifest is staged: %v", err)
	}
	if now, same := l.Position(); now != size || same != root {
		t.Errorf("a refused cut left %d entries of %d", now, size)
	}
	w.Abort()
	must(t, l.Cut(t.Context(), 4))
}

// Wherever the process dies in the middle of a cut, the log is afterwards what it was, or cut.
func TestCutCrash(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	const size = 5
	want, _ := p.reference(t, size)
	db, l := p.whole(t, "", Options{InMemory: true})
	var points []string
	db.fault = func(point string) (bool, error) { points = append(points, point); return true, nil }
	must(t, l.Cut(t.Context(), size))
	t.Logf("%d commits: %q", len(points), points)
	for i, point := range points {
		for _, apply := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d %s apply=%t", i, point, apply), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				db, l := p.whole(t, dir, Options{noSync: true})
				must(t, l.PutHead(p.head(l, 4, false)))
				must(t, l.PutAgreed(p.head(l, 4, true)))
				commits := 0
				db.fault = func(string) (bool, error) {
					commits++
					switch {
					case commits-1 < i:
						return true, nil
					case commits-1 == i:
						return apply, errCrash
					}
					return false, errCrash
				}
				if err := l.Cut(t.Context(), size); err == nil {
					t.Error("a cut that died reported nothing")
				}
				must(t, db.Close())
				db = openStore(t, dir, Options{noSync: true})
				l = openLedger(t, db)
				now, _ := l.Position()
				if i == 0 && !apply {
					if now != int64(len(p.leaves)) {
						t.Errorf("%d entries after a cut that never began", now)
					}
					return
				}
				if now != size {
					t.Fatalf("%d entries, want %d", now, size)
				}
				if diff := cmp.Diff(want, records(t, db)); diff != "" {
					t.Errorf("records (-want +got):\n%s", diff)
				}
				if r, err := l.Verify(t.Context()); err != nil || len(r.Problems) > 0 {
					t.Errorf("Verify: %v, %v", r.Problems, err)
				}
			})
		}
	}
}

// A failure in the middle of a cut that is no crash leaves a store that refuses changes until it is opened again.
func TestCutFails(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	db, l := p.whole(t, "", Options{InMemory: true})
	db.fault = func(point string) (bool, error) {
		if point == "cut off" {
			return false, errCrash
		}
		return true, nil
	}
	if err := l.Cut(t.Context(), 4); !errors.Is(err, errCrash) {
		t.Errorf("Cut = %v", err)
	}
	db.fault = nil
	if err := l.Append(p.leaves[4]); !errors.Is(err, ErrFailed) {
		t.Errorf("an append after a cut that failed: %v", err)
	}
}

// A cut that was begun is ended though room gets short meanwhile: it makes room.
func TestCutWithoutRoom(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	short := false
	_, l := p.whole(t, "", Options{InMemory: true, Room: func() error {
		if short {
			return errors.New("full")
		}
		return nil
	}, Fault: func(point string) (bool, error) {
		short = short || point == "begin a cut"
		return true, nil
	}})
	must(t, l.Cut(t.Context(), 4))
	if err := l.Append(p.leaves[4]); !errors.Is(err, ErrNoRoom) {
		t.Errorf("an append without room: %v", err)
	}
	short = false
	must(t, l.Append(p.leaves[4]))
	if r, err := l.Verify(t.Context()); err != nil || len(r.Problems) > 0 {
		t.Errorf("Verify: %v, %v", r.Problems, err)
	}
}
