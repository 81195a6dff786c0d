package ledger

import "golang.org/x/mod/sumdb/tlog"

// AuditPath computes the RFC 6962 §2.1.1 audit path of one leaf while the leaf hashes of the whole tree pass by, with
// memory for one hash per level. [tlog.CheckRecord] checks the result.
type AuditPath struct {
	index, size int64
	subtrees    []pathSubtree // in the order of their leaves
	at          int           // subtree that the next leaf belongs to
	tree        Frontier      // over the leaves of that subtree
	seen        int64
	path        []tlog.Hash
}

// pathSubtree is the leaves from first to before end, whose root is the path's hash at depth.
type pathSubtree struct {
	first, end int64
	depth      int // 0 next to the leaf
}

// NewAuditPath returns the computation for the leaf at index of a tree with size leaves, 0 <= index < size.
func NewAuditPath(index, size int64) *AuditPath {
	p := &AuditPath{index: index, size: size}
	p.split(0, size)
	p.path = make([]tlog.Hash, len(p.subtrees))
	return p
}

// split lists the sibling subtrees below the subtree of the leaves lo to hi-1, which holds the index, and returns how
// many they are.
func (p *AuditPath) split(lo, hi int64) int {
	if hi-lo == 1 {
		return 0
	}
	half := int64(1)
	for 2*half < hi-lo {
		half *= 2
	}
	mid := lo + half
	if p.index < mid {
		depth := p.split(lo, mid)
		p.subtrees = append(p.subtrees, pathSubtree{mid, hi, depth})
		return depth + 1
	}
	at := len(p.subtrees)
	p.subtrees = append(p.subtrees, pathSubtree{first: lo, end: mid})
	depth := p.split(mid, hi)
	p.subtrees[at].depth = depth
	return depth + 1
}

// Add takes the hash of the next leaf. Leaves beyond the tree's size are passed over.
func (p *AuditPath) Add(leaf tlog.Hash) {
	i := p.seen
	p.seen++
	if i == p.index || i >= p.size {
		return
	}
	subtree := p.subtrees[p.at]
	p.tree.Add(leaf)
	if i+1 == subtree.end {
		p.path[subtree.depth] = p.tree.Root()
		p.tree = Frontier{}
		p.at++
	}
}

// Path returns the audit path; false where not all leaves were added.
func (p *AuditPath) Path() ([]tlog.Hash, bool) { return p.path, p.seen >= p.size }
