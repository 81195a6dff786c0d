package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	backup "github.com/wolkvox/backup"
)

// MaxSourcePathBytes is the longest source path that a manifest carries (proto/README.md, section 1.4).
const MaxSourcePathBytes = 4096

// readDirEntries is how many entries of a folder are held at once.
const readDirEntries = 1024

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

// errOtherVolume is a problem because the proof says nothing about that volume: when it is not mounted, its
// recordings are silently not there.
var errOtherVolume = errors.New("another volume is mounted here, and nothing proves its presence: " +
	"add each volume as a source of its own, instead of the folder above them")

// Scan walks the whole tree and returns its regular files except those that known reports true for (nil knows
// none), which are only counted. It opens folders and no files, and follows no symbolic links. The marker is left
// out. Known is called for every regular file, one call at a time.
//
// The proof is checked before and after: a nil error means that the tree was there all the time. Otherwise there
// is no result, and the error wraps [ErrUnreachable] or is the context's. What cannot be read is in
// Result.Problems, and what went away between being listed and being looked at is not in the tree.
func (t *Tree) Scan(ctx context.Context, known func(Candidate) bool) (*Result, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	info, err := t.root.Stat(".")
	if err != nil {
		return nil, unreachable(t.path, bare(err))
	}
	s := &scan{root: t.root, known: known, volume: volume(info), pending: []string{"."}}
	for len(s.pending) > 0 {
		last := len(s.pending) - 1
		folder := s.pending[last]
		s.pending = s.pending[:last]
		if err := s.folder(ctx, folder); err != nil {
			return nil, fmt.Errorf("scan source %q: %w", t.path, err)
		}
	}
	if err := t.Check(); err != nil {
		return nil, err
	}
	return s.sorted(), nil
}

// scan is one walk in progress.
type scan struct {
	root    *os.Root
	known   func(Candidate) bool
	volume  uint64
	pending []string // folders still to be read
	result  Result
}

// folder reads one folder. Its error is the context's.
func (s *scan) folder(ctx context.Context, name string) error {
	f, err := s.root.OpenFile(name, folderFlags, 0)
	if err != nil {
		if name == "." || !errors.Is(err, fs.ErrNotExist) {
			s.problem(name, err)
		}
		return nil
	}
	defer f.Close()
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		entries, err := f.ReadDir(readDirEntries)
		for _, entry := range entries {
			s.entry(name, entry)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			s.problem(name, err)
			return nil
		}
	}
}

func (s *scan) entry(folder string, entry fs.DirEntry) {
	sourcePath := entry.Name()
	if folder != "." {
		sourcePath = folder + "/" + entry.Name()
	}
	if len(sourcePath) > MaxSourcePathBytes {
		s.skip(sourcePath, SkipLong)
		return
	}
	if reason := skipReason(entry.Type()); reason != "" {
		s.skip(sourcePath, reason)
		return
	}
	// Below an os.Root the information was gathered with the listing; this asks the system nothing.
	info, err := entry.Info()
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		s.problem(sourcePath, err)
	case info.IsDir() && volume(info) != s.volume:
		s.problem(sourcePath, errOtherVolume)
	case info.IsDir():
		s.pending = append(s.pending, sourcePath)
	case sourcePath == MarkerName:
	case info.Size() > backup.MaxInt:
		s.skip(sourcePath, SkipLarge)
	default:
		s.file(Candidate{SourcePath: sourcePath, Identity: identify(info)})
	}
}

func (s *scan) file(c Candidate) {
	if s.known != nil && s.known(c) {
		s.result.KnownCount++
		return
	}
	s.result.Candidates = append(s.result.Candidates, c)
}

func (s *scan) skip(sourcePath string, reason SkipReason) {
	s.result.Skipped = append(s.result.Skipped, Skipped{sourcePath, reason})
}

func (s *scan) problem(sourcePath string, err error) {
	s.result.Problems = append(s.result.Problems, Problem{sourcePath, bare(err)})
}

// sorted puts the lists in order. A file system whose folder changes while it is listed may name a file twice.
func (s *scan) sorted() *Result {
	r := &s.result
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
