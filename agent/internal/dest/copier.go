package dest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/wolkvox/backup"
)

// ErrSource says that the service could not reach what it should copy from: it says nothing about the destination.
var ErrSource = errors.New("the service cannot reach the source at the moment")

// Copier is a driver whose service has the source too, and copies what was sealed by itself: the contents do not pass through
// this machine.
type Copier interface {
	// CopyItems has the service copy items of a manifest, which ascend by index, each only if its name is free, and tells each
	// of every item that came to an end, from one goroutine. An error of CopyItems itself leaves out some items; it is
	// [ErrSource] where the source as a whole cannot be reached.
	CopyItems(ctx context.Context, manifest int64, items []CopyItem, each func(Copied)) error
}

// CopyItem is one item to be copied.
type CopyItem struct {
	Index  int64
	Name   string
	Digest backup.Digest
}

// Copied is what became of one item: stored, durable and compared where Source is [SourceGood] and Err is nil.
type Copied struct {
	Index   int64
	Method  backup.Method // how what is stored was compared
	Adopted bool          // an equal file was already there
	Source  SourceState
	Err     error // of the destination: fs.ErrExist where the name is taken, [ErrConflict], [ErrReadBack], or another
}

// SourceState is what the service says of an item's source.
type SourceState uint8

// What there is to say.
const (
	SourceGood       SourceState = 0
	SourceChanged    SourceState = 1 // gone, or not what was sealed
	SourceUnreadable SourceState = 2 // cannot be read at the moment
	SourceNotPending SourceState = 3 // nothing is to be copied any more
)

// Copies reports whether the place copies by itself, so that nothing is to be fetched for it.
func (p *Place) Copies() bool { return p.able.copier != nil }

// CopyItems has the place copy items of a manifest; see [Copier]. Equal contents already under a name are adopted, others are
// [ErrConflict]; what was stored and does not compare equal is moved aside. Names that cannot be used are [ErrName].
func (p *Place) CopyItems(ctx context.Context, manifest int64, items []CopyItem, each func(Copied)) error {
	if err := p.CheckMarker(ctx); err != nil {
		return fmt.Errorf("copy %d files: %w", len(items), err)
	}
	byIndex := make(map[int64]CopyItem, len(items))
	valid := make([]CopyItem, 0, len(items))
	for _, item := range items {
		if err := checkName(item.Name); err != nil {
			each(Copied{Index: item.Index, Err: err})
			continue
		}
		byIndex[item.Index] = item
		valid = append(valid, item)
	}
	if len(valid) == 0 {
		return nil
	}
	var taken []CopyItem
	var aside []error
	err := p.able.copier.CopyItems(ctx, manifest, valid, func(c Copied) {
		item, asked := byIndex[c.Index]
		if !asked {
			return
		}
		switch {
		case errors.Is(c.Err, fs.ErrExist) && !errors.Is(c.Err, ErrConflict):
			taken = append(taken, item)
			return
		case errors.Is(c.Err, ErrReadBack):
			_, err := p.MoveAside(ctx, item.Name, hex.EncodeToString(item.Digest.SHA256[:]))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				aside = append(aside, err)
			}
		}
		each(c)
	})
	if err != nil {
		return fmt.Errorf("copy %d files at %s: %w", len(valid), p.store.label, err)
	}
	return errors.Join(p.adoptCopied(ctx, taken, each), errors.Join(aside...))
}

// adoptCopied looks at what has the names of items.
func (p *Place) adoptCopied(ctx context.Context, items []CopyItem, each func(Copied)) error {
	if len(items) == 0 {
		return nil
	}
	names := make([]string, len(items))
	for i, item := range items {
		names[i] = item.Name
	}
	found, err := p.Hash(ctx, names)
	if err != nil {
		return err
	}
	for i, item := range items {
		result := Result{Name: item.Name, Digest: item.Digest, Adopted: true}
		result.judge(found[i])
		if errors.Is(found[i].Err, fs.ErrNotExist) {
			result.Err = fmt.Errorf("copy %q: the name was taken, and then was not", item.Name)
		}
		each(Copied{Index: item.Index, Method: result.Method, Adopted: result.Adopted, Err: result.Err})
	}
	return nil
}
