package portable

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	backup "github.com/wolkvox/backup"
)

func TestPath(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"2026/11/22/call.gsm":    "2026/11/22/call.gsm",
		"Cañón/e\u0301.mp3":      "Cañón/e\u0301.mp3",
		"a:b":                    "a%3ab",
		"50%.gsm":                "50%25.gsm",
		"a%3ab":                  "a%253ab",
		`<>:"\|?*`:               "%3c%3e%3a%22%5c%7c%3f%2a",
		"a\nb\x7f\x00":           "a%0ab%7f%00",
		"caf\xe9/\xff":           "caf%e9/%ff",
		"\xed\xa0\x80":           "%ed%a0%80", // half of a surrogate pair is not UTF-8
		"\ufffd":                 "\ufffd",
		"dot.":                   "dot%2e",
		"dots...":                "dots..%2e",
		"... /x":                 "...%20/x",
		" lead":                  "%20lead",
		" ":                      "%20",
		"in side":                "in side",
		"CON":                    "%43ON",
		"con.gsm":                "%63on.gsm",
		"a/Lpt1 .x/b":            "a/%4cpt1 .x/b",
		"COM¹":                   "%43OM¹",
		"CONSOLE":                "CONSOLE",
		".wolkvox":               "%2ewolkvox",
		".WolkVox-source/a":      "%2eWolkVox-source/a",
		".wol\u212avox":          "%2ewol\u212avox", // the Kelvin sign
		"\uff0ewolkvox":          "%ef%bc%8ewolkvox",
		"a/.wolkvox":             "a/.wolkvox",
		"-":                      "-",
		strings.Repeat("x", 200): strings.Repeat("x", 200),
	} {
		got := Path(source)
		if err := backup.CheckPath(got); err != nil {
			t.Errorf("Path(%q) = %q: %v", source, got, err)
		}
		if got != want {
			t.Errorf("Path(%q) = %q, want %q", source, got, want)
		}
	}
}

func TestPathTooLong(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 250)
	tests := []struct{ about, source, want string }{
		{"name", "a/" + long + ".gsm", "a/" + strings.Repeat("x", 183) + "~HASH.gsm"},
		{"name without extension", "a/" + long, "a/" + strings.Repeat("x", 187) + "~HASH"},
		{"name that is all extension", "." + long, "." + strings.Repeat("x", 186) + "~HASH"},
		{"name with a long extension", "a." + long, "a." + strings.Repeat("x", 185) + "~HASH"},
		{"name cut at a character", strings.Repeat("ñ", 125), strings.Repeat("ñ", 93) + "~HASH"},
		{"name cut at an escape", "x" + strings.Repeat(":", 83), "x" + strings.Repeat("%3a", 62) + "~HASH"},
		{"path", strings.Repeat("folder/", 120) + "call.gsm", strings.Repeat("folder/", 111) + "call~HASH.gsm"},
		{"path of three long folders", long + "/" + long + "/" + long + "/" + long + "/x.gsm", ""},
	}
	for _, test := range tests {
		got := Path(test.source)
		if err := backup.CheckPath(got); err != nil {
			t.Errorf("%s: Path = %q: %v", test.about, got, err)
		}
		want := strings.ReplaceAll(test.want, "~HASH", hashSuffix(test.source))
		if test.want != "" && got != want {
			t.Errorf("%s: Path = %q, want %q", test.about, got, want)
		}
	}
	if a, b := Path(long+"/a.gsm"), Path(long+"/b.gsm"); path.Dir(a) != path.Dir(b) {
		t.Errorf("the files of one folder went apart: %q, %q", a, b)
	}
}

func TestFold(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"CALL.gsm", "call.GSM"},
		{"caf\u00e9", "cafe\u0301", "CAFE\u0301"},
		{"stra\u00dfe", "STRASSE"},
		{"\ufb01n", "FIN"},
		{"\u212a", "k", "K"},
		{"COM\u00b9", "com1"},
	} {
		for _, s := range same[1:] {
			if Fold(s) != Fold(same[0]) {
				t.Errorf("Fold(%q) = %q, Fold(%q) = %q", s, Fold(s), same[0], Fold(same[0]))
			}
		}
	}
	if Fold("a") == Fold("á") {
		t.Error("a letter and the letter with an accent are the same")
	}
	var ascii strings.Builder
	for b := range byte(0x80) {
		ascii.WriteByte(b)
	}
	if s := ascii.String(); Fold(s) != norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s))) {
		t.Error("the short way for ASCII differs")
	}
}

func TestDistinct(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 196) + ".gsm"
	full := strings.Repeat(strings.Repeat("y", 199)+"/", 3) + strings.Repeat("z", 197) + "/ab"
	tests := []struct {
		path  string
		taken []string
		want  string
	}{
		{"a/call.gsm", nil, "a/call.gsm"},
		{"a/call.gsm", []string{"A/Call.GSM"}, "a/call~2.gsm"},
		{"a/call.gsm", []string{"a/call.gsm", "a/CALL~2.gsm"}, "a/call~3.gsm"},
		{".hidden", []string{".hidden"}, ".hidden~2"},
		{"a.b/c", []string{"a.b/c"}, "a.b/c~2"},
		{long, []string{long}, strings.Repeat("x", 194) + "~2.gsm"},
		{full, []string{full}, path.Dir(path.Dir(full)) + "/ab~2"},
		{"a/b", []string{"A"}, "a~2/b"},
		{"a/b/c.gsm", []string{"a", "a~2/B"}, "a~2/b~2/c.gsm"},
		{"a/c.gsm", []string{"a", "a~2/b"}, "a~2/c.gsm"},
		{"a", []string{"A/b"}, "a~2"},
		{"a", []string{"A/b", "a~2/b", "b"}, "a~3"},
	}
	for _, test := range tests {
		taken := map[string]bool{}
		for _, p := range test.taken {
			for _, key := range Keys(p) {
				taken[key] = true
			}
		}
		got := Distinct(test.path, func(folded string) bool { return taken[folded] })
		if got != test.want {
			t.Errorf("Distinct(%q) beside %q = %q, want %q", test.path, test.taken, got, test.want)
		}
		if err := backup.CheckPath(got); err != nil {
			t.Errorf("Distinct(%q): %v", test.path, err)
		}
	}
}

// TestDistinctSources puts many hostile sources into one destination.
func TestDistinctSources(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	parts := []string{"a", "A", "é", "e\u0301", "É", "/", "/", "/", ".", " ", "%", "~2", ":", "con", "\xff", "\n", "ß", "SS",
		".gsm", ".wolkvox", strings.Repeat("w", 90), strings.Repeat("ñ", 100), "%3a", "/dir/dir/", "\u212a", "\uff0f"}
	sources := map[string]bool{}
	for len(sources) < 5000 {
		var b strings.Builder
		for range 1 + random.IntN(12) {
			b.WriteString(parts[random.IntN(len(parts))])
		}
		if source, ok := clean(b.String()); ok {
			sources[source] = true
		}
	}
	taken, paths := map[string]bool{}, map[string]string{}
	for _, source := range slices.Sorted(maps.Keys(sources)) {
		p := Distinct(Path(source), func(folded string) bool { return taken[folded] })
		if err := backup.CheckPath(p); err != nil {
			t.Fatalf("%q: %v", source, err)
		}
		if other, ok := paths[Fold(p)]; ok {
			t.Fatalf("%q, of %q, is the same as %q", p, source, other)
		}
		paths[Fold(p)] = p
		for _, key := range Keys(p) {
			taken[key] = true
		}
	}
	for _, p := range paths {
		for _, folder := range Keys(p)[1:] {
			if file, ok := paths[strings.TrimSuffix(folder, folderMark)]; ok {
				t.Errorf("%q is a file and a folder of %q", file, p)
			}
		}
	}
}

// clean makes any text a source path as a scan yields them.
func clean(s string) (string, bool) {
	s = path.Clean(strings.TrimLeft(strings.ReplaceAll(s, "\x00", ""), "/"))
	ok := s != "." && s != ".." && !strings.HasPrefix(s, "../") && s != "/" && len(s) <= 4096
	for component := range strings.SplitSeq(s, "/") {
		ok = ok && len(component) <= 255
	}
	return s, ok
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"a/b.gsm", "CON .x/a:b", "%25\xff\xed\xa0\x80", " ./. /.. ", ".wolkvox/x", strings.Repeat("é/", 400), strings.Repeat("%", 255)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		source, ok := clean(s)
		if !ok {
			t.Skip()
		}
		got := Path(source)
		if err := backup.CheckPath(got); err != nil {
			t.Fatalf("Path(%q) = %q: %v", source, got, err)
		}
		whole := len(got) <= backup.MaxPathBytes-15
		for component := range strings.SplitSeq(got, "/") {
			whole = whole && !strings.Contains(component, "~")
		}
		if back, err := Source(got); whole && (err != nil || back != source) {
			t.Errorf("Source(Path(%q)) = %q, %v", source, back, err)
		}
		first := Fold(got)
		second := Distinct(got, func(folded string) bool { return folded == first })
		if err := backup.CheckPath(second); err != nil || Fold(second) == first {
			t.Errorf("Distinct(%q) = %q: %v", got, second, err)
		}
	})
}

func TestSourceRefuses(t *testing.T) {
	t.Parallel()
	for _, p := range []string{"%", "a%3", "%3A", "%zz", "%%25"} {
		if got, err := Source(p); err == nil {
			t.Errorf("Source(%q) = %q, want an error", p, got)
		}
	}
}

func BenchmarkDistinct(b *testing.B) {
	taken := map[string]bool{}
	for i := range b.N {
		p := Distinct(Path(fmt.Sprintf("2026/11/22/agent-%d/call-%d.gsm", i%50, i)), func(folded string) bool { return taken[folded] })
		taken[Fold(p)] = true
	}
}
