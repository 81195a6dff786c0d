package lint

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strings"
	"testing"
)

// packagesDocumented wants exactly one package comment for every package that is more than tests. It begins
// with "Package NAME ", except for programs.
func packagesDocumented(tr tree) []string {
	var findings []string
	comments := map[string][]string{} // by package, the files with a comment
	for _, f := range tr.shipped() {
		files, name := comments[f.dir()], f.syntax.Name.Name
		if f.syntax.Doc != nil {
			files = append(files, f.path)
			if begin := "Package " + name + " "; name != "main" && !strings.HasPrefix(f.syntax.Doc.Text(), begin) {
				findings = append(findings, fmt.Sprintf("%s: the package comment does not begin with %q", f.path, begin))
			}
		}
		comments[f.dir()] = files
	}
	for _, dir := range slices.Sorted(maps.Keys(comments)) {
		if files := comments[dir]; len(files) != 1 {
			findings = append(findings, fmt.Sprintf("%s has %d package comments %q, want one: what it is for, and what it does not do", dir, len(files), files))
		}
	}
	return findings
}

// exportsDocumented wants a comment on every exported function, method of an exported type, type, method of an
// exported interface, constant and variable. A comment on a group of constants or variables does for all in it, and
// that on an interface for its only method.
func exportsDocumented(tr tree) []string {
	var findings []string
	for _, f := range tr.shipped() {
		if f.syntax.Name.Name == "main" {
			continue
		}
		for _, decl := range f.syntax.Decls {
			for _, name := range undocumented(decl) {
				findings = append(findings, fmt.Sprintf("%s: %s has no doc comment", f.path, name))
			}
		}
	}
	return findings
}

// undocumented returns the exported names of a declaration that have no comment.
func undocumented(decl ast.Decl) []string {
	var names []string
	switch d := decl.(type) {
	case *ast.FuncDecl:
		receiver := receiverType(d)
		if d.Doc == nil && d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver)) {
			names = append(names, strings.TrimPrefix(receiver+"."+d.Name.Name, "."))
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() {
					if s.Doc == nil && (d.Doc == nil || d.Lparen.IsValid()) {
						names = append(names, s.Name.Name)
					}
					names = append(names, undocumentedMethods(s)...)
				}
			case *ast.ValueSpec:
				for _, name := range s.Names {
					if name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

// undocumentedMethods returns the exported methods without a comment, where the type is an interface.
func undocumentedMethods(spec *ast.TypeSpec) []string {
	contract, ok := spec.Type.(*ast.InterfaceType)
	if !ok || contract.Methods.NumFields() == 1 {
		return nil
	}
	var names []string
	for _, method := range contract.Methods.List {
		for _, name := range method.Names {
			if name.IsExported() && method.Doc == nil && method.Comment == nil {
				names = append(names, spec.Name.Name+"."+name.Name)
			}
		}
	}
	return names
}

// receiverType returns the name of the type that a method belongs to, and "" for a function.
func receiverType(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	expr := d.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

func TestPackagesDocumentedRule(t *testing.T) {
	t.Parallel()
	check(t, packagesDocumented, []example{
		{"documented", map[string]string{
			"a/a.go":      "// Package a is an example.\npackage a\n",
			"a/b.go":      "package a\n",
			"a/a_test.go": "// Package a is not looked at in tests.\npackage a\n",
			"b/main.go":   "// B does something.\npackage main\n",
			"c/c_test.go": "package c\n",
			"gen/g.go":    "package g\n",
		}, nil},
		{"none", map[string]string{"a/a.go": "package a\n"}, []string{"./a has 0 package comments"}},
		{"none, in a program", map[string]string{"a/a.go": "package main\n"}, []string{"./a has 0 package comments"}},
		{"two", map[string]string{"a/a.go": "// Package a is one.\npackage a\n", "a/b.go": "// Package a is two.\npackage a\n"}, []string{`./a has 2 package comments ["a/a.go" "a/b.go"]`}},
		{"detached", map[string]string{"a/a.go": "// Package a is detached.\n\npackage a\n"}, []string{"./a has 0 package comments"}},
		{"another name", map[string]string{"a.go": "// This package is one.\npackage a\n"}, []string{`does not begin with "Package a "`}},
	})
}

func TestExportsDocumentedRule(t *testing.T) {
	t.Parallel()
	check(t, exportsDocumented, []example{
		{"documented", map[string]string{"a/a.go": `package a

// F does.
func F() {}

func f() {}

// T is.
type T struct{ Field int }

// M does.
func (t *T) M() {}

type t struct{}

func (t) Exported() {}

// Both are.
const (
	A = 1
	B = 2
)

var (
	// C is.
	C int
	D int // D is.
)

// I is.
type I interface {
	// Do does.
	Do()
	do()
}

// J does.
type J interface{ Do() }
`, "b/main.go": "package main\n\nfunc F() {}\n", "a/a_test.go": "package a\n\nfunc Helper() {}\n"}, nil},
		{"function", map[string]string{"a.go": "package a\n\nfunc F() {}\n"}, []string{"a.go: F has no"}},
		{"method", map[string]string{"a.go": "package a\n\nfunc (t *T) M() {}\n\nfunc (g G[K]) N() {}\n"}, []string{"T.M has no", "G.N has no"}},
		{"type", map[string]string{"a.go": "package a\n\ntype T int\n"}, []string{"T has no"}},
		{"type in a group", map[string]string{"a.go": "package a\n\n// Types.\ntype (\n\tT int\n)\n"}, []string{"T has no"}},
		{"interface method", map[string]string{"a.go": "package a\n\n// I is.\ntype I interface {\n\tDo()\n\tdo()\n}\n"}, []string{"I.Do has no"}},
		{"values", map[string]string{"a.go": "package a\n\nvar A, b int\n\nconst (\n\tC = 1\n)\n"}, []string{"A has no", "C has no"}},
	})
}
