// Package sourcetest is what every kind of source has to do, as tests that run over each: that what it says of its files is
// true, and that nothing is called missing that merely cannot be reached. It is imported by tests only, and does not test how
// fast a source is.
package sourcetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/server/internal/source"
)

// Place is an empty source and what a test can do to it. Those of one test are not used by another.
type Place interface {
	// Open opens the source for one piece of work, or says why it cannot be reached.
	Open(t *testing.T) (source.Driver, error)
	// Write puts a file there, in place of another of that name. Two that differ in nothing but the contents need not look
	// different.
	Write(t *testing.T, name, contents string)
	// Remove takes a file away.
	Remove(t *testing.T, name string)
	// Break makes the source unreachable, also for what is open; nil where that cannot be done.
	Break() func(t *testing.T)
}

// Run runs all tests. New returns a new place.
func Run(t *testing.T, newPlace func(t *testing.T) Place) {
	for name, test := range map[string]func(t *testing.T, p Place){
		"Proof": proof, "Witness": witness, "Scan": scan, "Hash": hash, "Changing": changing, "Open": open, "Missing": missing,
		"ProofGone": proofGone, "OtherMarker": otherMarker, "Broken": broken, "BrokenInMidScan": brokenInMidScan, "Cancelled": cancelled,
	} {
		t.Run(name, func(t *testing.T) { test(t, newPlace(t)) })
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func driver(t *testing.T, p Place) source.Driver {
	t.Helper()
	d, err := p.Open(t)
	must(t, err)
	return d
}

// marked opens the source, and marks it before.
func marked(t *testing.T, p Place) *source.Tree {
	t.Helper()
	d := driver(t, p)
	proved, err := source.Prove(t.Context(), d, "")
	must(t, err)
	tree, err := source.OpenDriver(t.Context(), d, proved)
	must(t, err)
	t.Cleanup(func() { tree.Close() })
	return tree
}

// wantUnreachable also sees to it that nobody can take the error for a file that is missing.
func wantUnreachable(t *testing.T, about string, err error) {
	t.Helper()
	if !errors.Is(err, source.ErrUnreachable) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: error = %v, want ErrUnreachable alone", about, err)
	}
}

func digest(contents string) backup.Digest {
	return backup.Digest{SHA256: sha256.Sum256([]byte(contents)), SizeBytes: int64(len(contents))}
}

// sized returns contents that repeat nowhere.
func sized(n int) string {
	contents := make([]byte, 0, n+16)
	for i := 0; len(contents) < n; i++ {
		contents = fmt.Appendf(contents, "%d,", i)
	}
	return string(contents[:n])
}

func proof(t *testing.T, p Place) {
	d := driver(t, p)
	defer d.Close()
	first, err := source.Prove(t.Context(), d, "")
	must(t, err)
	again, err := source.Prove(t.Context(), d, "")
	if err != nil || again != first || first.MarkerID == "" {
		t.Errorf("a second proof is %v, %v, want the marker that is there, %v", again, err, first)
	}
	if err := d.Create(t.Context(), source.MarkerName, []byte("x")); err == nil {
		t.Error("what was there was written over")
	}
	found, err := marked(t, p).Scan(t.Context(), nil)
	if err != nil || len(found.Candidates)+found.KnownCount != 0 {
		t.Errorf("the marker was found as a recording: %+v, %v", found, err)
	}
}

func witness(t *testing.T, p Place) {
	p.Write(t, "a/witness.gsm", "contents")
	p.Write(t, "empty", "")
	d := driver(t, p)
	proved, err := source.Prove(t.Context(), d, "a/witness.gsm")
	if err != nil || proved != (source.Proof{File: "a/witness.gsm", Digest: digest("contents")}) {
		t.Fatalf("proof = %+v, %v", proved, err)
	}
	for _, name := range []string{"empty", "none", "a", "../a/witness.gsm", "/a/witness.gsm", "a//witness.gsm"} {
		if proved, err := source.Prove(t.Context(), d, name); err == nil {
			t.Errorf("%q proves it: %+v", name, proved)
		}
	}
	tree, err := source.OpenDriver(t.Context(), d, proved)
	must(t, err)
	defer tree.Close()
	p.Write(t, "a/witness.gsm", "other contents")
	wantUnreachable(t, "check", tree.Check(t.Context()))
	if _, err := source.OpenDriver(t.Context(), driver(t, p), proved); !errors.Is(err, source.ErrUnreachable) {
		t.Errorf("open = %v", err)
	}
}

func scan(t *testing.T, p Place) {
	want := []string{"%25", ".hidden", "a b", "a/b/c/d.gsm", "a/b/e.mp3", "caf\u00e9", "deep/" + source.MarkerName, "x+y&z?", "z"}
	for _, name := range want {
		p.Write(t, name, name)
	}
	tree := marked(t, p)
	found, err := tree.Scan(t.Context(), func(c source.Candidate) bool { return c.SourcePath == "z" })
	must(t, err)
	var got []string
	for _, c := range found.Candidates {
		got = append(got, c.SourcePath)
		if c.SizeBytes != int64(len(c.SourcePath)) || c.ModTime.IsZero() {
			t.Errorf("%q looks like %v", c.SourcePath, c.Identity)
		}
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want[:len(want)-1]) || found.KnownCount != 1 || !found.Complete() || len(found.Skipped) != 0 {
		t.Errorf("found %q, %d known, %v, %v, want %q", got, found.KnownCount, found.Skipped, found.Problems, want)
	}
	again, err := tree.Scan(t.Context(), nil)
	must(t, err)
	for _, c := range again.Candidates {
		for _, was := range found.Candidates {
			if c.SourcePath == was.SourcePath && c.Identity != was.Identity {
				t.Errorf("%q was %v and is %v", c.SourcePath, was.Identity, c.Identity)
			}
		}
	}
}

func hash(t *testing.T, p Place) {
	want := map[string]string{"empty": "", "one.txt": "x"}
	for _, size := range []int{256<<10 - 1, 256 << 10, 256<<10 + 1, 1 << 20, 5<<20 + 7} {
		want[fmt.Sprint("sized/", size)] = sized(size)
	}
	for i := range 40 {
		want[fmt.Sprint("many/", i)] = sized(1000 * i)
	}
	for name, contents := range want {
		p.Write(t, name, contents)
	}
	tree := marked(t, p)
	found, err := tree.Scan(t.Context(), nil)
	must(t, err)
	hashed := map[string]source.Hashed{}
	must(t, tree.Hash(t.Context(), found.Candidates, 4, func(h source.Hashed) error {
		hashed[h.SourcePath] = h
		return nil
	}))
	for name, contents := range want {
		if h := hashed[name]; h.Err != nil || h.Digest != digest(contents) {
			t.Errorf("%q is %v, %v", name, h.Digest, h.Err)
		}
		if h, err := tree.HashFile(t.Context(), name); err != nil || h.Digest != digest(contents) {
			t.Errorf("%q alone is %v, %v", name, h.Digest, err)
		}
	}
}

func changing(t *testing.T, p Place) {
	for _, name := range []string{"same", "grown", "gone"} {
		p.Write(t, name, "contents")
	}
	tree := marked(t, p)
	found, err := tree.Scan(t.Context(), nil)
	must(t, err)
	p.Write(t, "grown", "contents and more")
	p.Remove(t, "gone")
	want := map[string]error{"same": nil, "grown": source.ErrChanging, "gone": fs.ErrNotExist}
	must(t, tree.Hash(t.Context(), found.Candidates, 2, func(h source.Hashed) error {
		if !errors.Is(h.Err, want[h.SourcePath]) {
			t.Errorf("%q: %v, want %v", h.SourcePath, h.Err, want[h.SourcePath])
		}
		delete(want, h.SourcePath)
		return nil
	}))
	if len(want) != 0 {
		t.Errorf("nothing was said of %v", want)
	}
}

func open(t *testing.T, p Place) {
	contents := sized(3<<20 + 11)
	p.Write(t, "large", contents)
	tree := marked(t, p)
	f, look, err := tree.Open(t.Context(), "large")
	must(t, err)
	defer f.Close()
	if look.SizeBytes != int64(len(contents)) {
		t.Errorf("it looks like %v", look)
	}
	for _, part := range []struct{ off, n int }{{0, 10}, {2 << 20, 1 << 20}, {1<<20 - 5, 300 << 10}, {len(contents) - 3, 3}, {17, 0}} {
		got := make([]byte, part.n)
		if n, err := f.ReadAt(got, int64(part.off)); n != part.n || err != nil || string(got) != contents[part.off:part.off+part.n] {
			t.Errorf("%d bytes from %d: %d, %v", part.n, part.off, n, err)
		}
	}
	if n, err := f.ReadAt(make([]byte, 10), int64(len(contents)-4)); n != 4 || err == nil {
		t.Errorf("beyond the end: %d, %v", n, err)
	}
}

func missing(t *testing.T, p Place) {
	p.Write(t, "a/call.gsm", "contents")
	tree := marked(t, p)
	for name, want := range map[string]error{
		"none": fs.ErrNotExist, "a/none": fs.ErrNotExist, "b/none": fs.ErrNotExist,
		"../x": source.ErrUnreadable, "/etc/passwd": source.ErrUnreadable, "a/../a/call.gsm": source.ErrUnreadable,
	} {
		if _, _, err := tree.Open(t.Context(), name); !errors.Is(err, want) || errors.Is(err, source.ErrUnreachable) {
			t.Errorf("Open(%q) = %v, want %v", name, err, want)
		}
		if _, err := tree.HashFile(t.Context(), name); !errors.Is(err, want) || errors.Is(err, source.ErrUnreachable) {
			t.Errorf("HashFile(%q) = %v, want %v", name, err, want)
		}
	}
}

// proofGone is an unmounted volume: everything is gone, and the place answers.
func proofGone(t *testing.T, p Place) {
	p.Write(t, "call.gsm", "contents")
	tree := marked(t, p)
	found, err := tree.Scan(t.Context(), nil)
	must(t, err)
	p.Remove(t, "call.gsm")
	p.Remove(t, source.MarkerName)
	everythingUnreachable(t, tree, found.Candidates)
}

func everythingUnreachable(t *testing.T, tree *source.Tree, candidates []source.Candidate) {
	t.Helper()
	wantUnreachable(t, "check", tree.Check(t.Context()))
	_, err := tree.Scan(t.Context(), nil)
	wantUnreachable(t, "scan", err)
	for _, name := range []string{"call.gsm", "none"} {
		_, _, err = tree.Open(t.Context(), name)
		wantUnreachable(t, "open "+name, err)
		_, err = tree.HashFile(t.Context(), name)
		wantUnreachable(t, "hash "+name, err)
	}
	wantUnreachable(t, "hash", tree.Hash(t.Context(), candidates, 2, func(source.Hashed) error { return nil }))
}

func otherMarker(t *testing.T, p Place) {
	tree := marked(t, p)
	p.Write(t, source.MarkerName, "wolkvox-source 00112233445566778899aabbccddeeff\n")
	wantUnreachable(t, "another source's marker", tree.Check(t.Context()))
	p.Write(t, source.MarkerName, "")
	wantUnreachable(t, "an empty marker", tree.Check(t.Context()))
}

func broken(t *testing.T, p Place) {
	if p.Break() == nil {
		t.Skip("it cannot be made unreachable")
	}
	p.Write(t, "call.gsm", sized(3<<20))
	tree := marked(t, p)
	found, err := tree.Scan(t.Context(), nil)
	must(t, err)
	f, _, err := tree.Open(t.Context(), "call.gsm")
	must(t, err)
	defer f.Close()
	p.Break()(t)
	_, err = f.ReadAt(make([]byte, 100), 2<<20)
	wantUnreachable(t, "read", err)
	everythingUnreachable(t, tree, found.Candidates)
	if d, err := p.Open(t); err == nil { // a source without connections notices later
		_, err = source.OpenDriver(t.Context(), d, source.Proof{MarkerID: "00112233445566778899aabbccddeeff"})
		wantUnreachable(t, "open again", err)
	} else {
		wantUnreachable(t, "open again", err)
	}
}

func brokenInMidScan(t *testing.T, p Place) {
	if p.Break() == nil {
		t.Skip("it cannot be made unreachable")
	}
	for i := range 20 {
		p.Write(t, fmt.Sprintf("folder%d/deeper/call.gsm", i), "contents")
	}
	tree := marked(t, p)
	stop, broke := p.Break(), false
	found, err := tree.Scan(t.Context(), func(source.Candidate) bool {
		if !broke {
			broke = true
			stop(t)
		}
		return false
	})
	wantUnreachable(t, "scan", err)
	if found != nil {
		t.Errorf("there is a result: %+v", found)
	}
}

func cancelled(t *testing.T, p Place) {
	p.Write(t, "call.gsm", "contents")
	tree := marked(t, p)
	ctx, cancel := cancelledContext(t)
	defer cancel()
	if _, err := tree.Scan(ctx, nil); !errors.Is(err, errStopped) {
		t.Errorf("Scan = %v", err)
	}
	if _, _, err := tree.Open(ctx, "call.gsm"); !errors.Is(err, errStopped) {
		t.Errorf("Open = %v", err)
	}
	if _, err := tree.HashFile(ctx, "call.gsm"); !errors.Is(err, errStopped) {
		t.Errorf("HashFile = %v", err)
	}
}
