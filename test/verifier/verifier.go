// Package verifier carries the stand-alone verifier, which is JavaScript, so that a program can hand it out with what it
// checks. It runs nothing.
package verifier

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed *.mjs README.md
var all embed.FS

// Files returns the verifier's files by name, without its tests.
func Files() (map[string][]byte, error) {
	names, err := fs.Glob(all, "*")
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	for _, name := range names {
		if strings.HasSuffix(name, ".test.mjs") || name == "generate.mjs" {
			continue
		}
		if files[name], err = all.ReadFile(name); err != nil {
			return nil, err
		}
	}
	return files, nil
}
