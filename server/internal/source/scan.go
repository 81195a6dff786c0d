package source

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	backup "github.com/wolkvox/backup"
)

// MaxSourcePathBytes is the longest source path that a manifest carries (proto/README.md, section 1.4).
const MaxSourcePathBytes = 4096

// SkipReason says, for people, why something found in a tree can never be an item.
type SkipReason string

// The reasons for skipping. Nothing is skipped without one.
const (
	SkipLink    SkipReason = "a symbolic link, which is not followed"
	SkipFIFO    SkipReason = "a FIFO"
	SkipSocket  SkipReason = "a socket"
	SkipDevice  SkipReason = "a device"
	SkipUnknown SkipReason = "neither a file nor a folder"
	SkipLong    SkipReason = "its path has more than 4096 bytes"
	SkipLarge   SkipReason = "it is larger than a manifest can say"
	SkipName    SkipReason = "its name is no path: it has an empty part, or one that is . or .."
)

// Skipped is something in a tree that is no item, and why.
type Skipped struct {
	SourcePath string
	Reason     SkipReason
}

// Problem is a folder or file of which the scan could not see what it holds.
type Problem struct {
	SourcePath string // "." for the root
	Err        error
}

// Result is what a scan found, each list in the order of the paths' bytes.
type Result struct {
	Candidates []Candidate // regular files that were not known
	KnownCount int         // regular files that were known
	Skipped    []Skipped
	Problems   []Problem
}

// Complete reports whether the scan saw the whole tree. Where it is false there may be files that are in no list.
func (r *Result) Complete() bool { return len(r.Problems) == 0 }

// Scan lists the whole tree and returns its regular files except those that known reports true for (nil knows
// none), which are only counted. It opens no files, and follows no symbolic links. The marker is left
// out. Known is called for every regular file, one call at a time.
//
// The proof is checked before and after: a nil error means that the tree was there all the time. Otherwise there
// is no result, and the error wraps [ErrUnreachable] or is the context's. What cannot be read is in
// Result.Problems, and what went away between being listed and being looked at is not in the tree.
func (t *Tree) Scan(ctx context.Context, known func(Candidate) bool) (*Result, error) {
	if err := t.Check(ctx); err != nil {
		return nil, err
	}
	found := &Found{known: known}
	if err := t.driver.List(ctx, found); err != nil {
		if stopped := context.Cause(ctx); stopped != nil {
			return nil, fmt.Errorf("scan source %q: %w", t.driver, stopped)
		}
		return nil, unreachable(t.driver, err)
	}
	if err := t.Check(ctx); err != nil {
		return nil, err
	}
	return found.sorted(), nil
}

// Found collects what a driver finds in a source. Its methods may be called concurrently.
type Found struct {
	known func(Candidate) bool

	mu     sync.Mutex // guards result, and is held while known is called
	result Result
}

// Wanted reports whether something that was found, of which mode has the type, is a file or folder to be taken. Otherwise
// it was noted as skipped.
func (f *Found) Wanted(sourcePath string, mode fs.FileMode) bool {
	reason := skipReason(mode)
	if len(sourcePath) > MaxSourcePathBytes {
		reason = SkipLong
	}
	if reason != "" {
		f.Skip(sourcePath, reason)
	}
	return reason == ""
}

// File takes a regular file. The marker is none.
func (f *Found) File(c Candidate) {
	switch {
	case c.SourcePath == MarkerName:
		return
	case c.SizeBytes > backup.MaxInt:
		f.Skip(c.SourcePath, SkipLarge)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known != nil && f.known(c) {
		f.result.KnownCount++
		return
	}
	f.result.Candidates = append(f.result.Candidates, c)
}

// Skip takes what can never be an item.
func (f *Found) Skip(sourcePath string, reason SkipReason) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.result.Skipped = append(f.result.Skipped, Skipped{sourcePath, reason})
}

// Problem takes a file or folder of which could not be seen what it holds.
func (f *Found) Problem(sourcePath string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.result.Problems = append(f.result.Problems, Problem{sourcePath, bare(err)})
}

// sorted puts the lists in order. A source whose folder changes while it is listed may name a file twice.
func (f *Found) sorted() *Result {
	r := &f.result
	slices.SortFunc(r.Candidates, func(a, b Candidate) int { return strings.Compare(a.SourcePath, b.SourcePath) })
	r.Candidates = slices.CompactFunc(r.Candidates, func(a, b Candidate) bool { return a.SourcePath == b.SourcePath })
	slices.SortFunc(r.Skipped, func(a, b Skipped) int { return strings.Compare(a.SourcePath, b.SourcePath) })
	slices.SortFunc(r.Problems, func(a, b Problem) int { return strings.Compare(a.SourcePath, b.SourcePath) })
	return r
}

// skipReason is empty for files and folders.
func skipReason(mode fs.FileMode) SkipReason {
	switch {
	case mode.IsRegular(), mode.IsDir():
		return ""
	case mode&fs.ModeSymlink != 0:
		return SkipLink
	case mode&fs.ModeNamedPipe != 0:
		return SkipFIFO
	case mode&fs.ModeSocket != 0:
		return SkipSocket
	case mode&fs.ModeDevice != 0:
		return SkipDevice
	}
	return SkipUnknown
}

// Below joins the path of a folder, "." for the root, and a name in it.
func Below(folder, name string) string {
	if folder == "." {
		return name
	}
	return folder + "/" + name
}

// IsLocal reports whether a source path is one: no part of it is empty, "." or "..". Unlike [fs.ValidPath] it takes any
// bytes.
func IsLocal(sourcePath string) bool {
	for part := range strings.SplitSeq(sourcePath, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}
