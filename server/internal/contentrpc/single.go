package contentrpc

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"log/slog"
	"sync"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/sealer"
	"github.com/wolkvox/backup/server/internal/source"
)

// ErrUnreadable says that the source is there, and refuses the file or cannot read it.
var ErrUnreadable = errors.New("the source cannot give the file")

// ErrChanged says that a file is not the one that was sealed. Its source is read again then, and it is withdrawn where it has
// changed indeed.
var ErrChanged = errChanged

// catchUpBytes is how much more than what it is asked for a read reads at most, to have hashed what lies before it.
const catchUpBytes = 1 << 20

// File is one item opened to be read at any offset, by somebody who does not hash what is read: unlike the agent does,
// and so the file does itself, and withholds its last byte where it is not what was sealed. Its methods may be called
// concurrently.
type File struct {
	service  *Service
	ctx      context.Context // within which it is read; held because io.ReaderAt has none
	origin   ledger.Origin
	manifest int64
	index    int64
	item     backup.Item
	handle   source.File
	tree     io.Closer

	mu     sync.Mutex // guards what follows
	hash   hash.Hash  // of the first hashed bytes
	hashed int64
	err    error // why the last byte is withheld
}

// Open opens an item, which the caller knows to be pending or expired, as it is at its source: it is checked as one that is
// streamed. It can be read until ctx ends. Errors wrap [source.ErrUnreachable] where nothing can be said about the file
// at the moment, [ErrChanged] and [ErrUnreadable].
func (s *Service) Open(ctx context.Context, origin ledger.Origin, manifest, index int64, item backup.Item) (*File, error) {
	tree, below, err := s.openSource(ctx, origin.Tenant(), item)
	if err != nil {
		return nil, err
	}
	handle, identity, err := tree.Open(ctx, below)
	if err != nil {
		tree.Close()
		return nil, s.refuse(ctx, origin, manifest, index, err)
	}
	f := &File{service: s, ctx: ctx, origin: origin, manifest: manifest, index: index, item: item, handle: handle, tree: tree, hash: sha256.New()}
	changed, err := s.changed(origin, manifest, index, item, identity)
	if err == nil && changed {
		err = s.refuse(ctx, origin, manifest, index, errChanged)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// openSource opens the source that an item lies in, and returns the item's path below it.
func (s *Service) openSource(ctx context.Context, tenant string, item backup.Item) (tree *source.Tree, below string, err error) {
	name, below := sealer.SplitSourcePath(sealer.SourcePath(item))
	all, err := s.registry.Sources(tenant)
	if err != nil {
		return nil, "", fmt.Errorf("open the sources of tenant %s: %w", tenant, err)
	}
	for _, one := range all {
		if one.Name == name {
			tree, err := s.options.Sources.Open(ctx, one)
			return tree, below, err
		}
	}
	return nil, "", fmt.Errorf("tenant %s has no source %q: %w", tenant, name, ErrUnreadable)
}

// refuse says why a file is not served, and asks for a check where it may have to be withdrawn.
func (s *Service) refuse(ctx context.Context, origin ledger.Origin, manifest, index int64, cause error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(cause, source.ErrUnreachable) {
		return cause
	}
	s.options.Logger.LogAttrs(ctx, slog.LevelWarn, "recording cannot be served", slog.String("origin", string(origin)),
		slog.Int64("manifest", manifest), slog.Int64("index", index), slog.Any("error", cause))
	if !isGone(cause) {
		return fmt.Errorf("%w: %w", ErrUnreadable, cause)
	}
	s.checker.RequestCheck(origin, manifest, ledger.NewSet(ledger.Range{First: index, Last: index}))
	return fmt.Errorf("%w: %v", ErrChanged, cause)
}

// isGone reports whether what went wrong says that a file is not there any more as it was sealed.
func isGone(cause error) bool {
	for _, gone := range []error{fs.ErrNotExist, source.ErrNotRegular, source.ErrChanging, errChanged, io.EOF} {
		if errors.Is(cause, gone) {
			return true
		}
	}
	return false
}

// Wait lets n bytes through at the pace of all contents, for others that serve such. The error is the cause for which ctx ended.
func (s *Service) Wait(ctx context.Context, n int) error { return s.pace.wait(ctx, n) }

// SizeBytes returns the item's size as it was sealed.
func (f *File) SizeBytes() int64 { return f.item.Digest.SizeBytes }

// ReadAt implements io.ReaderAt, at the pace of the server. Besides io.EOF, errors wrap what those of [Service.Open] do, or
// are the cause for which the context ended. The last byte is read only once all that lies before it was hashed, and the
// whole is what was sealed.
func (f *File) ReadAt(p []byte, offset int64) (int, error) {
	left := f.SizeBytes() - offset
	if offset < 0 {
		return 0, fmt.Errorf("read at %d: %w", offset, fs.ErrInvalid)
	}
	if left <= 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), left)]
	if err := f.service.pace.wait(f.ctx, len(p)); err != nil {
		return 0, err
	}
	if n, err := f.handle.ReadAt(p, offset); n < len(p) {
		return 0, f.refuse(err)
	}
	if err := f.check(p, offset); err != nil {
		return 0, err
	}
	if int64(len(p)) == left {
		return len(p), io.EOF
	}
	return len(p), nil
}

func (f *File) refuse(cause error) error {
	return f.service.refuse(f.ctx, f.origin, f.manifest, f.index, cause)
}

// check hashes what was read, where all before it was hashed, and otherwise some of what was not. With the last byte it
// hashes all that is left, and compares.
func (f *File) check(p []byte, offset int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	end := offset + int64(len(p))
	if f.err != nil || f.hashed == f.SizeBytes() {
		return f.err
	}
	if behind := offset - f.hashed; behind > 0 {
		if end < f.SizeBytes() {
			behind = min(behind, catchUpBytes)
		}
		if err := f.catchUp(behind); err != nil {
			return err
		}
	}
	if behind := f.hashed - offset; behind >= 0 && behind < int64(len(p)) {
		f.hash.Write(p[behind:])
		f.hashed = end
	}
	if f.hashed == f.SizeBytes() && [sha256.Size]byte(f.hash.Sum(nil)) != f.item.Digest.SHA256 {
		f.err = f.refuse(errChanged)
	}
	return f.err
}

// catchUp hashes the next n bytes. f.mu is held.
func (f *File) catchUp(n int64) error {
	buffer := f.service.buffers.Get(pieceBytes)
	defer f.service.buffers.Put(buffer)
	for n > 0 {
		if f.ctx.Err() != nil {
			return context.Cause(f.ctx)
		}
		piece := (*buffer)[:min(n, pieceBytes)]
		if read, err := f.handle.ReadAt(piece, f.hashed); read < len(piece) {
			return f.refuse(err)
		}
		f.hash.Write(piece)
		f.hashed += int64(len(piece))
		n -= int64(len(piece))
	}
	return nil
}

// Close gives back what the file holds. Nothing is read afterwards.
func (f *File) Close() error { return errors.Join(f.handle.Close(), f.tree.Close()) }

// changed reports whether a file does not look any more like the one that was sealed. Looks that only an inode or a
// change of its metadata tells apart do not count: what is read is hashed.
func (s *Service) changed(origin ledger.Origin, manifest, index int64, item backup.Item, now source.Identity) (bool, error) {
	if now.SizeBytes != item.Digest.SizeBytes {
		return true, nil
	}
	record, found, err := s.catalog.Lookup(origin, sealer.SourcePath(item))
	if err != nil || !found || record.Manifest != manifest || record.Index != index || record.ModTimeNs == 0 {
		return false, err
	}
	return record.ModTimeNs != now.ModTime.UnixNano(), nil
}
