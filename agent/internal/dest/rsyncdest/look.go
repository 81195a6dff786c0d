package rsyncdest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// looked is what lies under one name.
type looked struct {
	sizeBytes int64
	err       error // nil for a regular file, dest.ErrConflict for another thing, fs.ErrNotExist, or another error
}

// maxLooks bounds the processes by which look finds out which of many names it is that cannot be looked at.
const maxLooks = 64

// look returns what lies under names, in their order. A name is absent where rsync entered the place, could look at
// everything it was asked for (status 0), and did not find it. The error of look itself says that nothing is known of any.
func (h *handle) look(ctx context.Context, names []string) ([]looked, error) {
	all := make([]looked, len(names))
	indexes := make([]int, len(names))
	for i := range indexes {
		indexes[i] = i
	}
	budget := maxLooks
	if err := h.lookAt(ctx, names, indexes, all, &budget); err != nil {
		return nil, err
	}
	return all, nil
}

// lookAt sets those of all that indexes name. Where some cannot be looked at, it asks again for halves of what was not found.
func (h *handle) lookAt(ctx context.Context, names []string, indexes []int, all []looked, budget *int) error {
	*budget--
	wanted := make([]string, len(indexes))
	for i, index := range indexes {
		wanted[i] = names[index]
	}
	found := make(map[string]listed)
	err := h.run(ctx, call{
		args:  []string{"--dirs", "--no-implied-dirs", "--ignore-missing-args", "--list-only", "--no-human-readable", h.base, "."},
		names: wanted,
		pulls: true,
		line: func(line string) {
			if l, ok := parseListed(line); ok {
				found[l.name] = l
			}
		},
	})
	failed, isFailure := errors.AsType[*failure](err)
	if err != nil && !isFailure {
		return err
	}
	if isFailure && !failed.partial() {
		return failed.explain()
	}
	var rest []int
	for _, index := range indexes {
		l, ok := found[names[index]]
		switch {
		case ok && l.kind == '-':
			all[index].sizeBytes = l.sizeBytes
		case ok:
			all[index].err = fmt.Errorf("%w: %q is not a regular file", dest.ErrConflict, names[index])
		case !isFailure:
			all[index].err = fmt.Errorf("%q: %w", names[index], fs.ErrNotExist)
		default:
			rest = append(rest, index)
		}
	}
	switch {
	case len(rest) == 0:
		return nil
	case len(indexes) == 1 || *budget <= 0:
		for _, index := range rest {
			if all[index].err = failed.about(names[index]); all[index].err == nil {
				all[index].err = failed.explain()
			}
		}
		return nil
	case len(rest) < len(indexes):
		return h.lookAt(ctx, names, rest, all, budget)
	}
	half := len(rest) / 2
	if err := h.lookAt(ctx, names, rest[:half], all, budget); err != nil {
		return err
	}
	return h.lookAt(ctx, names, rest[half:], all, budget)
}

// List implements dest.Lister.
func (h *handle) List(ctx context.Context) iter.Seq2[dest.File, error] {
	return func(yield func(dest.File, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		files := make(chan dest.File, 256)
		ended := make(chan error, 1)
		go func() {
			err := h.run(ctx, call{
				args:  []string{"--recursive", "--list-only", "--no-human-readable", "--exclude=/" + backup.OwnPrefix, h.base, "."},
				pulls: true,
				line: func(line string) {
					l, ok := parseListed(line)
					if !ok || l.kind == 'd' || isOwn(l.name) {
						return
					}
					select {
					case files <- dest.File{Name: l.name, SizeBytes: l.sizeBytes, Regular: l.kind == '-'}:
					case <-ctx.Done():
					}
				},
			})
			close(files)
			ended <- err
		}()
		goOn := true
		for file := range files {
			if goOn = yield(file, nil); !goOn {
				break
			}
		}
		if !goOn {
			cancel()
		}
		err := explained(<-ended)
		cancel()
		if goOn && err != nil {
			yield(dest.File{}, err)
		}
	}
}

// explained gives the error of run the form of the contract.
func explained(err error) error {
	if failed, ok := errors.AsType[*failure](err); ok {
		return failed.explain()
	}
	return err
}

// isOwn reports whether a name at the top of the place is the agent's own, in any case.
func isOwn(name string) bool {
	return len(name) >= len(backup.OwnPrefix) && strings.EqualFold(name[:len(backup.OwnPrefix)], backup.OwnPrefix)
}
