package lint

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
)

// linksResolve wants every relative link of a Markdown file to name a file or folder of the repository and, where it has
// a fragment, a heading of that file.
func linksResolve(tr tree) []string {
	headings := map[string]map[string]bool{} // by path, the anchors of a file; nil for what is no Markdown
	for _, f := range tr {
		headings[f.path] = nil
		if strings.HasSuffix(f.path, ".md") {
			headings[f.path] = anchors(prose(string(f.source)))
		}
		for dir := path.Dir(f.path); dir != "."; dir = path.Dir(dir) {
			headings[dir] = nil
		}
	}
	var findings []string
	for _, f := range tr {
		if !strings.HasSuffix(f.path, ".md") || f.isTestdata() {
			continue
		}
		for _, link := range link.FindAllStringSubmatch(prose(string(f.source)), -1) {
			target, err := url.Parse(link[1])
			if err != nil {
				findings = append(findings, fmt.Sprintf("%s: the link %q cannot be read: %v", f.path, link[1], err))
				continue
			}
			if target.IsAbs() || target.Host != "" {
				continue
			}
			to := f.path
			if target.Path != "" {
				to = path.Join(path.Dir(f.path), target.Path)
			}
			anchors, exists := headings[to]
			switch {
			case !exists:
				findings = append(findings, fmt.Sprintf("%s: the link %q leads to nothing", f.path, link[1]))
			case target.Fragment != "" && !anchors[target.Fragment]:
				findings = append(findings, fmt.Sprintf("%s: the link %q leads to no heading", f.path, link[1]))
			}
		}
	}
	return findings
}

var (
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*?)[ #]*$`)
	// notInAnchor is what GitHub leaves out of a heading's anchor.
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	fenced      = regexp.MustCompile("(?ms)^```.*?^```$")
	indented    = regexp.MustCompile(`(?m)^    .*$`)
)

// prose returns a Markdown text without its code blocks.
func prose(text string) string {
	return indented.ReplaceAllString(fenced.ReplaceAllString(text, ""), "")
}

// anchors returns the anchors of the headings of a Markdown text.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(text, -1) {
		title := notInAnchor.ReplaceAllString(strings.ToLower(h[1]), "")
		found[strings.ReplaceAll(title, " ", "-")] = true
	}
	return found
}

func TestLinksResolveRule(t *testing.T) {
	t.Parallel()
	check(t, linksResolve, []example{
		{"resolving", map[string]string{
			"README.md":   "[a](docs/a.md), [b](docs), [c](docs/a.md#what-it-is-5-words), [d](https://example.com/x), [e](#top)\n# Top\n",
			"docs/a.md":   "## What it is: 5 words\n[up](../README.md) and [code](../a/a.go)\n",
			"a/a.go":      "package a\n",
			"docs/b.md":   "    [in code](nowhere)\n```\n[in code](nowhere)\n```\n",
			"testdata/md": "[x](nowhere)",
		}, nil},
		{"nothing", map[string]string{"docs/a.md": "[a](b.md)\n[b](../docs/a.go)\n"}, []string{`docs/a.md: the link "b.md" leads to nothing`, `"../docs/a.go" leads to nothing`}},
		{"no heading", map[string]string{"a.md": "# One\n[a](#two) [b](a.md#one)\n"}, []string{`a.md: the link "#two" leads to no heading`}},
	})
}
