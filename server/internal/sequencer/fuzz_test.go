package sequencer

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/wolkvox/backup/internal/ledger"
)

// FuzzOffer hands in an offer in a way that the input says: pieces of a real log, in any order, with bytes changed. Nothing but
// [ErrBadOffer] comes of a bad one, and one that is complete is that log, entry by entry and line by line.
func FuzzOffer(f *testing.F) {
	// Each step is a byte for what is done, one for which, one for where, one for the bit that is changed.
	entries := []byte{0, 0, 0, 0, 0, 1, 1, 0, 2, 1, 0, 0, 0, 2, 2, 0, 2, 2, 0, 0, 0, 3, 3, 0}
	f.Add(entries)
	f.Add(append(slices.Clone(entries), 1, 3, 7, 9))
	f.Add([]byte{2, 2, 0, 0})
	f.Add([]byte{2, 1, 0, 0, 2, 1, 1, 0, 0, 0, 9, 0})
	f.Add([]byte{3, 1, 0, 0, 3, 1, 1, 0})
	var once sync.Once
	var whole copyOf
	f.Fuzz(func(t *testing.T, steps []byte) {
		once.Do(func() { whole = newRig(t, 2, 3).hold() })
		head, err := ledger.OpenHead(whole.head, newKey(t, string(origin), 1).Verifier())
		if err != nil {
			t.Fatal(err)
		}
		in := newIncoming(t, head)
		for step := range slices.Chunk(steps[:min(len(steps), 256)], 4) {
			if len(step) < 4 {
				break
			}
			if err := whole.step(in, step); err != nil {
				if !errors.Is(err, ErrBadOffer) {
					t.Fatalf("step %v: %v", step, err)
				}
				return // whoever hands in something bad is not asked for more
			}
		}
		err = in.complete(func(ledger.Verifier) (*ledger.SigningKey, error) { return nil, nil })
		if err != nil && !errors.Is(err, ErrBadOffer) {
			t.Fatal(err)
		}
		if err == nil {
			whole.check(t, in)
		}
	})
}

// newIncoming is what takes in an offer with this head at a server that has nothing of the log.
func newIncoming(t *testing.T, head ledger.Head) *incoming {
	t.Helper()
	in := &incoming{dir: t.TempDir(), head: head, fold: ledger.NewFold(), room: func() error { return nil }, ahead: map[int64]*incomingManifest{}, erased: map[int64]*erasure{}}
	var err error
	if in.entries, err = os.Create(filepath.Join(in.dir, "entries")); err != nil {
		t.Fatal(err)
	}
	in.writer = bufio.NewWriter(in.entries)
	t.Cleanup(in.remove)
	return in
}

// step does what four bytes of an input say.
func (c copyOf) step(in *incoming, step []byte) error {
	change := func(b []byte) []byte {
		if b = bytes.Clone(b); step[3] != 0 && len(b) > 0 {
			b[int(step[2])*7%len(b)] ^= step[3]
		}
		return b
	}
	manifest := int64(step[1] % 4)
	lines := c.lines[manifest]
	switch step[0] % 4 {
	case 0: // the entry that comes next, or another
		return in.addEntries(int64(step[2]%8), [][]byte{change(c.leaves[int(step[1])%len(c.leaves)])})
	case 1: // some that were changed
		return in.addEntries(in.fold.Size, [][]byte{change(c.leaves[int(in.fold.Size)%len(c.leaves)])})
	case 2: // all lines of a manifest
		return in.addLines(manifest, int64(step[2]%4), change(lines), true)
	}
	// One line of a manifest, or a piece that is none.
	for at, line := range slices.Collect(bytes.Lines(lines)) {
		if at == int(step[2]%4) {
			return in.addLines(manifest, int64(at), change(line), at == bytes.Count(lines, []byte{'\n'})-1)
		}
	}
	return in.addLines(manifest, int64(step[2]), step, step[3]%2 == 0)
}

// check fails where what came is not the log.
func (c copyOf) check(t *testing.T, in *incoming) {
	t.Helper()
	n := 0
	for leaf, err := range in.leaves() {
		if err != nil || n >= len(c.leaves) || !bytes.Equal(leaf, c.leaves[n]) {
			t.Fatalf("entry %d is another: %v", n, err)
		}
		n++
	}
	if n != len(c.leaves) {
		t.Errorf("%d entries came, want %d", n, len(c.leaves))
	}
	for manifest, want := range c.lines {
		if got, err := os.ReadFile(in.path(manifest)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the lines of manifest %d are others: %v", manifest, err)
		}
	}
}
