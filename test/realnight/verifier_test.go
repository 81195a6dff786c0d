//go:build linux && peers

package realnight

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wolkvox/backup/test/fleet"
)

// verifier runs the stand-alone verifier.
func verifier(t *testing.T, args ...string) fleet.Result {
	t.Helper()
	return fleet.Command(t.Context(), "node", append([]string{filepath.Join("..", "verifier", "verify.mjs")}, args...)...)
}

// accepted has the verifier accept something, and returns what it says.
func accepted(t *testing.T, args ...string) string {
	t.Helper()
	r := verifier(t, args...)
	if r.Status != 0 {
		t.Fatalf("the verifier does not accept this: %v", r)
	}
	return r.Stdout
}

// refused makes sure that the verifier refuses something, and has not just failed.
func refused(t *testing.T, what string, args ...string) {
	t.Helper()
	r := verifier(t, args...)
	if r.Status != 1 || !strings.Contains(r.Stdout+r.Stderr, "refused: ") {
		t.Errorf("%s is not refused: %v", what, r)
	}
}

// fingerprints are what enroll tells people to write down.
type fingerprints struct{ server, agent string }

func (f fingerprints) args() []string {
	return []string{"--server-fingerprint", f.server, "--agent-fingerprint", f.agent}
}

// swapped are right as numbers and wrong as fingerprints.
func (f fingerprints) swapped() fingerprints { return fingerprints{f.agent, f.server} }

// readFingerprints reads what enroll prints for people.
func readFingerprints(t *testing.T, text string) (f fingerprints) {
	t.Helper()
	for line := range strings.Lines(text) {
		if word := strings.Fields(line); len(word) == 2 && len(word[1]) == 64 {
			switch word[0] {
			case "server":
				f.server = word[1]
			case "agent":
				f.agent = word[1]
			}
		}
	}
	if f.server == "" || f.agent == "" {
		t.Fatalf("enroll prints no two fingerprints:\n%s", text)
	}
	return f
}

// checkExport has the verifier check a ledger, whose states must be those of the items; all of it must be agreed.
func checkExport(t *testing.T, dir string, keys fingerprints, items []item) {
	t.Helper()
	var summary struct {
		Valid     bool
		NotAgreed int
		Alarms    []json.RawMessage
		Totals    struct{ Counts map[string]int }
	}
	text := accepted(t, append([]string{"ledger", dir, "--output", "json"}, keys.args()...)...)
	if err := json.Unmarshal([]byte(text), &summary); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var want strings.Builder
	counts := map[string]int{"pending": 0, "confirmed": 0, "expired": 0, "waived": 0, "released": 0, "withdrawn": 0, "forgotten": 0}
	for _, i := range items {
		fmt.Fprintf(&want, "%d %d %s\n", i.Manifest, i.Index, i.state())
		counts[i.state()]++
	}
	if !summary.Valid || len(summary.Alarms) > 0 || summary.NotAgreed != 0 || !maps.Equal(summary.Totals.Counts, counts) {
		t.Errorf("of %s the verifier says, want %v:\n%s", dir, counts, text)
	}
	if got := accepted(t, "states", dir); got != want.String() {
		t.Errorf("%s: the verifier and the server do not agree on every state: it has %d bytes of states, want %d", dir, len(got), want.Len())
	}
	refused(t, "a ledger of other keys", append([]string{"ledger", dir}, keys.swapped().args()...)...)
}

// checkProof proves one recording from an export, and makes sure that its proof is refused with the keys of others, and
// after any change.
func checkProof(t *testing.T, export string, keys fingerprints, one item) {
	t.Helper()
	proof := accepted(t, "prove", export, fmt.Sprintf("%d/%d", one.Manifest, one.Index))
	name := filepath.Join(t.TempDir(), "proof.txt")
	write := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(proof)
	said := accepted(t, append([]string{"proof", name}, keys.args()...)...)
	for _, want := range []string{one.Path, string(one.SHA256), one.state()} {
		if !strings.Contains(said, want) {
			t.Errorf("the proof of %s does not show %q: %s", one.Path, want, said)
		}
	}
	refused(t, "a proof by other keys", append([]string{"proof", name}, keys.swapped().args()...)...)
	const places = 12
	for place := range places {
		at := len(proof) * place / places
		write(changed(proof, at))
		refused(t, fmt.Sprintf("a proof whose byte %d of %d is changed", at, len(proof)), "proof", name)
	}
	write(strings.Replace(proof, string(one.SHA256), strings.Repeat("0", 64), 1))
	refused(t, "a proof of another digest", "proof", name)
}

// changed returns text with one bit of a byte changed.
func changed(text string, at int) string { return text[:at] + string(text[at]^1) + text[at+1:] }

// checkTampering makes sure that an export is refused in which anything was changed.
func checkTampering(t *testing.T, export string, one item) {
	t.Helper()
	manifest := filepath.Join("manifests", fmt.Sprint(one.Manifest)+".txt")
	for _, test := range []struct {
		what, file string
		change     func(text string) string
	}{
		{"a digest in a manifest", manifest, func(text string) string {
			return strings.Replace(text, string(one.SHA256), strings.Repeat("0", 64), 1)
		}},
		{"the first line of a manifest taken out", manifest, func(text string) string { return text[strings.IndexByte(text, '\n')+1:] }},
		{"a bit in the first entry", "ledger.txt", func(text string) string { return changed(text, len("entry 0 1000\nwolkvox")) }},
		{"a bit in the middle of the ledger", "ledger.txt", func(text string) string { return changed(text, len(text)/2) }},
		{"the last signature", "ledger.txt", func(text string) string { return changed(text, len(text)-10) }},
		{"the ledger cut off after half", "ledger.txt", func(text string) string { return text[:strings.LastIndex(text[:len(text)/2], "\nentry ")+1] }},
		{"the head's size", "head.txt", func(text string) string { return changed(text, strings.IndexByte(text, '\n')+1) }},
		{"a cosignature", "head.txt", func(text string) string { return changed(text, len(text)-10) }},
	} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(export)); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, test.file)
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		after := test.change(string(text))
		if after == string(text) {
			t.Fatalf("%s: nothing was changed", test.what)
		}
		if err := os.WriteFile(name, []byte(after), 0o644); err != nil {
			t.Fatal(err)
		}
		refused(t, test.what, "ledger", dir)
	}
}
