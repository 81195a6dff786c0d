package ledger

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	foreign "golang.org/x/mod/sumdb/note"
)

// TestNotesOpenElsewhere opens what is signed here with the signed notes of golang.org/x/mod.
func TestNotesOpenElsewhere(t *testing.T) {
	t.Parallel()
	b := basicLog(t)
	server, agent := foreignVerifier(t, b.server.Verifier()), foreignVerifier(t, b.agent.Verifier())
	want, err := foreign.NewEd25519VerifierKey(b.server.name, b.server.Verifier().PublicKey())
	if err != nil || want != string(b.server.Verifier()) {
		t.Errorf("the verifier is %s, want %s (%v)", b.server.Verifier(), want, err)
	}
	for i, leaf := range append(b.leaves, b.head()) {
		key := server
		if i == len(b.leaves)-1 {
			key = agent
		}
		n, err := foreign.Open(leaf, foreign.VerifierList(key))
		if err != nil || len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 || n.Text != textOf(t, leaf) {
			t.Errorf("note %d: %v, %+v", i, err, n)
		}
	}
	n, err := foreign.Open(b.agreedHead(), foreign.VerifierList(server, cosignatureVerifier{b.agent.Verifier()}))
	if err != nil || len(n.Sigs) != 2 {
		t.Errorf("the agreed head: %v, %+v", err, n)
	}
}

// TestNotesFromElsewhere opens here what golang.org/x/mod signed.
func TestNotesFromElsewhere(t *testing.T) {
	t.Parallel()
	secret, public, err := foreign.GenerateKey(nil, string(testOrigin))
	if err != nil {
		t.Fatal(err)
	}
	server, err := ParseVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := foreign.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	want := Head{testOrigin, 12, LineHash([]byte("leaf"))}
	signed, err := foreign.Sign(&foreign.Note{Text: string(want.appendText(nil))}, signer)
	if err != nil {
		t.Fatal(err)
	}
	if h, err := OpenHead(signed, server); err != nil || h != want {
		t.Errorf("OpenHead = %+v, %v, want %+v", h, err, want)
	}
	// What golang.org/x/mod passes over is refused here.
	doubled := append(append([]byte(nil), signed...), signed[len(want.appendText(nil))+1:]...)
	if _, err := foreign.Open(doubled, foreign.VerifierList(foreignVerifier(t, server))); err != nil {
		t.Errorf("x/mod no longer passes over doubled signatures: %v", err)
	}
	if _, err := OpenHead(doubled, server); reasonOf(t, err) != ReasonText {
		t.Errorf("a doubled signature: %v, want TEXT", err)
	}
}

func foreignVerifier(t *testing.T, v Verifier) foreign.Verifier {
	t.Helper()
	verifier, err := foreign.NewVerifier(string(v))
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

// cosignatureVerifier is C2SP tlog-cosignature v1 in the words of golang.org/x/mod, written from the specification alone.
type cosignatureVerifier struct{ key Verifier }

func (v cosignatureVerifier) Name() string { return v.key.Name() }

func (v cosignatureVerifier) KeyHash() uint32 {
	id := keyID(v.key.Name(), 0x04, v.key.PublicKey())
	return binary.BigEndian.Uint32(id[:])
}

func (v cosignatureVerifier) Verify(msg, sig []byte) bool {
	if len(sig) != 72 {
		return false
	}
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(sig), msg)
	return ed25519.Verify(v.key.PublicKey(), []byte(signed), sig[8:])
}

func TestSigningKeys(t *testing.T) {
	t.Parallel()
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	for _, name := range []string{"", "a b", "a+b", "é", "a\n"} {
		if _, err := NewSigningKey(name, private); err == nil {
			t.Errorf("NewSigningKey(%q) gives a key", name)
		}
	}
	if _, err := NewSigningKey("a", private[:32]); err == nil {
		t.Error("half a private key is taken")
	}
	key := testKey(t, "a", "seed")
	if got := fmt.Sprintf("%v %+v %s", key, key, key); got != "a a a" {
		t.Errorf("a key prints as %q", got)
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	o, err := NewOrigin("agent", "agent", "00112233445566778899aabbccddeeff")
	if err != nil || o.Tenant() != "agent" || o.Destination() != "agent" || o.LogID() != "00112233445566778899aabbccddeeff" {
		t.Errorf("NewOrigin = %q, %v", o, err)
	}
	got, agent, err := ParseAgentKeyName(o.AgentKeyName("0123456789abcdef"))
	if err != nil || got != o || agent != "0123456789abcdef" {
		t.Errorf("ParseAgentKeyName = %q, %q, %v", got, agent, err)
	}
	for _, c := range [][3]string{{"A", "b", o.LogID()}, {"a/b", "c", o.LogID()}, {"", "b", o.LogID()}, {"a", "b", ""}, {"a", "b", o.LogID() + "0"}} {
		if o, err := NewOrigin(c[0], c[1], c[2]); reasonOf(t, err) != ReasonText {
			t.Errorf("NewOrigin(%q) = %q, %v", c, o, err)
		}
	}
	if CheckLabel("a-1") != nil || CheckLabel("a_1") == nil || CheckAgentName("0123456789abcdef") != nil || CheckAgentName("0123456789ABCDEF") == nil {
		t.Error("labels or agents' names are judged wrongly")
	}
	if _, _, err := ParseAgentKeyName(string(o)); !errors.As(err, new(*RefusedError)) {
		t.Errorf("the server's key is an agent's: %v", err)
	}
}
