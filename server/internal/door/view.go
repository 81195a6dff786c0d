package door

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/contentrpc"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
	"github.com/wolkvox/backup/server/internal/storage"
)

// The folders at the top.
const (
	pendingFolder = "pending"
	expiredFolder = "expired"
)

var states = map[string]backup.State{pendingFolder: backup.Pending, expiredFolder: backup.Expired}

// view is what one tenant sees: /pending and /expired, below each the nights and below each night the items of that state, by
// their paths in the manifest. A tenant with several destinations has a folder for each of them above the nights; where
// there is one, its name may stand there too. It is computed from the ledgers whenever it is asked for. Where a destination is
// in wolkvox Storage, what is kept there is below /storage.
type view struct {
	tenant     string
	registry   *registry.Registry
	sequencers *sequencer.Set
	contents   *contentrpc.Service
	storage    *storage.Store // nil where there is none
}

// node is a folder, which can be listed, or a file, which can be opened.
type node struct {
	info    info
	list    func() (entries, error)
	open    func(ctx context.Context) (contents, error)
	subject readSubject // of a file: which item it is
}

// folder returns a node whose entries are known.
func folder(name string, at time.Time, inside ...info) node {
	return node{info: info{name: name, at: at, dir: true}, list: func() (entries, error) {
		listed := fixed(slices.Clone(inside))
		return &listed, nil
	}}
}

// resolve returns what is at an absolute path. The error wraps [fs.ErrNotExist] where there is nothing.
func (v view) resolve(path string) (node, error) {
	path = strings.TrimPrefix(path, "/")
	if path == "" {
		return v.root()
	}
	top, path, _ := strings.Cut(path, "/")
	if path != "" && !fs.ValidPath(path) {
		return node{}, absent(path)
	}
	if top == storageFolder {
		return v.inStorage(path)
	}
	state, ok := states[top]
	if !ok {
		return node{}, absent(path)
	}
	destinations, err := v.destinations()
	if err != nil {
		return node{}, err
	}
	if path == "" && len(destinations) != 1 {
		return v.byDestination(top, destinations), nil
	}
	d, below, ok := choose(destinations, path)
	if !ok {
		return node{}, absent(path)
	}
	seq, ok := v.sequencers.Of(d.Origin)
	if !ok {
		return node{}, fmt.Errorf("the log %s is not open", d.Origin)
	}
	if below == "" {
		name := top
		if path != "" {
			name = path
		}
		return nights(name, seq, state)
	}
	return v.inNight(seq, state, below)
}

// root is the folder at the top of all.
func (v view) root() (node, error) {
	inside := []info{{name: expiredFolder, dir: true}, {name: pendingFolder, dir: true}}
	kept, err := v.kept()
	if err != nil {
		return node{}, err
	}
	if len(kept) > 0 {
		inside = append(inside, info{name: storageFolder, dir: true})
	}
	return folder("/", time.Time{}, inside...), nil
}

func (v view) destinations() ([]registry.Destination, error) {
	all, err := v.registry.Destinations(v.tenant)
	if err != nil {
		return nil, fmt.Errorf("look at the destinations of tenant %s: %w", v.tenant, err)
	}
	return all, nil
}

// choose returns the destination whose name a path begins with, or the only one, and the rest of the path; false where it is
// neither.
func choose(destinations []registry.Destination, path string) (d registry.Destination, below string, ok bool) {
	first, below, _ := strings.Cut(path, "/")
	for _, d := range destinations {
		if d.Name == first {
			return d, below, true
		}
	}
	if len(destinations) == 1 {
		return destinations[0], path, true
	}
	return registry.Destination{}, path, false
}

// byDestination is the top where a tenant has several destinations, or none.
func (v view) byDestination(name string, destinations []registry.Destination) node {
	inside := make([]info, len(destinations))
	for i, d := range destinations {
		inside[i] = info{name: d.Name, at: d.CreatedAt, dir: true}
	}
	return folder(name, time.Time{}, inside...)
}

// nights is the folder of the nights that have items in a state.
func nights(name string, seq *sequencer.Sequencer, state backup.State) (node, error) {
	have := map[backup.Date]bool{}
	for _, m := range manifests(seq) {
		counts, err := seq.Ledger().Counts(m.Number)
		if err != nil {
			return node{}, err
		}
		if counts[state] > 0 {
			have[m.Night] = true
		}
	}
	inside := make([]info, 0, len(have))
	for night := range have {
		inside = append(inside, info{name: night.String(), at: startOf(night), dir: true})
	}
	slices.SortFunc(inside, func(a, b info) int { return strings.Compare(a.name, b.name) })
	return folder(name, time.Time{}, inside...), nil
}

// inNight returns what is at a path that begins with a night.
func (v view) inNight(seq *sequencer.Sequencer, state backup.State, path string) (node, error) {
	label, path, _ := strings.Cut(path, "/")
	night, err := backup.ParseDate(label)
	if err != nil {
		return node{}, absent(label)
	}
	var parts []part
	for _, m := range manifests(seq) {
		if m.Night != night {
			continue
		}
		items, err := seq.Ledger().Items(m.Number, state)
		if err != nil {
			return node{}, err
		}
		if !items.IsEmpty() {
			parts = append(parts, newPart(seq.Ledger(), m.Number, items))
		}
	}
	at := startOf(night)
	if len(parts) == 0 {
		return node{}, absent(label)
	}
	if path == "" {
		return itemFolder(label, at, "", parts), nil
	}
	return v.item(seq.Origin(), at, path, parts)
}

// item returns the file or folder at a path within a night.
func (v view) item(origin ledger.Origin, at time.Time, path string, parts []part) (node, error) {
	name := last(path)
	var below []part
	for _, p := range parts {
		line, k, found, err := p.find(path, 0)
		if err != nil {
			return node{}, err
		}
		if found && line.Item.Path == path {
			return v.file(origin, name, p.manifest, p.items.at(k), line.Item), nil
		}
		line, _, found, err = p.find(path+"/", k)
		if err != nil {
			return node{}, err
		}
		if found && strings.HasPrefix(line.Item.Path, path+"/") {
			below = append(below, p)
		}
	}
	if len(below) == 0 {
		return node{}, absent(path)
	}
	return itemFolder(name, at, path+"/", below), nil
}

func (v view) file(origin ledger.Origin, name string, manifest, index int64, item backup.Item) node {
	return node{
		info:    infoOf(name, item),
		subject: readSubject{Origin: string(origin), Manifest: manifest, Index: index},
		open: func(ctx context.Context) (contents, error) {
			return v.contents.Open(ctx, origin, manifest, index, item)
		},
	}
}

func infoOf(name string, item backup.Item) info {
	return info{name: name, size: item.Digest.SizeBytes, at: item.RecordedAt}
}

// manifests returns those of a log as it is now.
func manifests(seq *sequencer.Sequencer) (all []ledger.Manifest) {
	seq.Ledger().View(func(log *ledger.Log) { all = log.Manifests })
	return all
}

func startOf(night backup.Date) time.Time {
	return time.Date(night.Year, night.Month, night.Day, 0, 0, 0, 0, time.UTC)
}

func absent(path string) error { return fmt.Errorf("%q: %w", path, fs.ErrNotExist) }

// last returns the last component of a path.
func last(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
