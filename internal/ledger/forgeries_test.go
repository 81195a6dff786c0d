package ledger

import (
	"bytes"
	"slices"
	"testing"

	"github.com/wolkvox/backup"
	"golang.org/x/mod/sumdb/tlog"
)

// forgeable is a log of two nights, two keys of the server and two agents; item 1 of manifest 1 is confirmed by the second.
func forgeable(t *testing.T) *builder {
	b := newBuilder(t, testOrigin)
	b.assign("agent 1")
	b.seal(testItems("a", 5)...)
	b.seal(testItems("b", 3)...)
	b.add(Delivered{b.receipt(1, Range{0, 4}), backup.ReadbackUncached, BroughtAutomatic})
	b.rekey("server 2")
	b.assign("agent 2")
	b.add(Lost{b.receipt(1, Range{1, 1}), LostMissing})
	b.add(Delivered{b.receipt(1, Range{1, 1}), backup.ReadbackUncached, BroughtAutomatic})
	b.add(Delivered{b.receipt(2, Range{0, 2}), backup.ReadbackUncached, BroughtAutomatic})
	return b
}

// afterwards is the proof in a log in which one more leaf stands, whatever it is, as if both sides had agreed on it.
func (b *builder) afterwards(manifest, index int64, leaf []byte) *Proof {
	b.t.Helper()
	leaves := append(slices.Clone(b.leaves), leaf)
	tree := treeOf(b.t, leaves)
	size := int64(len(leaves))
	root, err := tlog.TreeHash(size, tree)
	if err != nil {
		b.t.Fatal(err)
	}
	head, err := SignHead(Head{b.origin(), size, root}, b.server)
	if err != nil {
		b.t.Fatal(err)
	}
	agreed, err := Cosign(head, b.server.Verifier(), b.agent, b.now)
	if err != nil {
		b.t.Fatal(err)
	}
	honest := b.proof(manifest, index)
	p, err := NewProof(manifest, index, honest.Line, honest.LinePath, entries(leaves), tree, agreed)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// TestForgedProofs has proofs over entries that no honest log has, each of which leads to the head that is shown, and proofs that
// mix what belongs to different logs.
func TestForgedProofs(t *testing.T) {
	t.Parallel()
	b := forgeable(t)
	server, agent := b.fold.Genesis.ServerKey.Fingerprint(), b.agent.Verifier().Fingerprint()
	if proven, err := b.proof(1, 1).Check(server, agent); err != nil || proven.State != backup.Confirmed {
		t.Fatalf("the genuine proof: %+v, %v", proven, err)
	}
	delivered := func(change func(*Receipt)) Delivered {
		r := b.receipt(1, Range{1, 1})
		change(&r)
		return Delivered{r, backup.ReadbackUncached, BroughtAutomatic}
	}
	by := func(body Body, key *SigningKey) []byte {
		return rawNote(string(Entry{b.origin(), b.now, body}.appendText(nil)), key)
	}
	honest := func(change func(p *Proof)) *Proof {
		p, err := ParseProof(b.proof(1, 1).Bytes())
		if err != nil {
			t.Fatal(err)
		}
		change(p)
		return p
	}
	fork := forgeable(t)
	fork.add(Withdrawn{Manifest: 1, Root: fork.root(1), Indexes: NewSet(Range{3, 3}), Reason: WithdrawnLost})
	b2 := forgeable(t)
	b2.add(Withdrawn{Manifest: 1, Root: b2.root(1), Indexes: NewSet(Range{2, 2}), Reason: WithdrawnLost})
	for _, c := range []struct {
		name   string
		proof  *Proof
		reason Reason
	}{
		{"a receipt by the agent before", b.afterwards(1, 1, by(delivered(func(*Receipt) {}), testAgentKey(t, testOrigin, "agent 1"))), ReasonKey},
		{"a receipt by a key never assigned", b.afterwards(1, 1, by(delivered(func(*Receipt) {}), testAgentKey(t, testOrigin, "agent 3"))), ReasonKey},
		{"a receipt by the server", b.afterwards(1, 1, by(delivered(func(*Receipt) {}), b.server)), ReasonKey},
		{"a receipt with the root of another night", b.afterwards(1, 1, by(delivered(func(r *Receipt) { r.Root = b.root(2) }), b.agent)), ReasonRoot},
		{"a receipt beyond the manifest", b.afterwards(1, 1, by(delivered(func(r *Receipt) { r.Indexes = NewSet(Range{1, 5}) }), b.agent)), ReasonIndex},
		{"a receipt whose signature is of another", b.afterwards(1, 1, swapSignature(t, by(delivered(func(*Receipt) {}), b.agent), b.leaves[len(b.leaves)-1])), ReasonSignature},
		{"a deadline that goes back", b.afterwards(1, 1, by(Extended{1, b.root(1), b.fold.Manifests[0].Deadline, ExtendedOutage}, b.server)), ReasonDeadline},
		{"a withdrawal by the key before", b.afterwards(1, 1, by(Withdrawn{Manifest: 1, Root: b.root(1), Indexes: NewSet(Range{1, 1}), Reason: WithdrawnLost}, testKey(t, string(testOrigin), "server 1"))), ReasonKey},
		{"a second genesis", b.afterwards(1, 1, by(b.fold.Genesis, b.server)), ReasonGenesis},
		{"the night sealed again", b.afterwards(1, 1, b.leaves[b.fold.Manifests[0].SealedAt]), ReasonKey},
		{"the path of another night", honest(func(p *Proof) { p.LinePath = b.proof(2, 1).LinePath }), ReasonRoot},
		{"the line and path of another night", honest(func(p *Proof) { p.Line, p.LinePath = b.proof(2, 1).Line, b.proof(2, 1).LinePath }), ReasonRoot},
		{"the path of another recording", honest(func(p *Proof) { p.LinePath = b.proof(1, 3).LinePath }), ReasonRoot},
		{"the head of another branch", func() *Proof { p := b2.proof(1, 1); p.Head = fork.agreedHead(); return p }(), ReasonRoot},
		{"an entry of another branch", func() *Proof {
			p := b2.proof(1, 2)
			p.Entries = append(p.Entries[:len(p.Entries)-1], fork.proof(1, 3).Entries[len(fork.proof(1, 3).Entries)-1])
			return p
		}(), ReasonRoot},
		{"the assignment of the second agent left out", honest(func(p *Proof) { p.Entries = slices.Delete(p.Entries, 5, 6) }), ReasonKey},
		{"the server's second key left out", honest(func(p *Proof) { p.Entries = slices.Delete(p.Entries, 4, 5) }), ReasonKey},
		{"the sealing of another night", honest(func(p *Proof) { p.Entries[2] = b.proof(2, 1).Entries[2] }), ReasonManifest},
		{"the receipt for another night", honest(func(p *Proof) {
			other := b.proof(2, 1).Entries
			p.Entries = append(p.Entries, other[len(other)-1])
		}), ReasonManifest},
	} {
		p, err := ParseProof(c.proof.Bytes())
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if bytes.Equal(p.Bytes(), b.proof(1, 1).Bytes()) {
			t.Errorf("%s: nothing is forged", c.name)
		}
		if _, err := p.Check(server, agent); reasonOf(t, err) != c.reason {
			t.Errorf("%s: %v, want %s", c.name, err, c.reason)
		}
	}
}

// swapSignature returns a leaf with the signature lines of another.
func swapSignature(t *testing.T, leaf, other []byte) []byte {
	t.Helper()
	text, _ := splitNote(t, leaf)
	_, lines := splitNote(t, other)
	return slices.Concat(text, slices.Concat(lines...))
}
