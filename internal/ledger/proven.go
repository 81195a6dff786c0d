package ledger

import (
	"fmt"
	"time"

	"github.com/wolkvox/backup"
	"golang.org/x/mod/sumdb/tlog"
)

// Proven is what a valid proof shows.
type Proven struct {
	Head     Head      // the agreed head
	AgreedAt time.Time // by the agent, in the server's time
	Manifest Manifest
	Index    int64
	Item     backup.Item
	State    backup.State // that the entries of the proof add up to
}

// Check verifies the whole proof: the line and every entry lead to the agreed head, every signature is valid, and
// the keys are those with these fingerprints, which the client wrote down when enrolling. It cannot see whether an
// act of the log was left out of the proof. The error is a [*RefusedError].
func (p *Proof) Check(serverFingerprint, agentFingerprint string) (Proven, error) {
	head, _, refused := parseHead(p.Head)
	if refused != nil {
		return Proven{}, fmt.Errorf("check a proof: the head: %w", refused)
	}
	item, err := ParseLine(p.Line)
	if err != nil {
		return Proven{}, fmt.Errorf("check a proof: the line: %w", err)
	}
	if refused := p.checkPaths(head); refused != nil {
		return Proven{}, fmt.Errorf("check a proof: %w", refused)
	}
	fold := proofFold{index: p.Index}
	for _, e := range p.Entries {
		if refused := fold.add(e, head.Origin); refused != nil {
			return Proven{}, fmt.Errorf("check a proof: entry %d: %w", e.Index, refused)
		}
	}
	if refused := fold.checkEnd(p, serverFingerprint, agentFingerprint); refused != nil {
		return Proven{}, fmt.Errorf("check a proof: %w", refused)
	}
	head, at, err := OpenAgreedHead(p.Head, fold.log.ServerKey, fold.log.AgentKey)
	if err != nil {
		return Proven{}, fmt.Errorf("check a proof: the head: %w", err)
	}
	return Proven{head, at, fold.manifest, p.Index, item, fold.state}, nil
}

// checkPaths checks that the entries ascend from the log's first and are those that the head stands for.
func (p *Proof) checkPaths(head Head) *RefusedError {
	last := int64(-1)
	for i, e := range p.Entries {
		if e.Index <= last || i == 0 && e.Index != 0 {
			return refuse(ReasonText, "entry %d is out of place: the entries ascend from 0", e.Index)
		}
		last = e.Index
		if err := tlog.CheckRecord(e.Path, head.Size, head.Root, e.Index, tlog.RecordHash(e.Leaf)); err != nil {
			return refuse(ReasonRoot, "the path of entry %d does not lead to the head: %v", e.Index, err)
		}
	}
	return nil
}

// proofFold folds the entries of a proof for one index.
type proofFold struct {
	index    int64
	log      Log      // keys and origin only
	manifest Manifest // zero before its sealed
	state    backup.State
}

func (f *proofFold) add(pe ProofEntry, origin Origin) *RefusedError {
	e, n, refused := parseEntry(pe.Leaf)
	if refused != nil {
		return refused
	}
	if e.Origin != origin {
		return refuse(ReasonOrigin, "the entry is of the log %s, the head of %s", e.Origin, origin)
	}
	if refused := f.log.checkPlace(e); refused != nil {
		return refused
	}
	if refused := f.log.checkSignatures(e.Body, n); refused != nil {
		return refused
	}
	if refused := f.addState(pe.Index, e.Body); refused != nil {
		return refused
	}
	f.log.applyKeys(e)
	f.log.Size = pe.Index + 1
	return nil
}

// addState checks and folds an entry about the manifest; others leave the state as it is.
func (f *proofFold) addState(at int64, body Body) *RefusedError {
	number, root, ok := ManifestOf(body)
	if !ok {
		if !belongs(body, 0, 0) {
			return refuse(ReasonText, "%s does not belong in a proof", body.Kind())
		}
		return nil
	}
	if sealed, ok := body.(Sealed); ok {
		if f.manifest.Number != 0 {
			return refuse(ReasonManifest, "the proof seals a second manifest, or the same twice")
		}
		f.manifest = newManifest(sealed, at)
		f.state = backup.Pending
		return nil
	}
	if f.manifest.Number == 0 || number != f.manifest.Number {
		return refuse(ReasonManifest, "manifest %d is not the one that the proof seals, or is not sealed yet", number)
	}
	if refused := f.manifest.check(body, root); refused != nil {
		return refused
	}
	if x, ok := body.(Extended); ok {
		if refused := f.manifest.checkDeadline(x); refused != nil {
			return refused
		}
	}
	if !belongs(body, number, f.index) {
		return refuse(ReasonIndex, "%s is not about index %d", body.Kind(), f.index)
	}
	f.manifest.apply(body)
	f.state = Next(body.Kind(), f.manifest.Open, f.state)
	return nil
}

// checkEnd checks the line against its manifest, and the keys.
func (f *proofFold) checkEnd(p *Proof, serverFingerprint, agentFingerprint string) *RefusedError {
	switch {
	case f.manifest.Number == 0:
		return refuse(ReasonManifest, "no entry seals the manifest")
	case p.Index >= f.manifest.Items:
		return refuse(ReasonIndex, "index %d is not below the %d items of manifest %d", p.Index, f.manifest.Items, f.manifest.Number)
	case f.log.Genesis.ServerKey.Fingerprint() != serverFingerprint:
		return refuse(ReasonKey, "the server's first key has the fingerprint %s, not the trusted one", f.log.Genesis.ServerKey.Fingerprint())
	case f.log.AgentKey == "":
		return refuse(ReasonKey, "no agent is assigned")
	case f.log.AgentKey.Fingerprint() != agentFingerprint:
		return refuse(ReasonKey, "the agent's key has the fingerprint %s, not the trusted one", f.log.AgentKey.Fingerprint())
	}
	if err := tlog.CheckRecord(p.LinePath, f.manifest.Items, f.manifest.Root, p.Index, LineHash(p.Line)); err != nil {
		return refuse(ReasonRoot, "the line's path does not lead to the root of manifest %d: %v", f.manifest.Number, err)
	}
	return nil
}
