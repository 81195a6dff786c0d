package rsyncdest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// outcome is what a comparison by the peer's checksum told.
type outcome uint8

const (
	isUntold outcome = iota
	isEqual          // sizes and checksums are the same
	isOther
	isAbsent // nothing, or nothing that is a file, has the name
)

// slowDiskBytesPerSecond is what a peer reads at least while it computes checksums and says nothing.
const slowDiskBytesPerSecond = 5 << 20

// Check implements dest.Checker.
func (s *stage) Check(ctx context.Context, moves []dest.Move) ([]dest.Checked, error) {
	if s.handle.rsync.afterPut != nil {
		s.handle.rsync.afterPut()
	}
	var checked []dest.Checked
	var err error
	if s.handle.rsync.options.Readback {
		checked, err = s.readBack(ctx, moves)
	} else {
		checked, err = s.askPeer(ctx, moves)
	}
	if err != nil {
		return nil, err
	}
	for i, move := range moves {
		s.unlink(move)
		if checked[i].Err == nil {
			if err := s.Remove(move.Key); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, spoolError(err)
			}
		}
	}
	return checked, nil
}

// readBack pulls what was published and compares its SHA-256 with that of the spool, which was compared with the recorded one.
func (s *stage) readBack(ctx context.Context, moves []dest.Move) ([]dest.Checked, error) {
	names := make([]string, len(moves))
	for i, move := range moves {
		names[i] = move.Name
	}
	found, err := s.handle.HashAll(ctx, names)
	if err != nil {
		return nil, err
	}
	checked := make([]dest.Checked, len(moves))
	for i, move := range moves {
		checked[i] = dest.Checked{Method: backup.ReadbackCached, Err: found[i].Err}
		if errors.Is(found[i].Err, os.ErrNotExist) {
			checked[i].Err = fmt.Errorf("%q is not there after it was published", move.Name)
		}
		if checked[i].Err != nil {
			continue
		}
		want, err := sumFile(ctx, s.file(move.Key))
		if err != nil {
			return nil, spoolError(err)
		}
		if found[i].Digest != want {
			checked[i].Err = fmt.Errorf("%w: %q is %v, sent was %v", dest.ErrReadBack, move.Name, found[i].Digest, want)
		}
	}
	return checked, nil
}

// askPeer lets the peer compare what was published.
func (s *stage) askPeer(ctx context.Context, moves []dest.Move) ([]dest.Checked, error) {
	outcomes, err := s.compare(ctx, moves, true)
	if err != nil {
		return nil, err
	}
	method := backup.PeerReadbackSHA1
	if s.handle.rsync.noSHA1.Load() {
		method = backup.PeerReadbackMD5
	}
	checked := make([]dest.Checked, len(moves))
	for i, move := range moves {
		checked[i].Method = method
		switch outcomes[i] {
		case isEqual:
		case isOther:
			checked[i].Err = fmt.Errorf("%w: the peer has another %q", dest.ErrReadBack, move.Name)
		case isAbsent:
			checked[i].Err = fmt.Errorf("%q is not there after it was published", move.Name)
		default:
			checked[i].Err = fmt.Errorf("the peer does not tell how %q compares", move.Name)
		}
	}
	return checked, nil
}

// compare runs rsync, one process for each tree or some at the same time, to compare moves with what has their names, by size and
// checksum. Nothing is changed. With own, the own files that were read are compared too.
func (s *stage) compare(ctx context.Context, moves []dest.Move, own bool) ([]outcome, error) {
	outcomes := make([]outcome, len(moves))
	trees := make(map[string][]int)
	for i, move := range moves {
		tree, ok := s.tree[move]
		if !ok {
			return nil, fmt.Errorf("%q was not published by this batch", move.Name)
		}
		trees[tree] = append(trees[tree], i)
	}
	for tree, numbers := range trees {
		var mu sync.Mutex
		var broken error
		s.handle.rsync.inParts(numbers, func(part []int) {
			told, err := s.compareTree(ctx, tree, moves, part, own && part[0] == numbers[0])
			mu.Lock()
			defer mu.Unlock()
			broken = cmp.Or(broken, err)
			for _, i := range part {
				outcomes[i] = told[moves[i].Name]
			}
		})
		if broken != nil {
			return nil, broken
		}
	}
	return outcomes, nil
}

// compareTree compares the moves of one tree. SHA-1 is taken where both sides have it, else MD5; never one of the
// checksums that are no digest, which rsync would choose by itself.
func (s *stage) compareTree(ctx context.Context, tree string, moves []dest.Move, numbers []int, own bool) (map[string]outcome, error) {
	names := make([]string, len(numbers))
	var largest int64
	for n, i := range numbers {
		names[n] = moves[i].Name
		info, err := os.Stat(s.file(moves[i].Key))
		if err != nil {
			return nil, spoolError(err)
		}
		largest = max(largest, info.Size())
	}
	var kept laid
	if own {
		var err error
		if kept, err = s.handle.layKept(tree); err != nil {
			return nil, err
		}
	}
	told := make(map[string]outcome)
	c := call{
		names:          append(names, kept.names...),
		silenceSeconds: silenceSeconds + int(largest/slowDiskBytesPerSecond),
		line: func(line string) {
			change, ok := parseChange(line)
			switch {
			case !ok:
			case change.equal():
				told[change.name] = isEqual
			case change.created():
				told[change.name] = isAbsent
			case change.sent():
				told[change.name] = isOther
			}
		},
	}
	for {
		checksum := "sha1"
		if s.handle.rsync.noSHA1.Load() {
			checksum = "md5"
		}
		c.args = []string{"--dry-run", "--checksum", "--checksum-choice=" + checksum, "--no-implied-dirs", "--whole-file",
			"-ii", changeFormat, s.handle.local(tree), s.handle.base}
		err := s.handle.run(ctx, c)
		failed, isFailure := errors.AsType[*failure](err)
		switch {
		case err == nil || isFailure && failed.partial():
			s.handle.renewKept(kept, told)
			return told, nil
		case checksum == "sha1" && isFailure && (failed.refuses("sha1") || failed.refuses("checksum name")):
			s.handle.rsync.noSHA1.Store(true)
		case isFailure && failed.refuses("checksum"):
			return nil, fmt.Errorf("let the peer compare what it stored (it allows no --checksum; configure check: readback): %w", failed.explain())
		default:
			return nil, explained(err)
		}
	}
}
