// Package lint holds the rules of this repository that a test can enforce: which package imports which, that packages
// and exported names are documented, that sources are formatted and of a readable size, that every
// contract has its generated code, that go.mod is tidy. Each rule is a function of a tree of files, and is itself
// tested on small trees that break it.
//
// It needs Go and git only. What needs other tools (buf, staticcheck, cross builds) is in make lint.
package lint
