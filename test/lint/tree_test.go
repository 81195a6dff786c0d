package lint

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the top of the repository, seen from this package.
const root = "../.."

// file is one file of the repository.
type file struct {
	path   string // from the root, with slashes
	source []byte
	syntax *ast.File // nil where the file is no Go source, or one that does not parse
}

// tree is the files of a repository in the order of their paths. Go sources are there whatever system or build
// tag they are for, which is why the rules read them and not what go list says of one configuration.
type tree []file

// readRepository reads every file that git tracks or would track.
func readRepository(t *testing.T) tree {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatalf("list the files of the repository with git: %v", err)
	}
	files := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		switch {
		case errors.Is(err, fs.ErrNotExist): // deleted, and not committed
		case err != nil:
			t.Fatal(err)
		default:
			files[name] = string(source)
		}
	}
	return treeOf(files)
}

// treeOf builds a tree from paths and contents.
func treeOf(files map[string]string) tree {
	var tr tree
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f := file{path: name, source: []byte(files[name])}
		if f.isGo() {
			syntax, err := parser.ParseFile(token.NewFileSet(), name, f.source, parser.ParseComments|parser.SkipObjectResolution)
			if err == nil {
				f.syntax = syntax
			}
		}
		tr = append(tr, f)
	}
	return tr
}

// written returns the Go sources that people write: parsed, and outside gen and testdata.
func (tr tree) written() tree {
	return slices.DeleteFunc(slices.Clone(tr), func(f file) bool { return f.syntax == nil || f.isGenerated() || f.isTestdata() })
}

// shipped returns the written Go sources without test files.
func (tr tree) shipped() tree {
	return slices.DeleteFunc(tr.written(), file.isTest)
}

// dir returns the file's package as the go command names it from the root: "." or "./a/b".
func (f file) dir() string {
	if d := path.Dir(f.path); d != "." {
		return "./" + d
	}
	return "."
}

func (f file) isGo() bool        { return strings.HasSuffix(f.path, ".go") }
func (f file) isTest() bool      { return strings.HasSuffix(f.path, "_test.go") }
func (f file) isGenerated() bool { return strings.HasPrefix(f.path, "gen/") }
func (f file) isTestdata() bool  { return strings.Contains("/"+f.path, "/testdata/") }

// lines counts the file's lines.
func (f file) lines() int { return bytes.Count(f.source, []byte("\n")) }
