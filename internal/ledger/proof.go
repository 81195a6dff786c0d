package ledger

import (
	"fmt"
	"iter"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const proofFirstLine = "wolkvox-backup proof v1"

// Proof shows what became of one item: its line, the entries about it, and an agreed head that they lead to
// (proto/README.md, section 1.7). Its fields are what was read, and prove nothing before [Proof.Check].
type Proof struct {
	Index    int64  // of the line in its manifest
	Line     []byte // without LF
	LinePath []tlog.Hash
	Entries  []ProofEntry // ascending by Index
	Head     []byte       // the agreed head's note
}

// ProofEntry is an entry with its audit path in the log.
type ProofEntry struct {
	Index int64
	Leaf  []byte
	Path  []tlog.Hash
}

// NewProof returns the proof for the line at index of a manifest. linePath is the line's audit path in the manifest
// ([AuditPath]), leaves yields the log's entries from the first up to at least the size of the agreed head, and hashes
// reads the log's tree. It selects the entries and their paths, one entry in memory at a time; it verifies nothing.
func NewProof(manifest, index int64, line []byte, linePath []tlog.Hash, leaves iter.Seq2[[]byte, error], hashes tlog.HashReader, head []byte) (*Proof, error) {
	p := &Proof{Index: index, Line: line, LinePath: linePath, Head: head}
	if err := p.selectEntries(manifest, leaves, hashes); err != nil {
		return nil, fmt.Errorf("prove line %d of manifest %d: %w", index, manifest, err)
	}
	return p, nil
}

// selectEntries takes up those entries that belong in the proof.
func (p *Proof) selectEntries(manifest int64, leaves iter.Seq2[[]byte, error], hashes tlog.HashReader) error {
	h, agreed, err := ParseHead(p.Head)
	if err != nil {
		return err
	}
	if !agreed {
		return fmt.Errorf("the head of size %d is not agreed", h.Size)
	}
	at := int64(0)
	for leaf, err := range leaves {
		if err != nil {
			return err
		}
		if at == h.Size {
			break
		}
		e, err := ParseEntry(leaf)
		if err != nil {
			return fmt.Errorf("entry %d: %w", at, err)
		}
		if belongs(e.Body, manifest, p.Index) {
			path, err := tlog.ProveRecord(h.Size, at, hashes)
			if err != nil {
				return fmt.Errorf("entry %d: %w", at, err)
			}
			p.Entries = append(p.Entries, ProofEntry{at, leaf, path})
		}
		at++
	}
	if at < h.Size {
		return fmt.Errorf("the head names %d entries, but the log has only %d", h.Size, at)
	}
	return nil
}

// belongs reports whether an entry stands in proofs of the line at index of a manifest.
func belongs(body Body, manifest, index int64) bool {
	switch body.Kind() {
	case KindGenesis, KindAssigned, KindRekeyed:
		return true
	}
	number, _, ok := ManifestOf(body)
	indexes, hasIndexes := IndexesOf(body)
	return ok && number == manifest && (!hasIndexes || indexes.Contains(index))
}

// Bytes returns the text of the proof.
func (p *Proof) Bytes() []byte {
	b := append([]byte(proofFirstLine), '\n')
	b = appendDecimalField(b, "line-index", p.Index)
	b = appendField(b, "line", string(p.Line))
	b = appendDecimalField(b, "line-path", int64(len(p.LinePath)))
	b = appendHashLines(b, p.LinePath)
	b = appendDecimalField(b, "entries", int64(len(p.Entries)))
	for _, e := range p.Entries {
		b = appendEntryLine(b, e.Index, len(e.Leaf))
		b = append(appendDecimal(append(b[:len(b)-1], ' '), int64(len(e.Path))), '\n')
		b = append(b, e.Leaf...)
		b = appendHashLines(b, e.Path)
	}
	b = appendDecimalField(b, "head", int64(len(p.Head)))
	return append(b, p.Head...)
}

func appendHashLines(b []byte, hashes []tlog.Hash) []byte {
	for _, h := range hashes {
		b = append(appendHash(b, h), '\n')
	}
	return b
}

// ParseProof reads a proof and checks its outer form only. The error is a [*RefusedError] with TEXT.
func ParseProof(b []byte) (*Proof, error) {
	f := &fields{rest: string(b)}
	if line := f.line(); line != proofFirstLine {
		f.fail("%.80q stands where %s was expected", line, proofFirstLine)
	}
	p := &Proof{Index: f.decimal("line-index", 0), Line: []byte(f.value("line"))}
	p.LinePath = f.hashLines(f.decimal("line-path", 0))
	for count := f.decimal("entries", 0); int64(len(p.Entries)) < count && f.refused == nil; {
		p.Entries = append(p.Entries, f.proofEntry())
	}
	p.Head = f.take(f.decimal("head", 0))
	f.end()
	if f.refused != nil {
		return nil, f.refused
	}
	return p, nil
}

func (f *fields) proofEntry() ProofEntry {
	value := f.value("entry")
	parts := strings.Split(value, " ")
	var numbers [3]int64
	for i := range numbers {
		ok := len(parts) == len(numbers)
		if ok {
			numbers[i], ok = readDecimal(parts[i])
		}
		if !ok {
			f.fail("%.80q stands where INDEX BYTES COUNT were expected", value)
			return ProofEntry{}
		}
	}
	return ProofEntry{numbers[0], f.take(numbers[1]), f.hashLines(numbers[2])}
}

// take takes exactly n bytes.
func (f *fields) take(n int64) []byte {
	if n > int64(len(f.rest)) {
		f.fail("the text ends early")
		return nil
	}
	b := []byte(f.rest[:n])
	f.rest = f.rest[n:]
	return b
}

// hashLines takes n lines of one hash each.
func (f *fields) hashLines(n int64) []tlog.Hash {
	var hashes []tlog.Hash
	for int64(len(hashes)) < n && f.refused == nil {
		line := f.line()
		h, ok := readHash(line)
		if !ok {
			f.fail("%.80q stands where a hash was expected", line)
		}
		hashes = append(hashes, h)
	}
	return hashes
}
