package serversim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// Window is how long an item may be copied: from its sealing to the deadline of its manifest.
const Window = 40 * time.Minute

// named is what the log says of one recording of the source: its latest item.
type named struct {
	manifest, index int64
	digest          backup.Digest
	state           backup.State
}

// look seals, for one destination, what no item names and what changed since it was sealed, as the server's own sealer
// does. s.sealing is held.
func (s *Server) look(ctx context.Context, seq *sequencer.Sequencer) error {
	if err := seq.RebuildCatalog(ctx, func(context.Context) error { return nil }); err != nil {
		return err
	}
	if err := seq.Ready(); err != nil {
		return err
	}
	log := seq.Ledger()
	staged, err := log.Staged()
	if err != nil {
		return err
	}
	for _, st := range staged {
		if err := log.DropStaged(st.Manifest); err != nil {
			return err
		}
	}
	latest, taken, err := names(seq)
	if err != nil {
		return err
	}
	paths, reachable := s.config.Source.all()
	if !reachable {
		return nil
	}
	var fresh []backup.Item
	changed := map[int64][]backup.Item{} // by the manifest of the old item
	withdraw := map[int64][]ledger.Range{}
	for _, path := range paths {
		data, ok, _ := s.config.Source.read(path)
		if !ok {
			continue
		}
		digest := digestOf(data)
		old, known := latest[path]
		item := backup.Item{Path: distinct(path, taken), SourcePath: path, Kind: backup.KindGSM, Digest: digest}
		if item.Path == path {
			item.SourcePath = ""
		}
		switch {
		case !known:
			fresh = append(fresh, item)
		case old.state == backup.Forgotten, old.state != backup.Withdrawn && old.digest == digest:
			continue
		case old.state == backup.Pending || old.state == backup.Expired || old.state == backup.Waived:
			changed[old.manifest] = append(changed[old.manifest], item)
			withdraw[old.manifest] = append(withdraw[old.manifest], ledger.Range{First: old.index, Last: old.index})
		default:
			fresh = append(fresh, item)
		}
		taken[item.Path] = true
	}
	for _, manifest := range slices.Sorted(maps.Keys(changed)) {
		w := &sequencer.Withdrawal{Manifest: manifest, Indexes: ledger.NewSet(withdraw[manifest]...), Reason: ledger.WithdrawnChanged}
		if err := s.seal(ctx, seq, changed[manifest], w); err != nil {
			return err
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	return s.seal(ctx, seq, fresh, nil)
}

// names returns the latest item of every recording, and all paths that were ever given.
func names(seq *sequencer.Sequencer) (latest map[string]named, taken map[string]bool, err error) {
	latest, taken = map[string]named{}, map[string]bool{}
	for manifest := int64(1); manifest <= seq.Last(); manifest++ {
		states, err := seq.Ledger().States(manifest)
		if err != nil {
			return nil, nil, err
		}
		index := int64(0)
		for line, err := range seq.Ledger().Lines(manifest, 0) {
			if err != nil {
				return nil, nil, err
			}
			state, _ := states.State(index)
			latest[sourcePath(line.Item)] = named{manifest, index, line.Item.Digest, state}
			taken[line.Item.Path] = true
			index++
		}
	}
	return latest, taken, nil
}

func sourcePath(item backup.Item) string {
	if item.SourcePath != "" {
		return item.SourcePath
	}
	return item.Path
}

func distinct(path string, taken map[string]bool) string {
	name, extension, _ := strings.Cut(path, ".")
	for n := 2; taken[path]; n++ {
		path = fmt.Sprintf("%s~%d.%s", name, n, extension)
	}
	return path
}

// seal stages and seals a manifest, together with what it replaces, if anything.
func (s *Server) seal(ctx context.Context, seq *sequencer.Sequencer, items []backup.Item, w *sequencer.Withdrawal) error {
	slices.SortFunc(items, func(a, b backup.Item) int { return strings.Compare(a.Path, b.Path) })
	now := time.Now()
	m := sequencer.Manifest{Number: seq.Last() + 1, Night: backup.DateOf(now.UTC()), Deadline: now.Add(Window).UTC().Truncate(time.Second)}
	writer, err := seq.Ledger().StageManifest(m.Number)
	if err != nil {
		return err
	}
	defer writer.Abort()
	for _, item := range items {
		line, err := ledger.FormatLine(item)
		if err != nil {
			return err
		}
		if err := writer.Add(line); err != nil {
			return err
		}
	}
	if m.Root, m.Items, m.Bytes, err = writer.Commit(); err != nil {
		return err
	}
	if w == nil {
		return seq.Seal(ctx, m, now)
	}
	_, err = seq.Replace(ctx, *w, m, now)
	return err
}

// check reads the source of items again, because they were found to differ, and takes back what did change.
func (s *Server) check(ctx context.Context, c suspicion) error {
	seq, ok := s.set.Of(c.origin)
	if !ok {
		return fmt.Errorf("the log %s is not open", c.origin)
	}
	var lost []ledger.Range
	for index := range c.indexes.All() {
		line, err := seq.Ledger().Line(c.manifest, index)
		if err != nil {
			return err
		}
		_, ok, reachable := s.config.Source.read(sourcePath(line.Item))
		if !reachable {
			return errors.New("the source is away")
		}
		if !ok {
			lost = append(lost, ledger.Range{First: index, Last: index})
		}
	}
	s.sealing.Lock()
	defer s.sealing.Unlock()
	if len(lost) > 0 {
		w := sequencer.Withdrawal{Manifest: c.manifest, Indexes: ledger.NewSet(lost...), Reason: ledger.WithdrawnLost}
		if _, err := seq.Withdraw(ctx, w, time.Now()); err != nil {
			return err
		}
	}
	return s.look(ctx, seq)
}
