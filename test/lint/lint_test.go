package lint

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// rule names what is wrong in a tree, a finding per line; no finding means that the tree obeys.
type rule func(tree) []string

// TestRepository holds every rule against this repository.
func TestRepository(t *testing.T) {
	t.Parallel()
	repository := readRepository(t)
	rules := map[string]rule{
		"imports obey the layers":                 layersHold,
		"confined packages stay confined":         confinedStay,
		"closed packages import their list only":  closedStayClosed,
		"one doc comment per package":             packagesDocumented,
		"exported names are documented":           exportsDocumented,
		"sources are formatted":                   formatted,
		"files are of a readable size":            readableSize,
		"no init functions":                       noInit,
		"packages are named after what they hold": namedAfterContents,
		"peer tests never skip":                   peersNeverSkip,
		"nothing unfinished, nothing local":       noForbiddenWords,
		"contracts have their generated code":     generatedPresent,
		"nothing is exempt from buf lint":         bufLintsAll,
		"links in Markdown lead somewhere":        linksResolve,
	}
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, finding := range rules[name](repository) {
				t.Error(finding)
			}
		})
	}
	for _, f := range longFiles(repository) {
		t.Logf("more than %d lines, worth a look: %s", questionLines, f)
	}
}

// example is a small tree and, for each finding that a rule has in it, a part of that finding.
type example struct {
	name  string
	files map[string]string
	want  []string
}

// check runs a rule over examples: as many findings as wanted, in order, each with the wanted text in it.
func check(t *testing.T, r rule, examples []example) {
	t.Helper()
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			got := r(treeOf(e.files))
			if !slices.EqualFunc(got, e.want, strings.Contains) {
				t.Errorf("findings %q, want %q", got, e.want)
			}
		})
	}
}
