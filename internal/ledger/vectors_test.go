package ledger

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup"
)

var update = flag.Bool("update", false, "write testdata anew")

// vectorLedger is one exported ledger with what is expected of it.
type vectorLedger struct {
	*builder
	headNote []byte
	erased   map[int64]Set // lines that are exported as forgotten
	proofs   map[string]*Proof
	states   map[string]backup.State // expected of the proofs
}

// completeLedger holds entries of every kind with every code, an erased line, two agents and two server keys.
func completeLedger(t testing.TB) *vectorLedger {
	b := newBuilder(t, testOrigin)
	v := &vectorLedger{builder: b, erased: map[int64]Set{1: NewSet(Range{4, 4})}, proofs: map[string]*Proof{}, states: map[string]backup.State{}}
	b.assign("agent 1")
	first := b.sealed(testItems("2026/02/28", 12)...)
	interactions := int64(19)
	first.Interactions, first.Unrecorded = &interactions, []UnrecordedCount{{"abandoned", 5}, {"not-answered", 2}}
	first.SourceKeptUntil = b.now.AddDate(0, 2, 0)
	b.add(first)
	b.seal()
	b.add(Delivered{b.receipt(1, Range{0, 5}), backup.ReadbackUncached, BroughtAutomatic})
	b.add(Delivered{b.receipt(1, Range{6, 6}), backup.ReadbackCached, BroughtByHand})
	b.add(Lost{b.receipt(1, Range{1, 1}), LostMissing})
	b.add(Delivered{b.receipt(1, Range{1, 1}), backup.PeerReadbackSHA256, BroughtAutomatic})
	b.add(Waived{b.receipt(1, Range{7, 7}), WaivedDeclined})
	b.add(Waived{b.receipt(1, Range{8, 8}), WaivedNotNeeded})
	b.add(Waived{b.receipt(1, Range{9, 9}), WaivedKeptElsewhere})
	b.add(Released{b.receipt(1, Range{0, 0}), ReleasedRetention})
	b.add(Released{b.receipt(1, Range{2, 2}), ReleasedCommand})
	b.add(Withdrawn{1, b.root(1), NewSet(Range{10, 10}), WithdrawnChanged, 3})
	b.seal(testItem("2026/02/28/call-0010~2.gsm", 2010))
	b.close(1)
	b.add(Lost{b.receipt(1, Range{3, 3}), LostAltered})
	b.add(Extended{1, b.root(1), first.Deadline.AddDate(0, 0, 3), ExtendedOutage})
	b.rekey("server 2")
	b.assign("agent 2")
	b.add(Delivered{b.receipt(1, Range{3, 3}), backup.ProviderSHA256, BroughtAutomatic})
	b.add(Forgotten{1, b.root(1), NewSet(Range{4, 4})})
	for _, outcome := range []string{ErasedFailed, ErasedNoConsent, ErasedImmutable, ErasedAbsent, ErasedDeleted} {
		b.add(Erased{b.receipt(1, Range{4, 4}), outcome})
	}
	b.seal(unusualItems()...)
	for i, method := range []backup.Method{backup.ProviderSHA256Parts(1), backup.ProviderSHA256Parts(MaxDecimal), backup.PeerReadbackSHA512, backup.PeerReadbackSHA1, backup.PeerReadbackMD5, backup.ProviderMD5} {
		b.add(Delivered{b.receipt(4, Range{int64(i), int64(i)}), method, BroughtAutomatic})
	}
	for i, reason := range []string{WithdrawnDamaged, WithdrawnLost, WithdrawnName, WithdrawnError} {
		b.add(Withdrawn{4, b.root(4), NewSet(Range{int64(i) + 4, int64(i) + 7}), reason, 0})
	}
	v.headNote = b.agreedHead()
	for index, state := range map[int64]backup.State{0: backup.Released, 1: backup.Confirmed, 3: backup.Confirmed, 7: backup.Waived, 10: backup.Withdrawn, 11: backup.Pending} {
		v.addProof(1, index, state)
	}
	v.addProof(3, 0, backup.Pending)
	v.addProof(4, 0, backup.Confirmed)
	b.close(1)
	b.close(3)
	b.add(Extended{4, b.root(4), b.now.AddDate(1, 0, 0), ExtendedCourtesy})
	b.add(Delivered{b.receipt(1, Range{0, 1}, Range{7, 8}, Range{10, 10}), backup.ReadbackUncached, BroughtByHand})
	b.add(Retired{RetiredEnded})
	b.rekey("server 3")
	return v
}

// close closes a manifest with the counts that the fold gives.
func (b *builder) close(manifest int64) {
	b.t.Helper()
	counts := b.fold.Counts(manifest)
	counts[backup.Expired] += counts[backup.Pending]
	counts[backup.Pending] = 0
	b.add(Closed{manifest, b.root(manifest), counts})
}

func (v *vectorLedger) addProof(manifest, index int64, state backup.State) {
	name := fmt.Sprintf("proofs/%d-%d.txt", manifest, index)
	v.proofs[name], v.states[name] = v.proof(manifest, index), state
}

// unusualItems have names, kinds and times that exercise every form of a line.
func unusualItems() []backup.Item {
	items := []backup.Item{
		{Path: "-", Kind: backup.KindOther, SourcePath: "--"},
		{Path: "100%", Kind: backup.KindMP3, Interaction: "-", SourcePath: "-"},
		{Path: "Über/straße ñ.mp3", Kind: backup.KindMP3, SourcePath: "\xdcber/stra\xdfe \xf1.mp3", RecordedAt: time.Unix(0, 0)},
		{Path: "chats/😀 chat #1.json", Kind: backup.KindChat, Interaction: "id with space, é and \x00\xff", RecordedAt: time.Unix(MaxCosignedSeconds, 0)},
		{Path: "empty.gsm", Kind: backup.KindGSM},
		{Path: "e\u0301 decomposed.wav", Kind: backup.KindWAV49, SourcePath: "\u00e9 composed.wav"},
		{Path: "huge.wav", Kind: backup.KindWAV49, Digest: backup.Digest{SizeBytes: 1 << 52}, RecordedAt: time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC)},
		{Path: "plain.gsm", Kind: backup.KindGSM, SourcePath: "dir\\plain?.gsm", Interaction: strings.Repeat("x", MaxInteractionBytes)},
		{Path: strings.Repeat("é", 100) + "/" + strings.Repeat("a", 200) + "/" + strings.Repeat("b", 200) + "/" + strings.Repeat("c", 197), Kind: backup.KindOther, SourcePath: strings.Repeat("\xff", MaxSourcePathBytes)},
		{Path: "~", Kind: backup.KindOther, SourcePath: "\x7f"},
		{Path: "\u00a0no-break", Kind: backup.KindOther},
	}
	for i := range items {
		items[i].Digest.SHA256[0], items[i].Digest.SHA256[31] = byte(i), 0xa0
	}
	slices.SortFunc(items, func(a, b backup.Item) int { return strings.Compare(a.Path, b.Path) })
	return items
}

// continuedLedger goes on after the complete one; its closed entry is wrong, and its log is lost at the end.
func continuedLedger(t testing.TB, complete *vectorLedger) *vectorLedger {
	b := emptyBuilder(t, Origin(strings.Replace(string(testOrigin), "0011", "ffee", 1)))
	b.add(Genesis{backup.StorageAzblob, 10, b.server.Verifier(), &KnownHead{testOrigin, complete.fold.Size, complete.fold.Tree.Root()}})
	b.assign("agent 1")
	b.seal(testItems("2026/03/02", 3)...)
	b.add(Delivered{b.receipt(1, Range{0, 0}), backup.ReadbackUncached, BroughtAutomatic})
	b.add(Closed{1, b.root(1), Counts{backup.Confirmed: 2, backup.Expired: 1}})
	b.add(Delivered{b.receipt(1, Range{1, 1}), backup.ReadbackUncached, BroughtAutomatic})
	b.close(1)
	b.add(Retired{RetiredTailLost})
	return &vectorLedger{builder: b, headNote: b.agreedHead()}
}

// movedLedger has no agent and so no agreed head.
func movedLedger(t testing.TB) *vectorLedger {
	b := emptyBuilder(t, Origin(strings.Replace(string(testOrigin), "nas", "wolkvox", 1)))
	b.add(Genesis{backup.StorageWolkvox, MaxWindowDays, b.server.Verifier(), nil})
	b.seal()
	b.add(Retired{RetiredMoved})
	return &vectorLedger{builder: b, headNote: b.head()}
}

// begunLedger has only its genesis.
func begunLedger(t testing.TB) *vectorLedger {
	b := emptyBuilder(t, Origin(strings.Replace(string(testOrigin), "acme-1/nas", "a/"+strings.Repeat("b", MaxLabelBytes), 1)))
	b.add(Genesis{backup.StorageS3, 1, b.server.Verifier(), nil})
	return &vectorLedger{builder: b, headNote: b.head()}
}

func (v *vectorLedger) files(dir string, files map[string][]byte) {
	files[dir+"/"+ExportedLedger] = exported(v.t, v.leaves)
	files[dir+"/"+ExportedHead] = v.headNote
	var states, alarms, proofs bytes.Buffer
	for i := range v.fold.Manifests {
		n := int64(i) + 1
		var text []byte
		for index, line := range v.lines[n] {
			if v.erased[n].Contains(int64(index)) {
				line = ForgottenLine(LineHash(line))
			}
			text = append(append(text, line...), '\n')
			items := v.fold.States(n)
			state, _ := items.Of(int64(index))
			fmt.Fprintf(&states, "%d %d %s\n", n, index, state)
		}
		files[dir+"/"+ExportedManifest(n)] = text
	}
	for _, a := range v.alarms {
		fmt.Fprintf(&alarms, "%s %d %d\n", a.Code, a.Entry, a.Manifest)
	}
	for _, name := range slices.Sorted(maps.Keys(v.proofs)) {
		files[dir+"/"+name] = v.proofs[name].Bytes()
		fmt.Fprintf(&proofs, "%s %s\n", name, v.states[name])
	}
	files[dir+"/states.txt"], files[dir+"/alarms.txt"], files[dir+"/proofs.txt"] = states.Bytes(), alarms.Bytes(), proofs.Bytes()
	keys := "server " + v.fold.Genesis.ServerKey.Fingerprint() + "\n"
	if v.fold.AgentKey != "" {
		keys += "agent " + v.fold.AgentKey.Fingerprint() + "\n"
	}
	files[dir+"/fingerprints.txt"] = []byte(keys)
}

func allVectors(t testing.TB) map[string][]byte {
	files := map[string][]byte{}
	complete := completeLedger(t)
	complete.files("complete", files)
	continuedLedger(t, complete).files("continued", files)
	movedLedger(t).files("moved", files)
	begunLedger(t).files("begun", files)
	var index []string
	for _, v := range refusedVectors(t) {
		files["refused/"+v.name+".txt"] = exported(t, v.leaves)
		index = append(index, v.name+" "+string(v.reason)+"\n")
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(index)))); n != len(index) {
		t.Fatalf("%d names of %d refused vectors", n, len(index))
	}
	slices.Sort(index)
	files["refused.txt"] = []byte(strings.Join(index, ""))
	for name, note := range refusedHeads(t, complete) {
		files["refused-heads/"+name+".txt"] = note
	}
	for name, proof := range refusedProofs(t, complete) {
		files["refused-proofs/"+name+".txt"] = proof
	}
	files["refused-lines.txt"] = []byte(strings.Join(refusedLines(), "\n") + "\n")
	return files
}

// TestVectors compares what is made here with testdata, which stands for all time. It runs before the tests that read
// testdata, because it may have to write it.
func TestVectors(t *testing.T) {
	want := allVectors(t)
	if *update {
		writeVectors(t, want)
	}
	seen := map[string]bool{"README.md": true, ".gitattributes": true}
	root := os.DirFS("testdata")
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == "fuzz":
			return fs.SkipDir
		case d.IsDir() || seen[path]:
			return nil
		}
		got, err := fs.ReadFile(root, path)
		if text, ok := want[path]; !ok || !bytes.Equal(text, got) {
			t.Errorf("testdata/%s differs from what is made here (made at all: %t)", path, ok)
		}
		seen[path] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for path := range want {
		if !seen[path] {
			t.Errorf("testdata/%s is missing", path)
		}
	}
}

func writeVectors(t testing.TB, files map[string][]byte) {
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "README.md" && e.Name() != ".gitattributes" && e.Name() != "fuzz" {
			if err := os.RemoveAll(filepath.Join("testdata", e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	for path, text := range files {
		name := filepath.Join("testdata", filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCompleteLedger reads the vectors as a stranger would: from the files alone.
func TestCompleteLedger(t *testing.T) {
	t.Parallel()
	kinds := map[Kind]bool{}
	for _, dir := range []string{"complete", "continued", "moved", "begun"} {
		read := func(name string) []byte {
			b, err := os.ReadFile(filepath.Join("testdata", dir, filepath.FromSlash(name)))
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		head, agreed, err := ParseHead(read(ExportedHead))
		if err != nil {
			t.Fatal(err)
		}
		f := NewFold()
		var alarms strings.Builder
		for leaf, err := range ReadExported(bytes.NewReader(read(ExportedLedger))) {
			if err != nil {
				t.Fatal(err)
			}
			e, as, err := f.Append(leaf)
			if err != nil {
				t.Fatalf("%s: entry %d: %v", dir, f.Size, err)
			}
			kinds[e.Body.Kind()] = true
			for _, a := range as {
				fmt.Fprintf(&alarms, "%s %d %d\n", a.Code, a.Entry, a.Manifest)
			}
			if f.Size != head.Size {
				continue
			}
			if agreed {
				_, _, err = OpenAgreedHead(read(ExportedHead), f.ServerKey, f.AgentKey)
			} else {
				_, err = OpenHead(read(ExportedHead), f.ServerKey)
			}
			if err != nil || f.Tree.Root() != head.Root {
				t.Errorf("%s: the head is not that of the log: %v", dir, err)
			}
		}
		if alarms.String() != string(read("alarms.txt")) {
			t.Errorf("%s: alarms %q", dir, alarms.String())
		}
		var states strings.Builder
		for _, m := range f.Manifests {
			checker := NewManifestChecker()
			items := f.States(m.Number)
			for text := range bytes.Lines(read(ExportedManifest(m.Number))) {
				line, err := checker.Add(bytes.TrimSuffix(text, []byte("\n")))
				if err != nil {
					t.Fatal(err)
				}
				state, _ := items.Of(checker.Items() - 1)
				if line.Forgotten && state != backup.Forgotten {
					t.Errorf("%s: line %d of manifest %d is erased and %s", dir, checker.Items()-1, m.Number, state)
				}
				fmt.Fprintf(&states, "%d %d %s\n", m.Number, checker.Items()-1, state)
			}
			if err := checker.Check(m); err != nil {
				t.Error(err)
			}
		}
		if states.String() != string(read("states.txt")) {
			t.Errorf("%s: states\n%s", dir, states.String())
		}
		checkProofs(t, dir, read)
	}
	for k := KindGenesis; k <= KindRetired; k++ {
		if !kinds[k] {
			t.Errorf("no vector has an entry %s", k)
		}
	}
}

func checkProofs(t *testing.T, dir string, read func(string) []byte) {
	prints := strings.Fields(string(read("fingerprints.txt")))
	for want := range strings.Lines(string(read("proofs.txt"))) {
		name, state, _ := strings.Cut(strings.TrimSpace(want), " ")
		p, err := ParseProof(read(name))
		if err != nil {
			t.Fatal(err)
		}
		proven, err := p.Check(prints[1], prints[3])
		if err != nil || proven.State.String() != state {
			t.Errorf("%s/%s proves %s (%v), want %s", dir, name, proven.State, err, state)
		}
	}
}
