package ledger

import (
	"bytes"
	"crypto/ed25519"
	"testing"
)

// FuzzParseRequest reads only requests that are signed by the key they name.
func FuzzParseRequest(f *testing.F) {
	b := basicLog(f)
	for _, leaf := range b.leaves {
		if e, err := ParseEntry(leaf); err == nil {
			if assigned, ok := e.Body.(Assigned); ok {
				f.Add(assigned.Request.Note)
			}
		}
	}
	f.Add([]byte(requestPrefix + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		request, err := ParseRequest(text)
		if reasonOf(t, err) != "" {
			return
		}
		if !bytes.Equal(request.Note, text) || !bytes.HasPrefix(text, requestText(request.Origin, request.AgentKey)) {
			t.Errorf("%q is read as %+v", text, request)
		}
		if origin, _, err := ParseAgentKeyName(request.AgentKey.Name()); err != nil || origin != request.Origin {
			t.Errorf("%q is signed by %s", text, request.AgentKey)
		}
	})
}

// FuzzParseVerifier reads only the canonical text of a key.
func FuzzParseVerifier(f *testing.F) {
	b := basicLog(f)
	f.Add(string(b.fold.ServerKey))
	f.Add(string(b.fold.AgentKey))
	f.Add("name+00000000+AQ==")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVerifier(s)
		if reasonOf(t, err) != "" {
			return
		}
		if string(v) != s || len(v.PublicKey()) != ed25519.PublicKeySize || newVerifier(v.Name(), v.PublicKey()) != v {
			t.Errorf("%q is read as %q", s, v)
		}
	})
}

// FuzzParseOrigin reads only what its own parts make up again.
func FuzzParseOrigin(f *testing.F) {
	for _, s := range []string{
		"wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff", "wolkvox.com/backup/a-b/c/00112233445566778899aabbccddeeff/agent/0123456789abcdef",
		"wolkvox.com/backup//nas/00112233445566778899aabbccddeeff", "wolkvox.com/backup/a/b/00112233445566778899AABBCCDDEEFF",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if o, err := ParseOrigin(s); reasonOf(t, err) == "" {
			again, err := NewOrigin(o.Tenant(), o.Destination(), o.LogID())
			if err != nil || string(again) != s || CheckLabel(o.Tenant()) != nil || CheckLabel(o.Destination()) != nil {
				t.Errorf("%q is written as %q, %v", s, again, err)
			}
		}
		if o, agent, err := ParseAgentKeyName(s); reasonOf(t, err) == "" && (o.AgentKeyName(agent) != s || CheckAgentName(agent) != nil) {
			t.Errorf("%q is written as %q", s, o.AgentKeyName(agent))
		}
	})
}

// FuzzAppend offers bytes as the next entry of a log. Whatever they are, what is refused leaves the fold as it was, and
// only what the log's own keys signed is taken.
func FuzzAppend(f *testing.F) {
	b := basicLog(f)
	own := map[string]bool{}
	for _, leaf := range b.oneOfEach() {
		own[string(leaf)] = true
		f.Add(leaf)
	}
	f.Add(b.leaves[0])
	f.Fuzz(func(t *testing.T, leaf []byte) {
		fold := NewFold()
		for _, known := range b.leaves {
			if _, _, err := fold.Append(known); err != nil {
				t.Fatal(err)
			}
		}
		size, root := fold.Size, fold.Tree.Root()
		_, _, err := fold.Append(leaf)
		if reasonOf(t, err) == "" {
			if fold.Size != size+1 || !own[string(leaf)] {
				t.Errorf("%q is taken as entry %d", leaf, size)
			}
			return
		}
		if fold.Size != size || fold.Tree.Root() != root {
			t.Errorf("%q is refused, and the log has %d entries instead of %d", leaf, fold.Size, size)
		}
	})
}

// FuzzOpenHead takes only heads that the server signed.
func FuzzOpenHead(f *testing.F) {
	b := basicLog(f)
	good, agreed := b.head(), b.agreedHead()
	f.Add(good)
	f.Add(agreed)
	f.Fuzz(func(t *testing.T, text []byte) {
		head, err := OpenHead(text, b.fold.ServerKey)
		if reasonOf(t, err) == "" && !bytes.Equal(text, good) {
			t.Errorf("%q is taken for the head %+v", text, head)
		}
		if head, _, err := OpenAgreedHead(text, b.fold.ServerKey, b.fold.AgentKey); reasonOf(t, err) == "" && !bytes.Equal(text, agreed) {
			t.Errorf("%q is taken for the agreed head %+v", text, head)
		}
	})
}

// FuzzManifestChecker takes lines one after the other; a manifest that it takes has the items and bytes that its lines say.
func FuzzManifestChecker(f *testing.F) {
	var lines [][]byte
	for _, item := range unusualItems() {
		line, err := FormatLine(item)
		if err != nil {
			f.Fatal(err)
		}
		lines = append(lines, line)
	}
	f.Add(bytes.Join(lines[:min(len(lines), 4)], []byte{'\n'}))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		checker := NewManifestChecker()
		var items, sizeBytes int64
		for line := range bytes.SplitSeq(text, []byte{'\n'}) {
			parsed, err := checker.Add(line)
			if reasonOf(t, err) != "" {
				continue
			}
			items++
			sizeBytes += parsed.Item.Digest.SizeBytes
		}
		if checker.Items() != items || checker.Bytes() != sizeBytes {
			t.Errorf("%q has %d items and %d bytes, the checker says %d and %d", text, items, sizeBytes, checker.Items(), checker.Bytes())
		}
	})
}
