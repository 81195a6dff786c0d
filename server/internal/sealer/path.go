package sealer

import (
	"strings"

	"github.com/wolkvox/backup"
)

// SourcePath returns the path of an item at the source, as manifests and the catalog have it: the name of the source,
// "/", and the path below it, of any bytes.
func SourcePath(item backup.Item) string {
	if item.SourcePath != "" {
		return item.SourcePath
	}
	return item.Path
}

// SplitSourcePath takes a path as [SourcePath] returns it apart.
func SplitSourcePath(path string) (sourceName, below string) {
	sourceName, below, _ = strings.Cut(path, "/")
	return sourceName, below
}
