package ledger

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// refusedHeads are notes that are no agreed head of the complete ledger.
func refusedHeads(t testing.TB, v *vectorLedger) map[string][]byte {
	h, _, err := ParseHead(v.headNote)
	if err != nil {
		t.Fatal(err)
	}
	b := v.builder
	server, agent := testKey(t, string(testOrigin), "server 2"), testAgentKey(t, testOrigin, "agent 2")
	text := textOf(t, v.headNote)
	single := rawNote(text, server)
	cosigned := string(v.headNote[len(single):])
	agreed := func(text string) []byte {
		return agent.appendCosignature(rawNote(text, server), []byte(text), b.now)
	}
	short := h
	short.Size--
	other := h
	other.Root = LineHash(nil)
	root := base64.StdEncoding.EncodeToString(h.Root[:])
	size := fmt.Sprintf("\n%d\n", h.Size)
	heads := map[string][]byte{
		"size-zero":             agreed(replaced(t, text, size, "\n0\n")),
		"size-leading-zero":     agreed(replaced(t, text, size, "\n0"+size[1:])),
		"size-other":            agreed(string(short.appendText(nil))),
		"root-other":            agreed(string(other.appendText(nil))),
		"root-hexadecimal":      agreed(replaced(t, text, root, hexHash(h.Root))),
		"root-unpadded":         agreed(replaced(t, text, root, strings.TrimRight(root, "="))),
		"further-line":          agreed(text + "extension\n"),
		"missing-line":          agreed(replaced(t, text, size, "\n")),
		"origin-other":          agreed(replaced(t, text, "nas", "san")),
		"crlf":                  agreed(strings.ReplaceAll(text, "\n", "\r\n")),
		"server-former":         agent.appendCosignature(rawNote(text, testKey(t, string(testOrigin), "server 1")), []byte(text), b.now),
		"agent-former":          testAgentKey(t, testOrigin, "agent 1").appendCosignature(rawNote(text, server), []byte(text), b.now),
		"doubled-server":        append(slices.Clone(rawNote(text, server, server)), cosigned...),
		"doubled-cosignature":   append(slices.Clone(v.headNote), cosigned...),
		"swapped":               []byte(text + "\n" + cosigned + string(single[len(text)+1:])),
		"cosignature-only":      []byte(text + "\n" + cosigned),
		"agent-signs-as-server": rawNote(text, server, agent),
		"unknown-added":         append(slices.Clone(v.headNote), rawNote(text, testKey(t, "example.com/witness", "stranger"))[len(text)+1:]...),
		"unknown-between":       append(slices.Clone(rawNote(text, server, testKey(t, "example.com/witness", "stranger"))), cosigned...),
		"trailing-bytes":        append(slices.Clone(v.headNote), '\n'),
		"no-final-lf":           v.headNote[:len(v.headNote)-1],
		"time-after-9999":       agent.appendCosignature(rawNote(text, server), []byte(text), time.Unix(MaxCosignedSeconds+1, 0)),
		"time-other":            otherTime(t, v.headNote),
		"empty":                 nil,
	}
	return heads
}

// otherTime changes the time in a cosignature by one second.
func otherTime(t testing.TB, note []byte) []byte {
	t.Helper()
	at := bytes.LastIndexByte(note, ' ') + 1
	blob, err := base64.StdEncoding.DecodeString(string(note[at : len(note)-1]))
	if err != nil {
		t.Fatal(err)
	}
	blob[11]++
	return append(append(slices.Clone(note[:at]), base64.StdEncoding.EncodeToString(blob)...), '\n')
}

func TestRefusedHeads(t *testing.T) {
	t.Parallel()
	v := completeLedger(t)
	server, agent := testKey(t, string(testOrigin), "server 2").Verifier(), testAgentKey(t, testOrigin, "agent 2").Verifier()
	want, _, err := OpenAgreedHead(v.headNote, server, agent)
	if err != nil {
		t.Fatal(err)
	}
	for name, note := range refusedHeads(t, v) {
		if h, _, err := OpenAgreedHead(note, server, agent); err == nil && h == want {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := OpenHead(v.headNote, server); reasonOf(t, err) != ReasonSignature {
		t.Errorf("an agreed head opened as a head: %v, want SIGNATURE", err)
	}
	if _, err := Cosign(v.headNote, server, testAgentKey(t, testOrigin, "agent 1"), testTime); reasonOf(t, err) != ReasonSignature {
		t.Errorf("an agreed head cosigned again: %v, want SIGNATURE", err)
	}
}

// refusedProofs are texts that prove nothing under the fingerprints of the complete ledger.
func refusedProofs(t testing.TB, v *vectorLedger) map[string][]byte {
	made := func(change func(*Proof)) []byte {
		p, err := ParseProof(v.proofs["proofs/1-3.txt"].Bytes())
		if err != nil {
			t.Fatal(err)
		}
		change(p)
		return p.Bytes()
	}
	text := string(v.proofs["proofs/1-3.txt"].Bytes())
	other := v.proofs["proofs/1-10.txt"]
	return map[string][]byte{
		"index-other":              made(func(p *Proof) { p.Index = 2 }),
		"line-other":               made(func(p *Proof) { p.Line = other.Line }),
		"line-of-other-manifest":   made(func(p *Proof) { p.Line = v.proofs["proofs/3-0.txt"].Line }),
		"line-forgotten":           made(func(p *Proof) { p.Line = ForgottenLine(LineHash(p.Line)) }),
		"line-path-short":          made(func(p *Proof) { p.LinePath = p.LinePath[:len(p.LinePath)-1] }),
		"line-path-long":           made(func(p *Proof) { p.LinePath = append(p.LinePath, EmptyRoot()) }),
		"no-entries":               made(func(p *Proof) { p.Entries = nil }),
		"genesis-missing":          made(func(p *Proof) { p.Entries = p.Entries[1:] }),
		"sealed-missing":           made(func(p *Proof) { p.Entries = slices.Delete(p.Entries, 2, 3) }),
		"assigned-missing":         made(func(p *Proof) { p.Entries = slices.Delete(p.Entries, 1, 2) }),
		"entry-twice":              made(func(p *Proof) { p.Entries = append(p.Entries, p.Entries[len(p.Entries)-1]) }),
		"entries-swapped":          made(func(p *Proof) { p.Entries[3], p.Entries[4] = p.Entries[4], p.Entries[3] }),
		"entry-of-other-index":     made(func(p *Proof) { p.Entries = withEntry(p.Entries, other.Entries) }),
		"entry-of-other-manifest":  made(func(p *Proof) { p.Entries = withEntry(p.Entries, v.proofs["proofs/3-0.txt"].Entries) }),
		"entry-path-of-other":      made(func(p *Proof) { p.Entries[3].Path = p.Entries[4].Path }),
		"entry-index-other":        made(func(p *Proof) { p.Entries[len(p.Entries)-1].Index++ }),
		"head-not-agreed":          made(func(p *Proof) { p.Head = rawNote(textOf(t, p.Head), testKey(t, string(testOrigin), "server 2")) }),
		"head-of-other-root":       made(func(p *Proof) { p.Head = refusedHeads(t, v)["root-other"] }),
		"head-cosigned-by-former":  made(func(p *Proof) { p.Head = refusedHeads(t, v)["agent-former"] }),
		"trailing-bytes":           []byte(text + "\n"),
		"no-final-lf":              []byte(text[:len(text)-1]),
		"version-two":              []byte(replaced(t, text, "proof v1", "proof v2")),
		"crlf":                     []byte(strings.Replace(text, "\n", "\r\n", 3)),
		"count-leading-zero":       []byte(replaced(t, text, fmt.Sprintf("\nline-path %d\n", len(v.proofs["proofs/1-3.txt"].LinePath)), fmt.Sprintf("\nline-path 0%d\n", len(v.proofs["proofs/1-3.txt"].LinePath)))),
		"count-of-entries-greater": []byte(replaced(t, text, fmt.Sprintf("\nentries %d\n", len(v.proofs["proofs/1-3.txt"].Entries)), fmt.Sprintf("\nentries %d\n", len(v.proofs["proofs/1-3.txt"].Entries)+1))),
		"empty":                    nil,
	}
}

// withEntry adds to entries the first of others that they lack.
func withEntry(entries, others []ProofEntry) []ProofEntry {
	for _, e := range others {
		if at, found := slices.BinarySearchFunc(entries, e.Index, func(e ProofEntry, i int64) int { return int(e.Index - i) }); !found {
			return slices.Insert(entries, at, e)
		}
	}
	return nil
}

func TestRefusedProofs(t *testing.T) {
	t.Parallel()
	v := completeLedger(t)
	server, agent := v.fold.Genesis.ServerKey.Fingerprint(), v.fold.AgentKey.Fingerprint()
	for name, text := range refusedProofs(t, v) {
		p, err := ParseProof(text)
		if err == nil {
			_, err = p.Check(server, agent)
		}
		if reasonOf(t, err) == "" {
			t.Errorf("%s: accepted", name)
		}
	}
	p := v.proofs["proofs/1-3.txt"]
	if _, err := p.Check(agent, agent); reasonOf(t, err) != ReasonKey {
		t.Errorf("a proof under another server's key: %v, want KEY", err)
	}
	if _, err := p.Check(server, server); reasonOf(t, err) != ReasonKey {
		t.Errorf("a proof under another agent's key: %v, want KEY", err)
	}
}

// refusedLines are no manifest lines; none of them holds LF.
func refusedLines() []string {
	hash := strings.Repeat("0a", 32)
	line := func(size, kind, recorded, interaction, path, source string) string {
		return strings.Join([]string{hash, size, kind, recorded, interaction, path, source}, " ")
	}
	path := func(p string) string { return line("1", "gsm", "-", "-", p, "-") }
	return []string{
		"", " ", "-", hash, "forgotten", "forgotten ", "forgotten " + strings.ToUpper(hash), "forgotten " + hash + " ", "forgotten " + hash[1:], "forgotten  " + hash,
		"Forgotten " + hash, path("a") + " ", path("a") + " -", path("a") + "\r", "\ufeff" + path("a"), " " + path("a"), strings.Replace(path("a"), " ", "  ", 1), strings.Replace(path("a"), " ", "\t", 1),
		strings.TrimSuffix(path("a"), " -"), strings.ToUpper(hash) + path("a")[64:], path("a")[1:], "g" + path("a")[1:], "-" + path("a")[64:],
		line("01", "gsm", "-", "-", "a", "-"), line("-1", "gsm", "-", "-", "a", "-"), line("9007199254740992", "gsm", "-", "-", "a", "-"), line("-", "gsm", "-", "-", "a", "-"),
		line("1", "GSM", "-", "-", "a", "-"), line("1", "wav", "-", "-", "a", "-"), line("1", "-", "-", "-", "a", "-"),
		line("1", "gsm", "2026-02-29T00:00:00Z", "-", "a", "-"), line("1", "gsm", "2026-02-28T00:00:00.0Z", "-", "a", "-"), line("1", "gsm", "1969-12-31T23:59:59Z", "-", "a", "-"), line("1", "gsm", "", "-", "a", "-"),
		line("1", "gsm", "-", "", "a", "-"), line("1", "gsm", "-", strings.Repeat("x", 129), "a", "-"), line("1", "gsm", "-", "a%2db", "a", "-"), line("1", "gsm", "-", "%2d%2d", "a", "-"), line("1", "gsm", "-", "%2D", "a", "-"),
		path("-"), path(""), path("%61"), path("%"), path("%2"), path("a%"), path("a%2"), path("a%2g"), path("%C3%BC"), path("%c3%BC"), path("\u00fc"), path("a%2fb"), path("a%7e"), path("a%21"), path("a\u00a0b"), path("a%7fb"),
		path("%ff"), path("%c0%af"), path("%ed%a0%80"), path("a%00"), path("a%0a"), path("a%1f"), path("."), path(".."), path("a/.."), path("./a"), path("a/./b"), path("/a"), path("a/"), path("a//b"),
		path("a."), path("a%20"), path("%20a"), path("a./b"), path("a%20/b"), path("a/%20b"), path("a:b"), path("a<b"), path("a>b"), path("a\"b"), path("a\\b"), path("a|b"), path("a?b"), path("a*b"), path("C:/a"),
		path("CON"), path("con.gsm"), path("a/nul"), path("a/Aux.x.y"), path("PRN%20.txt"), path("com1"), path("COM0.gsm"), path("lpt9"), path("COM%c2%b9"), path("lpt%c2%b3.x"), path("conin$"), path("CONOUT$.a"),
		path(".wolkvox"), path(".Wolkvox-marker"), path(".WOLKVOX/a"), path(strings.Repeat("a", 201)), path(strings.Repeat("a", 200) + strings.Repeat("/"+strings.Repeat("a", 200), 3)), path(strings.Repeat("%c3%a9", 101)),
		line("1", "gsm", "-", "-", "a", "a"), line("1", "gsm", "-", "-", "a", ""), line("1", "gsm", "-", "-", "-", "-"), line("1", "gsm", "-", "-", "%2d", "%2d"), line("1", "gsm", "-", "-", "a", "%61"), line("1", "gsm", "-", "-", "a", strings.Repeat("x", 4097)),
		line("1", "gsm", "-", "-", "a", strings.Repeat("%00", 4097)), strings.Repeat("a", MaxLineBytes+1),
	}
}

func TestRefusedLines(t *testing.T) {
	t.Parallel()
	for _, text := range refusedLines() {
		if strings.Contains(text, "\n") {
			t.Fatalf("%q holds LF", text)
		}
		line, err := ParseManifestLine([]byte(text))
		if got := reasonOf(t, err); got != ReasonText && !(got == ReasonLimit && len(text) > MaxLineBytes) {
			t.Errorf("ParseManifestLine(%.200q) = %+v, %v, want TEXT", text, line.Item, err)
		}
	}
}
