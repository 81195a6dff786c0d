package contentrpc

import (
	"errors"
	"log/slog"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/source"
)

// errChanged says that a file does not look like the one that was sealed.
var errChanged = errors.New("the file is not as it was when it was sealed; its source is read again")

// file is one item on its way. Whoever closes ready has set what follows it.
type file struct {
	index  int64
	line   ledger.Line
	offset int64
	ready  chan struct{}

	data        *[]byte     // of a small file, from offset on; nil where that is nothing
	handle      source.File // of a large file
	unavailable backupv1.Unavailability
	err         error // ends the call
}

// drop gives back what the file holds, once it is ready.
func (f *file) drop(s *Service) {
	<-f.ready
	if f.handle != nil {
		f.handle.Close()
		f.handle = nil
	}
	if f.data != nil {
		s.buffers.Put(f.data)
		f.data = nil
	}
}

// open opens a file, and reads it where it is small.
func (f *fetch) open(file *file) {
	defer close(file.ready)
	item := file.line.Item
	if file.line.Forgotten || !f.wanted.Contains(file.index) {
		file.unavailable = backupv1.Unavailability_UNAVAILABILITY_NOT_PENDING
		return
	}
	tree, below := f.sources.of(item)
	if tree == nil {
		file.unavailable = backupv1.Unavailability_UNAVAILABILITY_SOURCE_UNREADABLE
		return
	}
	handle, identity, err := tree.Open(f.ctx, below)
	if err != nil {
		if f.ends(err) {
			file.err = err
			return
		}
		file.unavailable = f.unreadable(file, err)
		return
	}
	file.handle = handle
	if changed, err := f.service.changed(f.seq.Origin(), f.manifest, file.index, item, identity); err != nil {
		file.err = err
		return
	} else if changed || file.offset > item.Digest.SizeBytes {
		file.unavailable = f.unreadable(file, errChanged)
		return
	}
	if size := item.Digest.SizeBytes - file.offset; size <= pieceBytes {
		f.read(file, int(size))
	}
}

// read reads a small file from its offset on and closes it.
func (f *fetch) read(file *file, sizeBytes int) {
	defer func() {
		file.handle.Close()
		file.handle = nil
	}()
	if sizeBytes == 0 {
		return
	}
	file.data = f.service.buffers.Get(sizeBytes)
	n, err := file.handle.ReadAt(*file.data, file.offset)
	switch {
	case n == sizeBytes:
	case f.ends(err):
		file.err = err
	default:
		file.unavailable = f.unreadable(file, err)
	}
}

// ends reports whether an error is no file's but the whole call's.
func (f *fetch) ends(err error) bool {
	return f.ctx.Err() != nil || errors.Is(err, source.ErrUnreachable)
}

// unreadable says how a file that could not be read, or is not what it was, is to be called, and asks for a check where
// it may have to be withdrawn.
func (f *fetch) unreadable(file *file, cause error) backupv1.Unavailability {
	f.service.options.Logger.LogAttrs(f.ctx, slog.LevelWarn, "recording cannot be served", slog.String("origin", string(f.seq.Origin())),
		slog.Int64("manifest", f.manifest), slog.Int64("index", file.index), slog.Any("error", cause))
	if isGone(cause) {
		f.service.checker.RequestCheck(f.seq.Origin(), f.manifest, ledger.NewSet(ledger.Range{First: file.index, Last: file.index}))
		return backupv1.Unavailability_UNAVAILABILITY_SOURCE_CHANGED
	}
	return backupv1.Unavailability_UNAVAILABILITY_SOURCE_UNREADABLE
}
