package ledger

import (
	"crypto/sha256"

	"golang.org/x/mod/sumdb/tlog"
)

// Frontier computes the root of a growing RFC 6962 §2.1 tree with memory for one hash per level. The zero value is
// the empty tree. It is plain data: whoever keeps its fields can go on from there.
type Frontier struct {
	Leaves int64
	Nodes  []tlog.Hash // roots of the perfect subtrees that the leaves fall into, greatest first
}

// EmptyRoot returns the root of the tree without leaves, the SHA-256 of nothing.
func EmptyRoot() tlog.Hash { return sha256.Sum256(nil) }

// Add appends a leaf, given its leaf hash.
func (f *Frontier) Add(leaf tlog.Hash) {
	for n := f.Leaves; n&1 == 1; n >>= 1 {
		last := len(f.Nodes) - 1
		leaf = tlog.NodeHash(f.Nodes[last], leaf)
		f.Nodes = f.Nodes[:last]
	}
	f.Nodes = append(f.Nodes, leaf)
	f.Leaves++
}

// Size returns the number of leaves.
func (f *Frontier) Size() int64 { return f.Leaves }

// Root returns the root of the tree.
func (f *Frontier) Root() tlog.Hash {
	if len(f.Nodes) == 0 {
		return EmptyRoot()
	}
	root := f.Nodes[len(f.Nodes)-1]
	for i := len(f.Nodes) - 2; i >= 0; i-- {
		root = tlog.NodeHash(f.Nodes[i], root)
	}
	return root
}

// Clone returns a copy that can grow on its own.
func (f *Frontier) Clone() Frontier {
	return Frontier{f.Leaves, append([]tlog.Hash(nil), f.Nodes...)}
}
