package contentrpc

import (
	"fmt"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/server/internal/sealer"
	"github.com/wolkvox/backup/server/internal/source"
)

// sources are a tenant's trees, opened for one call. What could not be reached is missing.
type sources struct {
	trees map[string]*source.Tree
}

// openSources opens all sources of a tenant. The error wraps [source.ErrUnreachable] where none can be reached.
func (s *Service) openSources(tenant string) (*sources, error) {
	all, err := s.registry.Sources(tenant)
	if err != nil {
		return nil, fmt.Errorf("open the sources of tenant %s: %w", tenant, err)
	}
	opened := &sources{trees: map[string]*source.Tree{}}
	var unreachable error
	for _, one := range all {
		tree, err := sealer.OpenSource(one)
		if err != nil {
			unreachable = err
			continue
		}
		opened.trees[one.Name] = tree
	}
	if len(opened.trees) == 0 && unreachable != nil {
		return nil, unreachable
	}
	return opened, nil
}

// of returns the tree that an item lies in, nil where it is not open, and the item's path below it.
func (s *sources) of(item backup.Item) (tree *source.Tree, below string) {
	name, below := sealer.SplitSourcePath(sealer.SourcePath(item))
	return s.trees[name], below
}

func (s *sources) close() {
	for _, tree := range s.trees {
		tree.Close()
	}
}
