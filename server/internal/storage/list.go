package storage

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"

	"github.com/wolkvox/backup"
)

// List yields the visible files of a folder, of the whole place where it is empty, and of all below it, but not the agent's own
// ones: in the order of their names, component by component, beginning behind after. What is no regular file is passed over, and
// so is what is deleted meanwhile. An error ends it.
func (p *Place) List(ctx context.Context, folder, after string) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		for _, name := range []string{folder, after} {
			if name == "" {
				continue
			}
			if err := checkName(name); err != nil {
				yield(File{}, err)
				return
			}
		}
		root, err := p.root()
		if errors.Is(err, fs.ErrNotExist) {
			return // nothing was ever stored
		}
		if err != nil {
			yield(File{}, p.failed("list", folder, err))
			return
		}
		defer root.Close()
		l := listing{place: p, root: root, ctx: ctx, yield: yield}
		l.folder(folder, after)
	}
}

// listing is one call of [Place.List].
type listing struct {
	place *Place
	root  *os.Root
	ctx   context.Context // of the call
	yield func(File, error) bool
}

// folder lists a folder and all below it, from behind after on; it reports whether to go on.
func (l *listing) folder(folder, after string) bool {
	if l.ctx.Err() != nil {
		l.yield(File{}, context.Cause(l.ctx))
		return false
	}
	entries, err := fs.ReadDir(l.root.FS(), path.Join(filesDir, folder)) // sorted by name
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		l.yield(File{}, l.place.failed("list", folder, err))
		return false
	}
	for _, entry := range entries {
		name := path.Join(folder, entry.Name())
		if folder == "" && entry.Name() == backup.OwnPrefix {
			continue
		}
		if entry.IsDir() {
			if (strings.HasPrefix(after, name+"/") || compare(name, after) >= 0) && !l.folder(name, after) {
				return false
			}
			continue
		}
		if !entry.Type().IsRegular() || compare(name, after) <= 0 {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			l.yield(File{}, l.place.failed("list", name, err))
			return false
		}
		if !l.yield(File{name, info.Size(), info.ModTime().UTC()}, nil) {
			return false
		}
	}
	return true
}

// compare orders names component by component, as folders list them.
func compare(a, b string) int {
	for {
		first, restA, moreA := strings.Cut(a, "/")
		second, restB, moreB := strings.Cut(b, "/")
		switch c := strings.Compare(first, second); {
		case c != 0:
			return c
		case !moreA && !moreB:
			return 0
		case !moreA:
			return -1
		case !moreB:
			return 1
		}
		a, b = restA, restB
	}
}
