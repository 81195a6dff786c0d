package ledger

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wolkvox/backup"
)

func TestLineIdentity(t *testing.T) {
	t.Parallel()
	for _, it := range append(unusualItems(), testItems("2026/02/28", 3)...) {
		line, err := FormatLine(it)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseLine(line)
		if diff := cmp.Diff(it, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", line, err, diff)
		}
	}
}

// TestRandomLines makes lines of random bytes: what one side writes the other reads, and no byte is lost.
func TestRandomLines(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	for range 20000 {
		it := backup.Item{Path: randomBytes(r, 12), SourcePath: randomBytes(r, 12), Interaction: randomBytes(r, 6), Kind: backup.MediaKind(r.IntN(7)),
			Digest: backup.Digest{SizeBytes: r.Int64() >> r.IntN(63)}}
		if r.IntN(2) == 0 {
			it.RecordedAt = time.Unix(r.Int64N(2*MaxCosignedSeconds), r.Int64N(2)*r.Int64N(2)).UTC()
		}
		line, err := FormatLine(it)
		if err != nil {
			continue
		}
		got, err := ParseLine(line)
		if diff := cmp.Diff(it, got); err != nil || diff != "" {
			t.Fatalf("%q: %v\n%s", line, err, diff)
		}
	}
}

func randomBytes(r *rand.Rand, most int) string {
	b := make([]byte, r.IntN(most))
	for i := range b {
		if b[i] = "-%abC2d9 /."[r.IntN(11)]; r.IntN(6) == 0 {
			b[i] = byte(r.IntN(256))
		}
	}
	return string(b)
}

func TestFormatLineRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*backup.Item){
		"path":            func(it *backup.Item) { it.Path = "a/../b" },
		"source path":     func(it *backup.Item) { it.SourcePath = it.Path },
		"long source":     func(it *backup.Item) { it.SourcePath = strings.Repeat("x", MaxSourcePathBytes+1) },
		"interaction":     func(it *backup.Item) { it.Interaction = strings.Repeat("x", MaxInteractionBytes+1) },
		"negative size":   func(it *backup.Item) { it.Digest.SizeBytes = -1 },
		"size":            func(it *backup.Item) { it.Digest.SizeBytes = MaxDecimal + 1 },
		"no kind":         func(it *backup.Item) { it.Kind = 0 },
		"unknown kind":    func(it *backup.Item) { it.Kind = 6 },
		"fraction":        func(it *backup.Item) { it.RecordedAt = it.RecordedAt.Add(1) },
		"before 1970":     func(it *backup.Item) { it.RecordedAt = time.Unix(-1, 0) },
		"after year 9999": func(it *backup.Item) { it.RecordedAt = time.Unix(MaxCosignedSeconds+1, 0) },
	} {
		it := testItem("a/b.gsm", 1)
		change(&it)
		if line, err := FormatLine(it); err == nil {
			t.Errorf("%s: FormatLine gives %s", name, line)
		}
	}
}

func TestManifestChecker(t *testing.T) {
	t.Parallel()
	b := basicLog(t)
	lines, m := b.lines[1], b.fold.Manifests[0]
	check := func(lines [][]byte) error {
		c := NewManifestChecker()
		for _, line := range lines {
			if _, err := c.Add(line); err != nil {
				return err
			}
		}
		return c.Check(m)
	}
	erased := slices.Clone(lines)
	erased[0], erased[9] = ForgottenLine(LineHash(lines[0])), ForgottenLine(LineHash(lines[9]))
	for name, good := range map[string][][]byte{"whole": lines, "with erased lines": erased} {
		if err := check(good); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	other, err := FormatLine(testItem("2026/02/28/call-0009.gsm", 2000))
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][][]byte{"short": lines[:9], "long": append(slices.Clone(lines), b.lines[2][0]), "changed": append(slices.Clone(lines[:9]), other),
		"wrong hash": append(slices.Clone(lines[:9]), ForgottenLine(LineHash(lines[0])))} {
		if err := check(bad); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v, want ErrManifest", name, err)
		}
	}
	swapped := slices.Clone(lines)
	swapped[3], swapped[4] = swapped[4], swapped[3]
	for name, bad := range map[string][][]byte{"swapped": swapped, "twice": slices.Insert(slices.Clone(lines), 3, lines[3]), "no line": {nil},
		"swapped around an erased line": {lines[5], erased[0], lines[4]}} {
		if err := check(bad); reasonOf(t, err) != ReasonText {
			t.Errorf("%s: %v, want TEXT", name, err)
		}
	}
	wrong := m
	wrong.Bytes++
	m = wrong
	if err := check(lines); !errors.Is(err, ErrManifest) {
		t.Errorf("other bytes: %v, want ErrManifest", err)
	}
	if err := check(erased); err != nil {
		t.Errorf("erased lines leave the bytes open: %v", err)
	}
}

func TestReadExported(t *testing.T) {
	t.Parallel()
	b := basicLog(t)
	text := exported(t, b.leaves)
	var got [][]byte
	for leaf, err := range ReadExported(iotest.OneByteReader(bytes.NewReader(text))) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, leaf)
	}
	if diff := cmp.Diff(b.leaves, got); diff != "" {
		t.Error(diff)
	}
	last := func(text string) error {
		var last error
		for _, err := range ReadExported(strings.NewReader(text)) {
			last = err
		}
		return last
	}
	for _, bad := range []string{"entry 1 0\n", "entry 0 00\n", "entry 0 0", "entry 0 5\nabc", "entry 0 1\n\nentry 2 1\n\n", "entry 0 0\r\n", "Entry 0 0\n", "entry 0\n", "entry 0 0 0\n", "\n",
		"entry 0 " + strings.Repeat("1", 80) + "\n", string(text) + "x", string(text[:len(text)-1])} {
		if err := last(bad); reasonOf(t, err) != ReasonText {
			t.Errorf("ReadExported(%.80q): %v, want TEXT", bad, err)
		}
	}
	if err := last("entry 0 65537\n" + strings.Repeat("x", MaxEntryBytes+1)); reasonOf(t, err) != ReasonLimit {
		t.Errorf("an entry too long: %v, want LIMIT", err)
	}
	broken := errors.New("broken")
	for _, err := range ReadExported(io.MultiReader(bytes.NewReader(text), iotest.ErrReader(broken))) {
		if err != nil && !errors.Is(err, broken) {
			t.Errorf("a broken reader: %v", err)
		}
	}
}

func BenchmarkFormatLine(b *testing.B) {
	it := testItem("2026/02/28/agent-0042/1700000000.123456_3001234567.gsm", 150000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := FormatLine(it); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseManifestLine(b *testing.B) {
	line, err := FormatLine(testItem("2026/02/28/agent-0042/1700000000.123456_3001234567.gsm", 150000))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseManifestLine(line); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckReceipt(b *testing.B) {
	log := basicLog(b)
	leaf := log.oneOfEach()[KindDelivered]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := log.fold.Check(leaf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseEntry(b *testing.B) {
	leaf := basicLog(b).oneOfEach()[KindDelivered]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseEntry(leaf); err != nil {
			b.Fatal(err)
		}
	}
}
