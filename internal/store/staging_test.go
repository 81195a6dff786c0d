package store

import (
	"bytes"
	"errors"
	"testing"

	"github.com/wolkvox/backup/internal/ledger"
)

func TestManifestLines(t *testing.T) {
	t.Parallel()
	l := memoryLedger(t)
	a := newAuthor(t, testOrigin)
	must(t, l.Append(a.genesis(), a.assign()))
	lines := a.makeLines(1, 4000)
	stage(t, l, 1, lines)
	staged, err := l.Staged()
	if err != nil || len(staged) != 1 || !staged[0].Complete || staged[0].Items != 4000 {
		t.Errorf("Staged = %+v, %v", staged, err)
	}
	for _, err := range l.Lines(1, 0) {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("Lines before it is sealed: %v", err)
		}
	}
	must(t, l.Append(a.add(a.sealed(1, lines))))
	if staged, err := l.Staged(); err != nil || len(staged) != 0 {
		t.Errorf("Staged = %+v, %v after sealing", staged, err)
	}
	whole := append(bytes.Join(lines, []byte{'\n'}), '\n')
	for _, from := range []int64{0, 1, 1999, 3999, 4000} {
		var raw []byte
		for piece, err := range l.RawLines(1, from) {
			must(t, err)
			if len(piece) > MaxChunkBytes {
				t.Errorf("a piece has %d bytes", len(piece))
			}
			raw = append(raw, piece...)
		}
		if want := whole[len(whole)-len(bytes.Join(lines[from:], nil))-int(4000-from):]; !bytes.Equal(raw, want) {
			t.Errorf("RawLines(1, %d): %d bytes, want %d", from, len(raw), len(want))
		}
		i := from
		for line, err := range l.Lines(1, from) {
			must(t, err)
			if !bytes.Equal(line.Text, lines[i]) {
				t.Fatalf("line %d is %q", i, line.Text)
			}
			i++
		}
		if i != 4000 {
			t.Errorf("Lines(1, %d) ended at %d", from, i)
		}
	}
	for _, i := range []int64{0, 1300, 3999} {
		if line, err := l.Line(1, i); err != nil || !bytes.Equal(line.Text, lines[i]) {
			t.Errorf("Line(%d) = %q, %v", i, line.Text, err)
		}
	}
	if _, err := l.Line(1, 4000); !errors.Is(err, ErrNotFound) {
		t.Errorf("Line(4000): %v", err)
	}
}

func TestResumeManifest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openStore(t, dir, Options{})
	l := openLedger(t, db)
	a := newAuthor(t, testOrigin)
	must(t, l.Append(a.genesis(), a.assign()))
	lines := longLines(t, 120)
	w, err := l.StageManifest(1)
	must(t, err)
	for _, line := range lines[:110] {
		must(t, w.Add(line))
	}
	must(t, db.Close()) // in the middle of staging

	l = openLedger(t, openStore(t, dir, Options{}))
	w, err = l.ResumeManifest(1)
	must(t, err)
	if n := w.Len(); n == 0 || n >= 110 {
		t.Errorf("resumed at line %d, want some and not all of 110", n)
	}
	for _, line := range lines[w.Len():] {
		must(t, w.Add(line))
	}
	root, items, sizeBytes, err := w.Commit()
	sealed := a.sealed(1, lines)
	if err != nil || root != sealed.Root || items != sealed.Items || sizeBytes != sealed.Bytes {
		t.Errorf("Commit = %x, %d, %d, %v", root[:], items, sizeBytes, err)
	}
	if w, err = l.ResumeManifest(1); err != nil || w.Len() != 120 {
		t.Fatalf("a complete manifest resumed at %d, %v", w.Len(), err)
	}
	if err := l.Append(a.leaf(sealed)); !errors.Is(err, ErrNoManifest) {
		t.Errorf("sealed while it is resumed: %v", err)
	}
	_, _, _, err = w.Commit()
	must(t, err)
	n := 0
	for line, err := range l.StagedLines(1) {
		must(t, err)
		if !bytes.Equal(line.Text, lines[n]) {
			t.Fatalf("staged line %d is %q", n, line.Text)
		}
		n++
	}
	if n != 120 {
		t.Errorf("%d staged lines", n)
	}
	must(t, l.Append(a.add(sealed)))
	checkWell(t, l, a)
}

func TestDropStaged(t *testing.T) {
	t.Parallel()
	l := memoryLedger(t)
	a := newAuthor(t, testOrigin)
	must(t, l.Append(a.genesis(), a.assign()))
	stage(t, l, 1, a.makeLines(1, 3000))
	must(t, l.DropStaged(1))
	must(t, l.DropStaged(7))
	if staged, err := l.Staged(); err != nil || len(staged) != 0 {
		t.Errorf("Staged = %+v, %v", staged, err)
	}
	w, err := l.ResumeManifest(1)
	if err != nil || w.Len() != 0 {
		t.Fatalf("resumed at %d after it was dropped, %v", w.Len(), err)
	}
	w.Abort()
	w.Abort()
	if err := w.Add(a.lines[1][0]); err == nil {
		t.Error("Add after Abort")
	}

	stage(t, l, 1, a.lines[1])
	stage(t, l, 1, a.lines[1][:10]) // replaces it
	must(t, l.Append(a.add(a.sealed(1, a.lines[1][:10]))))
	checkWell(t, l, a)

	stage(t, l, 2, nil)
	must(t, l.Append(a.add(a.sealed(2, nil))))
	checkWell(t, l, a)
	for range l.Lines(2, 0) {
		t.Error("an empty manifest has a line")
	}
}

func TestManifestWriterRefuses(t *testing.T) {
	t.Parallel()
	l := memoryLedger(t)
	w, err := l.StageManifest(1)
	must(t, err)
	defer w.Abort()
	must(t, w.Add(testLine(t, 1, 5)))
	var refused *ledger.RefusedError
	if err := w.Add(testLine(t, 1, 5)); !errors.As(err, &refused) {
		t.Errorf("the same path again: %v", err)
	}
	if err := w.Add([]byte("x")); !errors.As(err, &refused) {
		t.Errorf("not a line: %v", err)
	}
	if _, err := l.StageManifest(0); err == nil {
		t.Error("manifest 0 staged")
	}
}
