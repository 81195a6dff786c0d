package sealer

import (
	"slices"
	"strings"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/source/portable"
)

// name gives files the paths that they have in a manifest, and returns its items in their order, and the records for the
// catalog.
func (s *Sealer) name(origin ledger.Origin, manifest int64, files []hashed) (records []registry.Record, items []backup.Item, err error) {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b hashed) int { return strings.Compare(a.sourcePath, b.sourcePath) })
	n := names{catalog: s.catalog, origin: origin, manifest: manifest, own: map[string]bool{}, asked: map[string]bool{}}
	bySource := make(map[string]backup.Item, len(files))
	records = make([]registry.Record, 0, len(files))
	for _, file := range files {
		path := portable.Distinct(portable.Path(file.sourcePath), n.taken)
		if n.err != nil {
			return nil, nil, n.err
		}
		n.take(path)
		records = append(records, registry.Record{
			Identity: file.identity, SourcePath: file.sourcePath, Path: path, Folded: portable.Fold(path),
			SHA256: file.item.Digest.SHA256, Manifest: manifest,
		})
		bySource[file.sourcePath] = file.item
	}
	slices.SortFunc(records, byPath)
	items = make([]backup.Item, len(records))
	for i := range records {
		r := &records[i]
		r.Index = int64(i)
		items[i] = bySource[r.SourcePath]
		items[i].Path = r.Path
		if r.SourcePath != r.Path {
			items[i].SourcePath = r.SourcePath
		}
	}
	return append(records, n.folders...), items, n.err
}

// names knows which names a destination has.
type names struct {
	catalog  *registry.Catalog
	origin   ledger.Origin
	manifest int64
	own      map[string]bool // keys of this manifest
	asked    map[string]bool // what the catalog answered
	folders  []registry.Record
	err      error // the first of the catalog
}

// askedAtMost is how many of the catalog's answers are held: folders are asked for again and again, files are not.
const askedAtMost = 10000

func (n *names) taken(key string) bool {
	if n.own[key] {
		return true
	}
	taken, known := n.asked[key]
	if known || n.err != nil {
		return taken
	}
	_, taken, n.err = n.catalog.Taken(n.origin, key)
	if len(n.asked) >= askedAtMost {
		clear(n.asked)
	}
	n.asked[key] = taken
	return taken
}

// take notes the path and its folders as taken. The path's own key comes to the catalog with its record; each new
// folder gets a record of its own.
func (n *names) take(path string) {
	keys := portable.Keys(path)
	n.own[keys[0]] = true
	for _, key := range keys[1:] {
		if !n.taken(key) {
			n.own[key] = true
			n.folders = append(n.folders, folderRecord(key, n.manifest))
		}
	}
}

// folderRecord is how the catalog knows that a folder's name is taken. No file's source path begins with a slash.
func folderRecord(key string, manifest int64) registry.Record {
	return registry.Record{SourcePath: "/" + key, Path: key, Folded: key, Manifest: manifest}
}

// recordOf is what the catalog holds of an item that stands in the log at at, as far as its manifest says: of what its file
// looks like, no more than the size.
func recordOf(item backup.Item, at position) registry.Record {
	return registry.Record{
		Identity: registry.Identity{SizeBytes: item.Digest.SizeBytes}, SourcePath: SourcePath(item), Path: item.Path,
		Folded: portable.Fold(item.Path), SHA256: item.Digest.SHA256, Manifest: at.manifest, Index: at.index,
	}
}
