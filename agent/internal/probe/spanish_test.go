package probe

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
	"github.com/wolkvox/backup/agent/internal/fault"
)

// verbs finds the verbs of a format.
var verbs = regexp.MustCompile(`%[a-z%]`)

// TestSpanish: what the package says it can say in Spanish, with the same values in the same order, and nothing is translated
// that is never said.
func TestSpanish(t *testing.T) {
	t.Parallel()
	said := saidFormats(t)
	for format := range said {
		if _, ok := spanish()[format]; !ok {
			t.Errorf("there is no Spanish for %q", format)
		}
	}
	for format, translated := range spanish() {
		if !said[format] {
			t.Errorf("%q is never said", format)
		}
		if got, want := verbs.FindAllString(translated, -1), verbs.FindAllString(format, -1); !slices.Equal(got, want) || translated == "" {
			t.Errorf("%q takes %q, in Spanish %q", format, want, got)
		}
	}
}

// saidFormats returns the formats of all calls that say something, and what the steps of the canary found.
func saidFormats(t *testing.T) map[string]bool {
	t.Helper()
	files := token.NewFileSet()
	said := make(map[string]bool)
	for _, name := range []string{"line.go", "machine.go", "place.go", "room.go", "step.go"} {
		file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		must(t, err)
		ast.Inspect(file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			at := map[string]int{"c.good": 1, "c.unknown": 1, "c.say": 0, "say": 1}
			if i, ok := at[types.ExprString(call.Fun)]; ok {
				if value := constantOf(files, call.Args[i]); value != "" {
					said[value] = true
				}
			}
			return true
		})
		ast.Inspect(file, func(node ast.Node) bool { // {SubjectWrite, "a file was written", canary.Write}
			if lit, ok := node.(*ast.CompositeLit); ok && len(lit.Elts) == 3 && strings.HasPrefix(types.ExprString(lit.Elts[2]), "canary.") {
				said[constantOf(files, lit.Elts[1])] = true
			}
			return true
		})
	}
	if len(said) < 30 {
		t.Fatalf("only %d formats were found", len(said))
	}
	return said
}

// constantOf returns the text of a constant expression, and nothing for any other.
func constantOf(files *token.FileSet, expression ast.Expr) string {
	info := &types.Info{Types: make(map[ast.Expr]types.TypeAndValue)}
	if types.CheckExpr(files, types.NewPackage("p", "p"), token.NoPos, expression, info) != nil || info.Types[expression].Value == nil {
		return ""
	}
	return constant.StringVal(info.Types[expression].Value)
}

// TestSpanishLines has no line of the check's own in English where Spanish is configured.
func TestSpanishLines(t *testing.T) {
	t.Parallel()
	english := initialised(t, well(t, memdest.New()))
	english.Login = true
	spanish := english
	spanish.Faults.Language = fault.Spanish
	en, es := run(t, New(english)), run(t, New(spanish))
	if len(en.Lines) != len(es.Lines) {
		t.Fatalf("%d lines in English, %d in Spanish", len(en.Lines), len(es.Lines))
	}
	for i, line := range es.Lines {
		if line.Message == en.Lines[i].Message || strings.Contains(line.Message, "%!") {
			t.Errorf("%s says %q", line.Subject, line.Message)
		}
	}
	want{SubjectSpace, backup.CheckGood, []string{"libres", "caben las 3 grabaciones"}}.in(t, es)
	want{SubjectCertificate, backup.CheckGood, []string{"60 días más"}}.in(t, es)

	english.Store, _ = dest.New(memdest.New(), "/mnt/nas", testOrigin)
	spanish.Store = english.Store
	en, es = run(t, New(english)), run(t, New(spanish))
	for i, line := range es.Lines {
		if line.Message == en.Lines[i].Message || strings.Contains(line.Message, "%!") {
			t.Errorf("of a place without a marker %s says %q", line.Subject, line.Message)
		}
	}
}
