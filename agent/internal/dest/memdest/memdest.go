// Package memdest is a destination in memory, for tests: a disk ([New]) or an object store ([NewObjects]). It keeps the contract of package dest, knows what was
// made durable and what was not, and so can lose its power ([Disk.CutPower]); it can be unplugged, and its
// contents can be damaged. Faults of single operations are injected by desttest.WithFaults, which works on every
// driver. It does not model case-insensitive names or a full disk by bytes.
package memdest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// Disk is a place in memory, and opens handles on itself. Its methods are safe for concurrent use.
type Disk struct {
	objects bool // no folders, no renaming: each file goes to its own name, whole and at once

	mu      sync.Mutex // guards everything below, and all nodes
	epoch   int        // handles of an earlier epoch are dead
	away    bool       // unplugged
	names   map[string]*node
	durable map[string]*node // what names will be after a power cut
	own     map[string][]byte
	stages  map[*stage]struct{}
}

// node is one file's contents.
type node struct {
	data    []byte
	durable []byte // after a power cut; nil where nothing was synced
	odd     bool   // not a regular file
	closed  bool
}

var errPower = errors.New("the handle is from before the power was cut or the disk unplugged")

// New returns an empty disk.
func New() *Disk {
	return &Disk{names: make(map[string]*node), durable: make(map[string]*node), own: make(map[string][]byte), stages: make(map[*stage]struct{})}
}

// NewObjects returns an empty object store: its stages are dest.Uploaders, and what it holds is durable. Its power cannot be
// cut.
func NewObjects() *Disk {
	d := New()
	d.objects = true
	return d
}

// Open implements dest.Opener.
func (d *Disk) Open(ctx context.Context) (dest.Driver, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := &handle{disk: d, epoch: d.epoch}
	if err := h.alive(ctx); err != nil {
		return nil, err
	}
	return h, nil
}

// handle is one opened handle.
type handle struct {
	disk  *Disk
	epoch int
}

// alive reports why the handle cannot be used; disk.mu is held.
func (h *handle) alive(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case h.disk.away:
		return &dest.UnreachableError{Place: "memory", Cause: errors.New("it is unplugged")}
	case h.epoch != h.disk.epoch:
		return &dest.UnreachableError{Place: "memory", Cause: errPower}
	}
	return nil
}

// lock takes the disk's lock and checks the handle; the caller unlocks in any case.
func (h *handle) lock(ctx context.Context) (unlock func(), err error) {
	h.disk.mu.Lock()
	return h.disk.mu.Unlock, h.alive(ctx)
}

func (h *handle) Close() error { return nil }

// look returns the file under a name, or the contract's error; disk.mu is held.
func (d *Disk) look(name string) (*node, error) {
	n, ok := d.names[name]
	switch {
	case ok && n.odd:
		return nil, fmt.Errorf("%w: %q is not a regular file", dest.ErrConflict, name)
	case ok:
		return n, nil
	}
	if err := d.way(name); err != nil {
		return nil, err
	}
	if d.isFolder(name) {
		return nil, fmt.Errorf("%w: %q is a folder", dest.ErrConflict, name)
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// way returns dest.ErrConflict where a file stands where name needs a folder; disk.mu is held.
func (d *Disk) way(name string) error {
	if d.objects {
		return nil
	}
	for i := range len(name) {
		if _, ok := d.names[name[:i]]; ok && name[i] == '/' {
			return fmt.Errorf("%w: %q is not a folder", dest.ErrConflict, name[:i])
		}
	}
	return nil
}

func (d *Disk) isFolder(name string) bool {
	if d.objects {
		return false
	}
	for other := range d.names {
		if strings.HasPrefix(other, name+"/") {
			return true
		}
	}
	return false
}

// link makes n visible as name without replacing; disk.mu is held.
func (d *Disk) link(name string, n *node) error {
	if err := d.way(name); err != nil {
		return err
	}
	if own, ok := strings.CutPrefix(name, backup.OwnPrefix+"/"); ok {
		if _, taken := d.own[own]; taken {
			return &fs.PathError{Op: "rename", Path: name, Err: fs.ErrExist}
		}
		d.own[own] = n.data
		return nil
	}
	if _, ok := d.names[name]; ok || d.isFolder(name) {
		return &fs.PathError{Op: "rename", Path: name, Err: fs.ErrExist}
	}
	d.names[name] = n
	return nil
}

// reader reads a copy, past any cache.
type reader struct{ *bytes.Reader }

func (reader) Close() error           { return nil }
func (reader) PassesCache() bool      { return true }
func newReader(n *node) io.ReadCloser { return reader{bytes.NewReader(slices.Clone(n.data))} }

// Open implements dest.Driver.
func (h *handle) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	unlock, err := h.lock(ctx)
	defer unlock()
	if err != nil {
		return nil, err
	}
	n, err := h.disk.look(name)
	if err != nil {
		return nil, err
	}
	return newReader(n), nil
}

// Put implements dest.Driver.
func (h *handle) Put(ctx context.Context, name string, r io.Reader, size int64, pre dest.Precondition) error {
	data, err := io.ReadAll(io.LimitReader(r, size+1))
	if err != nil {
		return err
	}
	if int64(len(data)) != size {
		return fmt.Errorf("the stream does not have %d bytes but %d or more", size, len(data))
	}
	unlock, err := h.lock(ctx)
	defer unlock()
	if err != nil {
		return err
	}
	n := &node{data: data, durable: slices.Clone(data), closed: true}
	if known, ok := pre.Replaced(); ok {
		old, err := h.disk.look(name)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %q is not there to be replaced", dest.ErrConflict, name)
		}
		if err != nil {
			return err
		}
		if got, err := dest.Sum(ctx, bytes.NewReader(old.data)); err != nil || got != known {
			return errors.Join(dest.ErrConflict, err)
		}
		h.disk.names[name] = n
	} else if err := h.disk.link(name, n); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %w", dest.ErrConflict, err)
	} else if err != nil {
		return err
	}
	h.disk.durable[name] = n
	return nil
}

// ReadOwn implements dest.Keeper.
func (h *handle) ReadOwn(ctx context.Context, name string) ([]byte, error) {
	unlock, err := h.lock(ctx)
	defer unlock()
	if err != nil {
		return nil, err
	}
	data, ok := h.disk.own[name]
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	return slices.Clone(data), nil
}

// WriteOwn implements dest.Keeper.
func (h *handle) WriteOwn(ctx context.Context, name string, data []byte) error {
	unlock, err := h.lock(ctx)
	defer unlock()
	if err != nil {
		return err
	}
	h.disk.own[name] = slices.Clone(data)
	return nil
}

// RemoveOwn implements dest.Keeper.
func (h *handle) RemoveOwn(ctx context.Context, name string) error {
	unlock, err := h.lock(ctx)
	defer unlock()
	if err == nil {
		delete(h.disk.own, name)
	}
	return err
}

// MoveAside implements dest.Mover.
func (h *handle) MoveAside(ctx context.Context, name, to string) error {
	unlock, err := h.lock(ctx)
	defer unlock()
	if err != nil {
		return err
	}
	n, err := h.disk.look(name)
	if err != nil {
		return err
	}
	if err := h.disk.link(backup.OwnPrefix+"/"+to, n); err != nil {
		return err
	}
	delete(h.disk.names, name)
	delete(h.disk.durable, name)
	return nil
}

// Settle implements dest.Settler.
func (h *handle) Settle(ctx context.Context, names []string) error {
	unlock, err := h.lock(ctx)
	defer unlock()
	if err != nil {
		return err
	}
	for _, name := range names {
		if n, ok := h.disk.names[name]; ok {
			n.durable = slices.Clone(n.data)
			h.disk.durable[name] = n
		}
	}
	return nil
}

// List implements dest.Lister.
func (h *handle) List(ctx context.Context) iter.Seq2[dest.File, error] {
	return func(yield func(dest.File, error) bool) {
		unlock, err := h.lock(ctx)
		names := maps.Clone(h.disk.names)
		unlock()
		if err != nil {
			yield(dest.File{}, err)
			return
		}
		for name, n := range names {
			if !yield(dest.File{Name: name, SizeBytes: int64(len(n.data)), Regular: !n.odd}, nil) {
				return
			}
		}
	}
}

// Space implements dest.Spacer: there is always a gibibyte.
func (h *handle) Space(ctx context.Context) (dest.Space, error) {
	unlock, err := h.lock(ctx)
	defer unlock()
	return dest.Space{FreeBytes: 1 << 30, FreeInodes: -1, TotalBytes: 1 << 31}, err
}
