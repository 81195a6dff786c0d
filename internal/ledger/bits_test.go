package ledger

import (
	"bytes"
	"slices"
	"testing"

	"github.com/wolkvox/backup"
)

// everyBit calls refused with every text that differs from text by one bit, and with some that lack bytes.
func everyBit(t *testing.T, what string, text []byte, refused func([]byte) bool) {
	t.Helper()
	if refused(text) {
		t.Fatalf("%s is refused unchanged", what)
	}
	for i := range text {
		for bit := range 8 {
			changed := slices.Clone(text)
			changed[i] ^= 1 << bit
			if !refused(changed) {
				t.Fatalf("%s is accepted with bit %d of byte %d changed", what, bit, i)
			}
		}
	}
	for i := 0; i < len(text); i += 7 {
		if !refused(slices.Delete(slices.Clone(text), i, i+1)) {
			t.Fatalf("%s is accepted without byte %d", what, i)
		}
		if !refused(text[:i]) {
			t.Fatalf("%s is accepted cut to %d bytes", what, i)
		}
	}
}

func TestEveryBitOfEntries(t *testing.T) {
	t.Parallel()
	b := basicLog(t)
	for kind, leaf := range b.oneOfEach() {
		everyBit(t, kind.String(), leaf, func(text []byte) bool { _, err := b.fold.Check(text); return err != nil })
	}
	empty := NewFold()
	everyBit(t, "genesis", b.leaves[0], func(text []byte) bool { _, err := empty.Check(text); return err != nil })
}

func TestEveryBitOfRequests(t *testing.T) {
	t.Parallel()
	r, err := SignRequest(testOrigin, testAgentKey(t, testOrigin, "agent 1"))
	if err != nil {
		t.Fatal(err)
	}
	everyBit(t, "the request", r.Note, func(text []byte) bool { _, err := ParseRequest(text); return err != nil })
}

func TestEveryBitOfHeads(t *testing.T) {
	t.Parallel()
	b := basicLog(t)
	server, agent := b.server.Verifier(), b.agent.Verifier()
	everyBit(t, "the head", b.head(), func(text []byte) bool { _, err := OpenHead(text, server); return err != nil })
	everyBit(t, "the agreed head", b.agreedHead(), func(text []byte) bool { _, _, err := OpenAgreedHead(text, server, agent); return err != nil })
}

func TestEveryBitOfVerifiers(t *testing.T) {
	t.Parallel()
	b := basicLog(t)
	everyBit(t, "the verifier", []byte(b.server.Verifier()), func(text []byte) bool { _, err := ParseVerifier(string(text)); return err != nil })
}

func TestEveryBitOfProofs(t *testing.T) {
	t.Parallel()
	b := newBuilder(t, testOrigin)
	b.assign("agent 1")
	b.seal(testItems("a", 5)...)
	b.add(Delivered{b.receipt(1, Range{0, 3}), backup.ReadbackUncached, BroughtAutomatic})
	server, agent := b.server.Verifier().Fingerprint(), b.agent.Verifier().Fingerprint()
	everyBit(t, "the proof", b.proof(1, 2).Bytes(), func(text []byte) bool {
		p, err := ParseProof(text)
		if err != nil {
			return true
		}
		_, err = p.Check(server, agent)
		return err != nil
	})
}

// TestSignatureLines changes which signature lines the notes of two and more signers carry.
func TestSignatureLines(t *testing.T) {
	t.Parallel()
	b := basicLog(t)
	leaves := b.oneOfEach()
	server, agent := b.server.Verifier(), b.agent.Verifier()
	entry := func(text []byte) bool { _, err := b.fold.Check(text); return err != nil }
	notes := []struct {
		what    string
		note    []byte
		refused func([]byte) bool
	}{
		{"rekeyed", leaves[KindRekeyed], entry}, {"assigned", leaves[KindAssigned], entry}, {"delivered", leaves[KindDelivered], entry},
		{"sealed", leaves[KindSealed], entry},
		{"agreed head", b.agreedHead(), func(text []byte) bool { _, _, err := OpenAgreedHead(text, server, agent); return err != nil }},
		{"head", b.head(), func(text []byte) bool { _, err := OpenHead(text, server); return err != nil }},
	}
	var all [][]byte
	for _, n := range notes {
		_, lines := splitNote(t, n.note)
		all = append(all, lines...)
	}
	for _, n := range notes {
		text, lines := splitNote(t, n.note)
		check := func(what string, lines [][]byte) {
			if !n.refused(slices.Concat(text, slices.Concat(lines...))) {
				t.Errorf("%s is accepted with %s", n.what, what)
			}
		}
		for i := range lines {
			check("a signature removed", slices.Delete(slices.Clone(lines), i, i+1))
			for at := range len(lines) + 1 {
				check("a signature doubled", slices.Insert(slices.Clone(lines), at, lines[i]))
			}
			for _, other := range all {
				for at := range len(lines) + 1 {
					check("a signature added", slices.Insert(slices.Clone(lines), at, other))
				}
				if !bytes.Equal(other, lines[i]) {
					check("a signature replaced", slices.Replace(slices.Clone(lines), i, i+1, other))
				}
			}
		}
		if len(lines) == 2 {
			check("its signatures swapped", [][]byte{lines[1], lines[0]})
		}
	}
}

// splitNote returns the text with the empty line after it, and the signature lines.
func splitNote(t *testing.T, note []byte) ([]byte, [][]byte) {
	t.Helper()
	at := bytes.LastIndex(note, []byte("\n\n"))
	if at < 0 {
		t.Fatalf("%q is no note", note)
	}
	return note[:at+2], slices.Collect(bytes.Lines(note[at+2:]))
}
