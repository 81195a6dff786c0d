package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A file is one idea. Above questionLines it is worth asking whether it holds two; above maxLines it does.
const (
	questionLines = 400
	maxLines      = 800
)

// sizedSuffixes are the kinds of files whose size counts.
var sizedSuffixes = []string{".go", ".proto", ".mjs", ".js", ".sh"}

// tooWide are package names that say nothing of what the package holds.
var tooWide = []string{"util", "utils", "common", "helper", "helpers", "types", "models", "misc", "shared", "base"}

// forbidden are words of unfinished work, and of what is no part of this repository. They are written in two
// pieces, so that this file passes too.
var forbidden = []struct {
	words *regexp.Regexp
	why   string
}{
	{regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK|WI` + `P)\b`), "unfinished work belongs in an issue"},
	{regexp.MustCompile(`(?i)\bplace` + `holder|\bfor ` + `now\b|\blorem ` + `ipsum`), "say what is, or finish it"},
	{regexp.MustCompile(`(^|[^\w./-])/(wo` + `rk|ro` + `ot)/`), "a path of one machine"},
	{regexp.MustCompile(`DESI` + `GN(\.md| §|'s)|\.\./sha` + `red\b`), "a document that is no part of this repository"},
	{regexp.MustCompile(`^(<{7}|>{7}) `), "an unresolved merge"},
}

func formatted(tr tree) []string {
	var findings []string
	for _, f := range tr {
		if !f.isGo() || f.isTestdata() {
			continue
		}
		want, err := format.Source(f.source)
		if err != nil {
			findings = append(findings, fmt.Sprintf("%s does not parse: %v", f.path, err))
		} else if !bytes.Equal(f.source, want) {
			findings = append(findings, fmt.Sprintf("%s is not formatted: run gofmt -w on it", f.path))
		}
	}
	return findings
}

func readableSize(tr tree) []string {
	var findings []string
	for _, f := range tr {
		if f.isSized() && f.lines() > maxLines {
			findings = append(findings, fmt.Sprintf("%s has %d lines, more than %d: give its ideas a file each", f.path, f.lines(), maxLines))
		}
	}
	return findings
}

// longFiles returns the files above questionLines, with their lines, for a person to look at.
func longFiles(tr tree) []string {
	var long []string
	for _, f := range tr {
		if f.isSized() && f.lines() > questionLines {
			long = append(long, fmt.Sprintf("%s (%d)", f.path, f.lines()))
		}
	}
	return long
}

func (f file) isSized() bool {
	return !f.isGenerated() && !f.isTestdata() && slices.Contains(sizedSuffixes, path.Ext(f.path))
}

func noInit(tr tree) []string {
	var findings []string
	for _, f := range tr.written() {
		for _, decl := range f.syntax.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok && d.Recv == nil && d.Name.Name == "init" {
				findings = append(findings, fmt.Sprintf("%s has a function init: do it where the program is wired", f.path))
			}
		}
	}
	return findings
}

func namedAfterContents(tr tree) []string {
	var findings []string
	for _, f := range tr.written() {
		if name := f.syntax.Name.Name; slices.Contains(tooWide, name) {
			findings = append(findings, fmt.Sprintf("%s: the package name %s says nothing of what it holds", f.path, name))
		}
	}
	return findings
}

// peersNeverSkip: a test against a real peer that cannot run is a failure, or nobody would know.
func peersNeverSkip(tr tree) []string {
	tagged := regexp.MustCompile(`(?m)^//go:build .*\bpeers\b`)
	var findings []string
	for _, f := range tr.written() {
		if !tagged.Match(f.source) {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, s.Sel.Name) {
				findings = append(findings, fmt.Sprintf("%s calls %s: a peer test fails where its peer is missing", f.path, s.Sel.Name))
			}
			return true
		})
	}
	return findings
}

func noForbiddenWords(tr tree) []string {
	var findings []string
	for _, f := range tr {
		if f.path == "go.sum" || path.Base(f.path) == "package-lock.json" || f.isTestdata() || bytes.IndexByte(f.source, 0) >= 0 {
			continue
		}
		for i, line := range strings.Split(string(f.source), "\n") {
			for _, rule := range forbidden {
				if found := rule.words.FindString(line); found != "" {
					findings = append(findings, fmt.Sprintf("%s:%d: %q: %s", f.path, i+1, found, rule.why))
				}
			}
		}
	}
	return findings
}

func TestFormattedRule(t *testing.T) {
	t.Parallel()
	check(t, formatted, []example{
		{"formatted", map[string]string{"a.go": "package a\n\nvar a = 1\n", "testdata/b.go": "package  b"}, nil},
		{"spaces", map[string]string{"a.go": "package a\n\nvar a  = 1\n"}, []string{"a.go is not formatted"}},
		{"generated, too", map[string]string{"gen/a.go": "package  a\n"}, []string{"gen/a.go is not formatted"}},
		{"no Go", map[string]string{"a.go": "package\n"}, []string{"a.go does not parse"}},
	})
}

func TestReadableSizeRule(t *testing.T) {
	t.Parallel()
	lines := func(n int) string { return "package a\n" + strings.Repeat("\n", n-1) }
	sizes := map[string]string{"a.go": lines(questionLines), "b.mjs": lines(questionLines + 1), "c.go": lines(maxLines), "d.md": lines(9999), "gen/e.go": lines(9999)}
	check(t, readableSize, []example{
		{"readable", sizes, nil},
		{"too long", map[string]string{"a.go": lines(maxLines + 1), "b.sh": lines(maxLines + 2)}, []string{"a.go has 801 lines", "b.sh has 802 lines"}},
	})
	if got, want := longFiles(treeOf(sizes)), []string{"b.mjs (401)", "c.go (800)"}; !slices.Equal(got, want) {
		t.Errorf("long files %q, want %q", got, want)
	}
}

func TestNoInitRule(t *testing.T) {
	t.Parallel()
	check(t, noInit, []example{
		{"a method", map[string]string{"a.go": "package a\n\nfunc (t T) init() {}\n"}, nil},
		{"a function", map[string]string{"a.go": "package a\n\nfunc init() {}\n"}, []string{"a.go has a function init"}},
	})
}

func TestNamedAfterContentsRule(t *testing.T) {
	t.Parallel()
	check(t, namedAfterContents, []example{
		{"a noun", map[string]string{"ledger/a.go": "package ledger\n"}, nil},
		{"too wide", map[string]string{"util/a.go": "package util\n"}, []string{"the package name util"}},
	})
}

func TestPeersNeverSkipRule(t *testing.T) {
	t.Parallel()
	skipping := "package a\n\nfunc TestA(t *testing.T) { t.Skip() }\n"
	check(t, peersNeverSkip, []example{
		{"no peer test", map[string]string{"a_test.go": skipping}, nil},
		{"a peer test", map[string]string{"a_test.go": "//go:build peers\n\n" + skipping}, []string{"a_test.go calls Skip"}},
		{"one for Linux only", map[string]string{"a_test.go": "//go:build linux && peers\n\n" + skipping}, []string{"a_test.go calls Skip"}},
	})
}

func TestNoForbiddenWordsRule(t *testing.T) {
	t.Parallel()
	check(t, noForbiddenWords, []example{
		{"clean", map[string]string{
			"a.go":          "package a // for nowhere, mktemp XXXXXX, https://example.com/work/x, a/root/b, ./root/\n",
			"testdata/a":    "TO" + "DO",
			"b.bin":         "\x00TO" + "DO",
			"docs/index.md": "The design is in docs/.\n",
		}, nil},
		{"unfinished", map[string]string{"a.md": "one\nTO" + "DO: two\n", "b.go": "// XX" + "X\n"}, []string{"a.md:2:", "b.go:1:"}},
		{"provisional", map[string]string{"a.go": "// For " + "now, a place" + "holder.\n// A place" + "holder\n"}, []string{"a.go:1:", "a.go:2:"}},
		{"one machine", map[string]string{"a.sh": "cd /wo" + "rk/main\ncat '/ro" + "ot/x'\n"}, []string{"a.sh:1:", "a.sh:2:"}},
		{"elsewhere", map[string]string{"a.go": "// See DESI" + "GN.md\n// and ../sha" + "red/x\n"}, []string{"a.go:1:", "a.go:2:"}},
		{"a merge", map[string]string{"a.md": "<<<<" + "<<< HEAD\n"}, []string{"an unresolved merge"}},
	})
}
