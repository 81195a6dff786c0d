package sealer

import (
	"fmt"
	"iter"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/source/portable"
)

// takeBack undoes what an interrupted attempt left: manifests that were staged and not sealed, and their records in the
// catalog. A record that one of them replaced is made again from the manifest that it came from, without an identity: its
// file is read once more. The log's lock is held.
func (s *Sealer) takeBack(p *place) error {
	log := p.seq.Ledger()
	staged, err := log.Staged()
	if err != nil {
		return err
	}
	for _, st := range staged {
		var failed error
		renamed := map[string]bool{}
		records := stagedRecords(log.StagedLines(st.Manifest), st.Manifest, renamed, &failed)
		err := s.catalog.DeleteUnsealed(p.Origin, st.Manifest, records)
		if failed != nil {
			err = failed
		}
		if err == nil {
			err = s.restore(p, renamed)
		}
		if err == nil {
			err = s.announcements.DeleteCounted(p.Tenant, p.Origin, st.Manifest)
		}
		if err == nil {
			err = log.DropStaged(st.Manifest)
		}
		if err != nil {
			return fmt.Errorf("take back manifest %d of %s, which was not sealed: %w", st.Manifest, p.Origin, err)
		}
	}
	return nil
}

// stagedRecords yields the records that belong to staged lines, and collects the source paths of files whose name is not
// the first choice: they may have replaced a record.
func stagedRecords(lines iter.Seq2[ledger.Line, error], manifest int64, renamed map[string]bool, failed *error) iter.Seq[registry.Record] {
	return func(yield func(registry.Record) bool) {
		for line, err := range lines {
			if err != nil {
				*failed = err
				return
			}
			sourcePath := SourcePath(line.Item)
			if portable.Path(sourcePath) != line.Item.Path {
				renamed[sourcePath] = true
			}
			keys := portable.Keys(line.Item.Path)
			if !yield(registry.Record{SourcePath: sourcePath, Folded: keys[0]}) {
				return
			}
			for _, key := range keys[1:] {
				if !yield(folderRecord(key, manifest)) {
					return
				}
			}
		}
	}
}

// restore finds the latest sealed item of each source path, and puts its record back where the catalog has none.
func (s *Sealer) restore(p *place, sourcePaths map[string]bool) error {
	for path := range sourcePaths {
		_, found, err := s.catalog.Lookup(p.Origin, path)
		if err != nil {
			return err
		}
		if found {
			delete(sourcePaths, path)
		}
	}
	if len(sourcePaths) == 0 {
		return nil
	}
	latest := map[string]registry.Record{}
	for manifest := int64(1); manifest <= p.seq.Last(); manifest++ {
		index := int64(0)
		for line, err := range p.seq.Ledger().Lines(manifest, 0) {
			if err != nil {
				return err
			}
			if path := SourcePath(line.Item); sourcePaths[path] && !line.Forgotten {
				latest[path] = recordOf(line.Item, position{manifest, index})
			}
			index++
		}
	}
	records := make([]registry.Record, 0, len(latest))
	for _, record := range latest {
		records = append(records, record)
	}
	return s.catalog.PutBatch(p.Origin, records)
}
