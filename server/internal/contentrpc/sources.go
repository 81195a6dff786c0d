package contentrpc

import (
	"context"
	"fmt"
	"sync"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/server/internal/sealer"
	"github.com/wolkvox/backup/server/internal/source"
)

// trees are a tenant's sources, opened for one call. What could not be reached is missing.
type trees struct {
	byName map[string]*source.Tree
}

// openSources opens all sources of a tenant, at once: one that does not answer holds nobody up longer than it must. The error
// wraps [source.ErrUnreachable] where none can be reached.
func (s *Service) openSources(ctx context.Context, tenant string) (*trees, error) {
	all, err := s.registry.Sources(tenant)
	if err != nil {
		return nil, fmt.Errorf("open the sources of tenant %s: %w", tenant, err)
	}
	opened := &trees{byName: map[string]*source.Tree{}}
	var mu sync.Mutex // guards what is opened, and unreachable
	var unreachable error
	var group sync.WaitGroup
	for _, one := range all {
		group.Go(func() {
			tree, err := s.options.Sources.Open(ctx, one)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				unreachable = err
				return
			}
			opened.byName[one.Name] = tree
		})
	}
	group.Wait()
	if len(opened.byName) == 0 && unreachable != nil {
		return nil, unreachable
	}
	return opened, nil
}

// of returns the tree that an item lies in, nil where it is not open, and the item's path below it.
func (t *trees) of(item backup.Item) (tree *source.Tree, below string) {
	name, below := sealer.SplitSourcePath(sealer.SourcePath(item))
	return t.byName[name], below
}

func (t *trees) close() {
	for _, tree := range t.byName {
		tree.Close()
	}
}
