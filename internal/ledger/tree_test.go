package ledger

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"
)

// storedHashes keeps every hash of a tree, as x/mod counts them.
type storedHashes []tlog.Hash

func (s storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		hashes[i] = s[at]
	}
	return hashes, nil
}

func TestTrees(t *testing.T) {
	t.Parallel()
	var stored storedHashes
	var f Frontier
	var leaves []tlog.Hash
	for n := range int64(301) {
		want, err := tlog.TreeHash(n, stored)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Root(); got != want || f.Size() != n {
			t.Fatalf("the root of %d leaves is %v, want %v", n, got, want)
		}
		for index := range n {
			if n > 40 && index%37 != n%37 && index != n-1 {
				continue
			}
			want, err := tlog.ProveRecord(n, index, stored)
			if err != nil {
				t.Fatal(err)
			}
			p := NewAuditPath(index, n)
			for i, leaf := range leaves {
				if got, ok := p.Path(); ok {
					t.Fatalf("after %d of %d leaves the path is %v", i, n, got)
				}
				p.Add(leaf)
			}
			if got, ok := p.Path(); !ok || !slices.Equal(got, want) {
				t.Fatalf("the path of leaf %d of %d is %v, %t, want %v", index, n, got, ok, want)
			}
		}
		data := fmt.Appendf(nil, "leaf %d", n)
		hashes, err := tlog.StoredHashes(n, data, stored)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
		leaves = append(leaves, LineHash(data))
		f.Add(LineHash(data))
	}
}

func TestLineHash(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 200, 510, 511, 512, 513, MaxLineBytes} {
		line := make([]byte, n)
		if got, want := LineHash(line), tlog.RecordHash(line); got != want {
			t.Errorf("LineHash of %d bytes = %v, want %v", n, got, want)
		}
	}
}

func TestFrontierClone(t *testing.T) {
	t.Parallel()
	var f Frontier
	for i := range 7 {
		f.Add(LineHash([]byte{byte(i)}))
	}
	before := f.Clone()
	c := f.Clone()
	for range 9 {
		c.Add(EmptyRoot())
	}
	if diff := cmp.Diff(before, f); diff != "" {
		t.Errorf("growing a clone changed the original:\n%s", diff)
	}
}
