package ledger

import (
	"crypto/sha256"
	"maps"
	"slices"
	"time"

	"github.com/wolkvox/backup"
	"golang.org/x/mod/sumdb/tlog"
)

// Log is what the structural rules need to know of a log's entries so far (proto/README.md, section 3.1). The zero value
// is the empty log. It is plain data: whoever keeps its fields can go on from there. What an entry changes is
// Size, Manifests at [ManifestOf] its body, and of the rest only what the entry's kind is about: a receipt the
// chain of AgentKey, genesis, assigned and rekeyed the keys, withdrawn and sealed Awaiting, retired Retired.
type Log struct {
	Origin    Origin
	Size      int64
	Genesis   Genesis  // the body of the first entry
	ServerKey Verifier // the current one
	AgentKey  Verifier // the one last assigned, empty before the first
	Chains    map[Verifier]Chain
	Manifests []Manifest // manifest n is at n-1
	Awaiting  int64      // the manifest whose sealed must be the next entry, 0 for none
	Retired   bool
}

// Chain is the end of the chain of one agent key's receipts.
type Chain struct {
	Number int64     // of its last receipt, 0 before the first
	Last   tlog.Hash // SHA-256 of the last receipt's leaf
}

// Manifest is what a log says of a sealed manifest as a whole.
type Manifest struct {
	Number   int64
	Root     tlog.Hash
	Night    backup.Date
	Items    int64
	Bytes    int64
	Deadline time.Time
	Open     bool  // not closed, or extended since
	SealedAt int64 // index of its sealed entry in the log
}

// Clone returns a copy that shares nothing that changes.
func (l *Log) Clone() *Log {
	c := *l
	c.Chains = maps.Clone(l.Chains)
	c.Manifests = slices.Clone(l.Manifests)
	return &c
}

// Manifest returns what the log says of manifest n; false where it is not sealed.
func (l *Log) Manifest(n int64) (Manifest, bool) {
	if n < 1 || n > int64(len(l.Manifests)) {
		return Manifest{}, false
	}
	return l.Manifests[n-1], true
}

// Check says whether leaf may be the next entry. It verifies the signatures and changes nothing. The error is
// a [*RefusedError] with the first reason that applies.
func (l *Log) Check(leaf []byte) (Entry, error) {
	e, n, refused := parseEntry(leaf)
	if refused == nil {
		refused = l.checkPlace(e)
	}
	if refused == nil {
		refused = l.checkSequence(e.Body)
	}
	if refused == nil {
		refused = l.checkSignatures(e.Body, n)
	}
	if refused == nil {
		refused = l.checkManifest(e.Body)
	}
	if refused != nil {
		return Entry{}, refused
	}
	return e, nil
}

// checkPlace judges ORIGIN and GENESIS.
func (l *Log) checkPlace(e Entry) *RefusedError {
	switch isGenesis := e.Body.Kind() == KindGenesis; {
	case l.Size > 0 && e.Origin != l.Origin:
		return refuse(ReasonOrigin, "the entry is of the log %s, not of %s", e.Origin, l.Origin)
	case l.Size == 0 && !isGenesis:
		return refuse(ReasonGenesis, "the first entry is %s", e.Body.Kind())
	case l.Size > 0 && isGenesis:
		return refuse(ReasonGenesis, "entry %d is a second genesis", l.Size)
	}
	return nil
}

// checkSequence judges RETIRED and REPLACEMENT.
func (l *Log) checkSequence(body Body) *RefusedError {
	if l.Retired && body.Kind() != KindRekeyed {
		return refuse(ReasonRetired, "the log is retired and the entry is %s", body.Kind())
	}
	if l.Awaiting != 0 {
		if sealed, ok := body.(Sealed); !ok || sealed.Manifest != l.Awaiting {
			return refuse(ReasonReplacement, "the replacement, manifest %d, must be sealed by this entry", l.Awaiting)
		}
	}
	if w, ok := body.(Withdrawn); ok && w.Replacement != 0 && w.Replacement != int64(len(l.Manifests))+1 {
		return refuse(ReasonReplacement, "the replacement is manifest %d, but the next one is %d", w.Replacement, len(l.Manifests)+1)
	}
	return nil
}

// checkSignatures judges KEY and SIGNATURE.
func (l *Log) checkSignatures(body Body, n note) *RefusedError {
	keys := []Verifier{l.ServerKey}
	if body.Kind().IsReceipt() {
		keys[0] = l.AgentKey
		if l.AgentKey == "" {
			return refuse(ReasonKey, "no agent is assigned")
		}
	}
	switch b := body.(type) {
	case Genesis:
		keys[0] = b.ServerKey
	case Rekeyed:
		keys = append(keys, b.NewKey)
		if b.OldKey != l.ServerKey {
			return refuse(ReasonKey, "old-key is not the current key")
		}
	}
	if s := n.signatures[0]; !s.isBy(keys[0]) {
		return refuse(ReasonKey, "it is signed by %s+%x, not by the current key %s", s.name, s.id, keys[0])
	}
	if len(n.signatures) != len(keys) {
		return refuse(ReasonSignature, "it has %d signatures instead of %d", len(n.signatures), len(keys))
	}
	for i, key := range keys {
		if !n.signatures[i].isBy(key) || !n.signatures[i].verifies(key, n.text) {
			return refuse(ReasonSignature, "signature %d is not a valid one by %s", i+1, key)
		}
	}
	if assigned, ok := body.(Assigned); ok {
		return assigned.checkRequest()
	}
	return nil
}

// checkManifest judges MANIFEST, ROOT, INDEX, CHAIN and DEADLINE.
func (l *Log) checkManifest(body Body) *RefusedError {
	number, root, ok := ManifestOf(body)
	if !ok {
		return nil
	}
	if body.Kind() == KindSealed {
		if next := int64(len(l.Manifests)) + 1; number != next {
			return refuse(ReasonManifest, "manifest %d is sealed, but the next one is %d", number, next)
		}
		return nil
	}
	m, ok := l.Manifest(number)
	if !ok {
		return refuse(ReasonManifest, "manifest %d is not sealed", number)
	}
	if refused := m.check(body, root); refused != nil {
		return refused
	}
	if r, ok := ReceiptOf(body); ok {
		chain := l.Chains[l.AgentKey]
		if r.Number != chain.Number+1 {
			return refuse(ReasonChain, "receipt %d follows receipt %d", r.Number, chain.Number)
		}
		if r.Previous != chain.Last {
			return refuse(ReasonChain, "receipt %d does not follow the receipt %d that is in the log", r.Number, chain.Number)
		}
	}
	if x, ok := body.(Extended); ok {
		return m.checkDeadline(x)
	}
	return nil
}

// check judges ROOT and INDEX of an entry that names m.
func (m *Manifest) check(body Body, root tlog.Hash) *RefusedError {
	if root != m.Root {
		return refuse(ReasonRoot, "manifest %d has the root %x, not %x", m.Number, m.Root[:], root[:])
	}
	if indexes, ok := IndexesOf(body); ok && indexes.Max() >= m.Items {
		return refuse(ReasonIndex, "index %d is not below the %d items of manifest %d", indexes.Max(), m.Items, m.Number)
	}
	return nil
}

func (m *Manifest) checkDeadline(x Extended) *RefusedError {
	if !x.Deadline.After(m.Deadline) {
		return refuse(ReasonDeadline, "the deadline of manifest %d is %s already", m.Number, m.Deadline.UTC().Format(timeLayout))
	}
	return nil
}

// Apply adds an entry: leaf and what [Log.Check] returned for it in this state.
func (l *Log) Apply(leaf []byte, e Entry) {
	l.applyKeys(e)
	switch b := e.Body.(type) {
	case Sealed:
		l.Manifests = append(l.Manifests, newManifest(b, l.Size))
		l.Awaiting = 0
	case Withdrawn:
		l.Awaiting = b.Replacement
	case Retired:
		l.Retired = true
	}
	if number, _, ok := ManifestOf(e.Body); ok {
		l.Manifests[number-1].apply(e.Body)
	}
	if r, ok := ReceiptOf(e.Body); ok {
		if l.Chains == nil {
			l.Chains = make(map[Verifier]Chain)
		}
		l.Chains[l.AgentKey] = Chain{r.Number, sha256.Sum256(leaf)}
	}
	l.Size++
}

func (l *Log) applyKeys(e Entry) {
	switch b := e.Body.(type) {
	case Genesis:
		l.Origin, l.Genesis, l.ServerKey = e.Origin, b, b.ServerKey
	case Assigned:
		l.AgentKey = b.Request.AgentKey
	case Rekeyed:
		l.ServerKey = b.NewKey
	}
}

func newManifest(s Sealed, at int64) Manifest {
	return Manifest{s.Manifest, s.Root, s.Night, s.Items, s.Bytes, s.Deadline, true, at}
}

func (m *Manifest) apply(body Body) {
	switch b := body.(type) {
	case Closed:
		m.Open = false
	case Extended:
		m.Open, m.Deadline = true, b.Deadline
	}
}
