package night

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"strings"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/internal/ledger"
)

// published is a file at the destination that belongs to an item.
type published struct {
	item itemID
	name string
}

// moveWithdrawn moves aside what was published for items that were withdrawn before anybody signed for them: it would
// otherwise lie there for ever as nobody's. Only a file with exactly the withdrawn contents, whose name is no other item's,
// is touched. It is called while no batch is under way.
func (n *Night) moveWithdrawn(ctx context.Context, place *dest.Place) error {
	due, err := n.withdrawnUnseen()
	if err != nil || len(due) == 0 {
		return err
	}
	var files []published
	for manifest, items := range due {
		there, err := n.publishedOf(ctx, place, manifest, items)
		if err != nil {
			return fmt.Errorf("look for what was withdrawn of manifest %d: %w", manifest, err)
		}
		files = append(files, there...)
	}
	if files, err = n.nobodysElse(files); err != nil {
		return err
	}
	for _, f := range files {
		to, err := place.MoveAside(ctx, f.name, fmt.Sprintf("withdrawn-%d-%d", f.item.manifest, f.item.index))
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, errors.ErrUnsupported):
		case err != nil:
			return fmt.Errorf("move aside what was withdrawn: %w", n.atPlace(err))
		default:
			n.Slog.LogAttrs(ctx, slog.LevelInfo, "a recording that wolkvox withdrew was moved aside", slog.String("name", f.name), slog.String("to", to))
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for manifest, items := range due {
		if n.withdrawn[manifest] = n.withdrawn[manifest].Difference(items); n.withdrawn[manifest].IsEmpty() {
			delete(n.withdrawn, manifest)
		}
	}
	return nil
}

// withdrawnUnseen returns the items that are withdrawn, that no receipt waits for, and that were not looked for since, in
// this process.
func (n *Night) withdrawnUnseen() (map[int64]ledger.Set, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.scan(); err != nil {
		return nil, err
	}
	due := maps.Clone(n.withdrawn)
	for manifest, items := range due {
		signed := n.Log.OutboxDelivered(manifest)
		states, err := n.Log.States(manifest)
		if err != nil {
			return nil, err
		}
		if due[manifest] = states.Among(items, backup.Withdrawn).Difference(signed); due[manifest].IsEmpty() {
			delete(due, manifest)
		}
	}
	return due, nil
}

// publishedOf returns those of items whose contents are at the destination under their names.
func (n *Night) publishedOf(ctx context.Context, place *dest.Place, manifest int64, items ledger.Set) ([]published, error) {
	var there []published
	err := n.eachItem(manifest, items, func(items lookup) error {
		found, err := place.Hash(ctx, items.names)
		if err != nil {
			return err
		}
		for i, f := range found {
			if f.Err == nil && f.Digest == items.wanted[i] {
				there = append(there, published{itemID{manifest, items.indexes[i]}, f.Name})
			}
		}
		return nil
	})
	return there, err
}

// nobodysElse returns those of files whose names, whatever their case, no other item of the log has.
func (n *Night) nobodysElse(files []published) ([]published, error) {
	if len(files) == 0 {
		return nil, nil
	}
	named := make(map[string]int, len(files)) // how many items have the name
	for _, f := range files {
		named[strings.ToLower(f.name)] = 0
	}
	var manifests int64
	n.Log.View(func(log *ledger.Log) { manifests = int64(len(log.Manifests)) })
	for manifest := int64(1); manifest <= manifests; manifest++ {
		for line, err := range n.Log.Lines(manifest, 0) {
			if err != nil {
				return nil, err
			}
			if folded := strings.ToLower(line.Item.Path); !line.Forgotten {
				if _, asked := named[folded]; asked {
					named[folded]++
				}
			}
		}
	}
	var alone []published
	for _, f := range files {
		if named[strings.ToLower(f.name)] == 1 {
			alone = append(alone, f)
		}
	}
	return alone, nil
}
