package rsyncdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/internal/durable"
)

// filesDir holds what is staged, by key. Beside it are trees of links that have the names that files shall be visible under.
const filesDir = "files"

// preallocateFrom is the size from which room is taken before writing, so that files that grow at the same time do not count
// on the same room.
const preallocateFrom = 1 << 20

// stage is one batch in the spool.
type stage struct {
	handle *handle
	dir    string

	trees int                  // how many were made
	tree  map[dest.Move]string // the tree that what was sent has its name in
}

// Create implements dest.Stage.
func (s *stage) Create(ctx context.Context, key string, sizeBytes int64) (dest.StagedFile, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := s.handle.rsync.room(sizeBytes); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(s.file(key), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, spoolError(err)
	}
	file := &stagedFile{f}
	if sizeBytes >= preallocateFrom {
		if err := durable.Preallocate(f, sizeBytes); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return nil, errors.Join(spoolError(err), file.Discard())
		}
	}
	return file, nil
}

func (s *stage) file(key string) string { return filepath.Join(s.dir, filesDir, key) }

// stagedFile is a file of the spool being written.
type stagedFile struct{ f *os.File }

func (s *stagedFile) Write(p []byte) (int, error) {
	n, err := s.f.Write(p)
	if err != nil {
		err = spoolError(err)
	}
	return n, err
}

func (s *stagedFile) Close() error {
	if err := s.f.Close(); err != nil {
		return spoolError(err)
	}
	return nil
}

// Discard implements dest.StagedFile.
func (s *stagedFile) Discard() error { return errors.Join(s.f.Close(), os.Remove(s.f.Name())) }

// Sync implements dest.Stage. The spool need not outlive a power cut: the batch does not either.
func (s *stage) Sync(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// Open implements dest.Stage.
func (s *stage) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	f, err := os.Open(s.file(key))
	if err != nil {
		return nil, spoolError(err)
	}
	return f, nil
}

// Publish implements dest.Stage: one process sends all moves, or some at the same time where there are many. Names that cannot be in one tree, because one is a folder on the
// way to another or both are the same, go by further processes.
func (s *stage) Publish(ctx context.Context, moves []dest.Move) []error {
	errs := make([]error, len(moves))
	rest := make([]int, len(moves))
	for i := range rest {
		rest[i] = i
	}
	for len(rest) > 0 {
		tree, linked, err := s.link(moves, rest)
		if err != nil {
			for _, i := range rest {
				errs[i] = err
			}
			break
		}
		s.handle.rsync.inParts(linked, func(part []int) { s.send(ctx, tree, moves, part, errs) })
		rest = without(rest, linked)
	}
	for i, move := range moves {
		if errs[i] != nil {
			s.unlink(move)
		}
	}
	return errs
}

// without returns all without those of some; both ascend.
func without(all, some []int) []int {
	var rest []int
	for _, i := range all {
		if len(some) > 0 && some[0] == i {
			some = some[1:]
		} else {
			rest = append(rest, i)
		}
	}
	return rest
}

// link makes a tree that has those moves that fit into it under their names, at least the first.
func (s *stage) link(moves []dest.Move, wanted []int) (tree string, linked []int, err error) {
	tree = filepath.Join(s.dir, "tree"+strconv.Itoa(s.trees))
	s.trees++
	if err := os.Mkdir(tree, 0o700); err != nil {
		return "", nil, spoolError(err)
	}
	for _, i := range wanted {
		path := filepath.Join(tree, filepath.FromSlash(moves[i].Name))
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil {
			err = os.Link(s.file(moves[i].Key), path)
		}
		switch {
		case err == nil:
			linked = append(linked, i)
			s.tree[moves[i]] = tree
		case len(linked) == 0 || errors.Is(err, fs.ErrNotExist) || isFull(err):
			return "", nil, spoolError(err)
		}
	}
	return tree, linked, nil
}

// unlink removes a move's name from its tree.
func (s *stage) unlink(move dest.Move) {
	if tree, ok := s.tree[move]; ok {
		os.Remove(filepath.Join(tree, filepath.FromSlash(move.Name))) // what stays goes with the stage
		delete(s.tree, move)
	}
}

// send runs the process that sends the moves numbered numbers, which are in tree, and sets their errs.
func (s *stage) send(ctx context.Context, tree string, moves []dest.Move, numbers []int, errs []error) {
	names := make([]string, len(numbers))
	for n, i := range numbers {
		names[n] = moves[i].Name
	}
	sent := make(map[string]bool)
	err := s.handle.push(ctx, call{
		args:  []string{"--ignore-existing", s.handle.tempDir(), "-ii", changeFormat, s.handle.local(tree), s.handle.base},
		names: names,
		line: func(line string) {
			if c, ok := parseChange(line); ok && c.sent() {
				sent[c.name] = true
			}
		},
	})
	failed, isFailure := errors.AsType[*failure](err)
	if err != nil && (!isFailure || !failed.partial()) {
		err = explained(err) // what came through will be found by its hash
		for _, i := range numbers {
			errs[i] = err
		}
		return
	}
	var doubtful []int
	for _, i := range numbers {
		name := moves[i].Name
		switch {
		case sent[name] && isFailure:
			doubtful = append(doubtful, i)
		case sent[name]:
		case isFailure:
			errs[i] = failed.about(name)
		}
		if !sent[name] && errs[i] == nil {
			errs[i] = fmt.Errorf("%q is taken: %w", name, fs.ErrExist)
		}
	}
	if len(doubtful) > 0 {
		s.settleDoubts(ctx, failed, moves, doubtful, errs)
	}
}

// settleDoubts sets the errs of moves that were sent by a process that could not do all: rsync says what it sends before it
// knows whether it is taken.
func (s *stage) settleDoubts(ctx context.Context, failed *failure, moves []dest.Move, numbers []int, errs []error) {
	doubtful := make([]dest.Move, len(numbers))
	for n, i := range numbers {
		doubtful[n] = moves[i]
	}
	outcomes, err := s.compare(ctx, doubtful, false)
	for n, i := range numbers {
		switch {
		case err != nil:
			errs[i] = err
		case outcomes[n] == isEqual, outcomes[n] == isOther: // another is for Check to tell
		default:
			if errs[i] = failed.about(moves[i].Name); errs[i] == nil {
				errs[i] = failed.explain()
			}
		}
	}
}

// SyncNames implements dest.Stage; see the package comment.
func (s *stage) SyncNames(ctx context.Context) error { return s.handle.pushOwn(ctx, nil) }

// Remove implements dest.Stage.
func (s *stage) Remove(key string) error { return os.Remove(s.file(key)) }

// Discard implements dest.Stage.
func (s *stage) Discard() error {
	if err := os.RemoveAll(s.dir); err != nil {
		return spoolError(err)
	}
	return nil
}
