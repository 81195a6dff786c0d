package ledger

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wolkvox/backup"
)

// keyTraps are about keys: who signs, and how keys are written.
func (v *traps) keyTraps(b *builder) {
	leaves := b.oneOfEach()
	otherServer, otherAgent := testKey(v.t, string(testOrigin), "server 2"), testAgentKey(v.t, testOrigin, "agent 2")
	closed, delivered := textOf(v.t, leaves[KindClosed]), textOf(v.t, leaves[KindDelivered])
	v.leaf("key-other-server", ReasonKey, b, rawNote(closed, otherServer))
	v.leaf("key-agent-signs-closed", ReasonKey, b, rawNote(closed, b.agent))
	v.leaf("key-server-signs-receipt", ReasonKey, b, rawNote(delivered, b.server))
	v.leaf("key-other-agent", ReasonKey, b, rawNote(delivered, otherAgent))
	v.leaf("key-same-name-other-key", ReasonKey, b, rawNote(delivered, testKey(v.t, b.agent.name, "agent 2")))
	v.leaf("signature-same-id-other-key", ReasonSignature, b, withID(rawNote(delivered, testKey(v.t, b.agent.name, "agent 2")), rawNote(delivered, b.agent)))
	unassigned := newBuilder(v.t, testOrigin)
	unassigned.seal(testItems("2026/02/28", 10)...)
	unassigned.agent = b.agent
	v.leaf("key-no-agent", ReasonKey, unassigned, unassigned.leaf(Lost{unassigned.receipt(1, Range{0, 0}), LostAltered}))
	reassigned := basicLog(v.t)
	reassigned.assign("agent 2")
	v.leaf("key-former-agent", ReasonKey, reassigned, leaves[KindDelivered])
	rekeyed := basicLog(v.t)
	rekeyed.rekey("server 2")
	v.leaf("key-former-server", ReasonKey, rekeyed, leaves[KindClosed])
	v.leaf("key-rekeyed-from-former", ReasonKey, rekeyed, leaves[KindRekeyed])
	v.rekeyedTraps(b)
	v.genesisTraps()
	v.requestTraps(b)
}

// withID gives the signature of a note the key ID of another note's.
func withID(leaf, other []byte) []byte {
	blob := func(b []byte) ([]byte, int) {
		at := bytes.LastIndexByte(b, ' ') + 1
		raw, _ := base64.StdEncoding.DecodeString(string(b[at : len(b)-1]))
		return raw, at
	}
	raw, at := blob(leaf)
	id, _ := blob(other)
	return append(append(slices.Clone(leaf[:at]), base64.StdEncoding.EncodeToString(append(id[:4], raw[4:]...))...), '\n')
}

func (v *traps) rekeyedTraps(b *builder) {
	next, third := testKey(v.t, string(testOrigin), "server 2"), testKey(v.t, string(testOrigin), "server 3")
	text := textOf(v.t, b.leaf(Rekeyed{b.server.Verifier(), next.Verifier()}, b.server, next))
	v.leaf("signature-rekeyed-swapped-names-new-first", ReasonKey, b, rawNote(text, next, b.server))
	v.leaf("signature-rekeyed-old-only", ReasonSignature, b, rawNote(text, b.server))
	v.leaf("signature-rekeyed-old-twice", ReasonSignature, b, rawNote(text, b.server, b.server))
	v.leaf("signature-rekeyed-new-only", ReasonKey, b, rawNote(text, next))
	v.leaf("signature-rekeyed-third", ReasonSignature, b, rawNote(text, b.server, third))
	v.leaf("signature-rekeyed-three", ReasonSignature, b, rawNote(text, b.server, next, third))
	v.leaf("key-rekeyed-from-other", ReasonKey, b, b.leaf(Rekeyed{third.Verifier(), next.Verifier()}, third, next))
	first := string(rawNote(text, b.server))
	v.leaf("signature-rekeyed-new-invalid", ReasonSignature, b, []byte(first+string(rawNote("other\n", next)[len("other\n\n"):])))
	foreign := testKey(v.t, "wolkvox.com/backup/acme-1/nas/ffeeddccbbaa99887766554433221100", "server 2")
	old, verifier := string(b.server.Verifier()), string(next.Verifier())
	for name, value := range map[string]string{"same": old, "name-other": string(foreign.Verifier()), "name-agents": string(b.agent.Verifier()),
		"id-upper-case": strings.Replace(verifier, "+"+strings.Split(verifier, "+")[1]+"+", "+"+strings.ToUpper(strings.Split(verifier, "+")[1])+"+", 1),
		"id-other":      strings.Replace(verifier, "+"+strings.Split(verifier, "+")[1]+"+", "+00000000+", 1),
		"no-key":        verifier[:strings.LastIndex(verifier[:len(testOrigin)+10], "+")], "short-key": verifier[:len(verifier)-4],
		"type-4": typedVerifier(next, 4), "type-2": typedVerifier(next, 2), "trailing-plus": verifier + "+", "dash": "-"} {
		v.leaf("text-verifier-"+name, ReasonText, b, rawNote(replaced(v.t, text, "new-key "+verifier+"\n", "new-key "+value+"\n"), b.server, next))
	}
}

// typedVerifier writes a verifier with another type byte and the ID that goes with it.
func typedVerifier(key *SigningKey, algorithm byte) string {
	id := keyID(key.name, algorithm, key.verifier.PublicKey())
	return fmt.Sprintf("%s+%x+%s", key.name, id, base64.StdEncoding.EncodeToString(append([]byte{algorithm}, key.verifier.PublicKey()...)))
}

func (v *traps) genesisTraps() {
	b := emptyBuilder(v.t, testOrigin)
	previous := Origin(strings.Replace(string(testOrigin), "0011", "1100", 1))
	genesis := b.leaf(Genesis{backup.StorageS3, 10, b.server.Verifier(), &KnownHead{previous, 7, EmptyRoot()}})
	other := testKey(v.t, string(testOrigin), "server 2")
	v.leaf("key-genesis-signed-by-other", ReasonKey, b, rawNote(textOf(v.t, genesis), other))
	v.leaf("signature-genesis-invalid", ReasonSignature, b, withID(rawNote(textOf(v.t, genesis), other), genesis))
	known := fmt.Sprintf("previous %s 7 %s\n", previous, hexHash(EmptyRoot()))
	for name, value := range map[string]string{
		"same-log":          fmt.Sprintf("%s 7 %s", testOrigin, hexHash(EmptyRoot())),
		"other-tenant":      fmt.Sprintf("%s 7 %s", strings.Replace(string(previous), "acme-1", "acme-2", 1), hexHash(EmptyRoot())),
		"other-destination": fmt.Sprintf("%s 7 %s", strings.Replace(string(previous), "nas", "san", 1), hexHash(EmptyRoot())),
		"size-zero":         fmt.Sprintf("%s 0 %s", previous, hexHash(EmptyRoot())), "size-leading-zero": fmt.Sprintf("%s 07 %s", previous, hexHash(EmptyRoot())),
		"no-root": fmt.Sprintf("%s 7", previous), "root-upper-case": fmt.Sprintf("%s 7 %s", previous, strings.ToUpper(hexHash(EmptyRoot()))),
		"fourth": fmt.Sprintf("%s 7 %s 1", previous, hexHash(EmptyRoot())), "two-spaces": fmt.Sprintf("%s  7 %s", previous, hexHash(EmptyRoot()))} {
		v.text("text-previous-head-"+name, ReasonText, b, genesis, known, "previous "+value+"\n")
	}
	v.text("text-storage-unknown", ReasonText, b, genesis, "storage s3\n", "storage gcs\n")
	v.text("text-storage-upper-case", ReasonText, b, genesis, "storage s3\n", "storage S3\n")
	v.text("text-window-zero", ReasonText, b, genesis, "window-days 10\n", "window-days 0\n")
	v.text("text-window-long", ReasonText, b, genesis, "window-days 10\n", "window-days 3651\n")
	foreign := testKey(v.t, string(previous), "server 1")
	v.leaf("text-server-key-name-other", ReasonText, b, rawNote(replaced(v.t, textOf(v.t, genesis), string(b.server.Verifier()), string(foreign.Verifier())), foreign))
}

// requestTraps are about the request in an assigned.
func (v *traps) requestTraps(b *builder) {
	agent, other := testAgentKey(v.t, testOrigin, "agent 2"), testAgentKey(v.t, testOrigin, "agent 3")
	text := string(requestText(testOrigin, agent.Verifier()))
	head := fmt.Sprintf("wolkvox-backup entry assigned v1\norigin %s\ntime %s\n", testOrigin, b.now.Format(timeLayout))
	add := func(name string, reason Reason, request []byte) {
		v.leaf(name, reason, b, rawNote(head+"request\n"+string(request), b.server))
	}
	valid := rawNote(text, agent)
	if leaf := rawNote(head+"request\n"+string(valid), b.server); reasonOf(v.t, func() error { _, err := b.fold.Check(leaf); return err }()) != "" {
		v.t.Fatal("the valid request is refused")
	}
	foreign := Origin(strings.Replace(string(testOrigin), "nas", "san", 1))
	foreignAgent := testKey(v.t, foreign.AgentKeyName("0123456789abcdef"), "agent 2")
	short := testKey(v.t, testOrigin.AgentKeyName("0123456789abcde"), "agent 2")
	add("signature-request-by-other", ReasonSignature, rawNote(text, other))
	add("signature-request-doubled", ReasonSignature, rawNote(text, agent, agent))
	add("signature-request-added", ReasonSignature, rawNote(text, agent, other))
	add("signature-request-invalid", ReasonSignature, []byte(text+"\n"+string(rawNote("other\n", agent)[len("other\n\n"):])))
	add("signature-request-swapped-id", ReasonSignature, withID(rawNote(text, other), valid))
	add("text-request-unsigned", ReasonText, []byte(text))
	add("text-request-empty", ReasonText, nil)
	add("text-request-empty-line-at-end", ReasonText, append(slices.Clone(valid), '\n'))
	add("text-request-v2", ReasonText, rawNote(replaced(v.t, text, "assign v1", "assign v2"), agent))
	add("text-request-other-log", ReasonText, rawNote(string(requestText(foreign, foreignAgent.Verifier())), foreignAgent))
	add("text-request-key-of-other-log", ReasonText, rawNote(string(requestText(testOrigin, foreignAgent.Verifier())), foreignAgent))
	add("text-request-key-of-server", ReasonText, rawNote(string(requestText(testOrigin, b.server.Verifier())), b.server))
	add("text-request-agent-name-short", ReasonText, rawNote(string(requestText(testOrigin, short.Verifier())), short))
	add("text-request-key-more", ReasonText, rawNote(text+"time 2026-01-01T00:00:00Z\n", agent))
	v.leaf("text-request-value", ReasonText, b, rawNote(head+"request -\n"+string(valid), b.server))
	v.leaf("text-request-space", ReasonText, b, rawNote(head+"request \n"+string(valid), b.server))
	v.leaf("text-request-indented", ReasonText, b, rawNote(head+"request\n  "+strings.ReplaceAll(string(valid), "\n", "\n  "), b.server))
	v.leaf("text-request-signatures-joined", ReasonText, b, append(slices.Clone([]byte(head+"request\n"+string(valid))), rawNote("x\n", b.server)[3:]...))
	v.leaf("key-assigned-signed-by-agent", ReasonKey, b, rawNote(head+"request\n"+string(valid), agent))
}

func TestRefused(t *testing.T) {
	t.Parallel()
	seen := map[Reason]int{}
	for _, v := range refusedVectors(t) {
		f := NewFold()
		last := len(v.leaves) - 1
		for i, leaf := range v.leaves[:last] {
			if _, _, err := f.Append(leaf); err != nil {
				t.Fatalf("%s: entry %d: %v", v.name, i, err)
			}
		}
		before := f.Clone()
		_, _, err := f.Append(v.leaves[last])
		if got := reasonOf(t, err); got != v.reason {
			t.Errorf("%s: refused as %q (%v), want %s", v.name, got, err, v.reason)
		}
		if f.Size != before.Size || f.Tree.Root() != before.Tree.Root() {
			t.Errorf("%s: a refused entry changed the log", v.name)
		}
		seen[v.reason]++
	}
	for _, reason := range []Reason{ReasonLimit, ReasonText, ReasonVersion, ReasonOrigin, ReasonGenesis, ReasonRetired, ReasonReplacement,
		ReasonKey, ReasonSignature, ReasonManifest, ReasonRoot, ReasonIndex, ReasonChain, ReasonDeadline} {
		if seen[reason] == 0 {
			t.Errorf("no vector is refused as %s", reason)
		}
	}
}
