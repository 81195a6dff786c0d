package door

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"

	"github.com/wolkvox/backup/server/internal/contentrpc"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/source"
)

// What a client hears. Where recordings lie and what the machine says of it stays here.
var (
	errNotReachable = errors.New("the recordings cannot be reached at the moment; try again later")
	errNotAsSealed  = errors.New("the file is not as it was when it was sealed; it will be sealed anew")
	errNotReadable  = errors.New("the file cannot be read at its source")
	errIsFolder     = errors.New("this is a folder")
	errIsFile       = errors.New("this is no folder")
	errNotWritten   = errors.New("nothing can be read at the moment, because it cannot be taken down that it is")
	errFailed       = errors.New("the server could not do it")
)

// handlers answer the requests of an SFTP session.
type handlers struct{ *session }

// Filewrite refuses to open anything to be written.
func (h handlers) Filewrite(*sftp.Request) (io.WriterAt, error) {
	return nil, sftp.ErrSSHFxPermissionDenied
}

// Filecmd refuses whatever changes something.
func (h handlers) Filecmd(*sftp.Request) error { return sftp.ErrSSHFxPermissionDenied }

// Filelist lists a folder, or says what a file or folder is like.
func (h handlers) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	if r.Method == "Readlink" {
		return nil, sftp.ErrSSHFxOpUnsupported // there are none
	}
	node, err := h.view().resolve(r.Filepath)
	if err != nil {
		return nil, h.answer(err)
	}
	if r.Method != "List" {
		return &listing{session: h.session, entries: &fixed{node.info}, release: func() {}}, nil
	}
	if node.list == nil {
		return nil, errIsFile
	}
	if err := h.take(); err != nil {
		return nil, err
	}
	entries, err := node.list()
	if err != nil {
		h.session.release()
		return nil, h.answer(err)
	}
	return &listing{session: h.session, entries: entries, release: sync.OnceFunc(h.session.release)}, nil
}

// Fileread opens a file.
func (h handlers) Fileread(r *sftp.Request) (_ io.ReaderAt, err error) {
	node, err := h.view().resolve(r.Filepath)
	if err != nil {
		return nil, h.answer(err)
	}
	if node.open == nil {
		return nil, errIsFolder
	}
	if err := h.take(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			h.session.release()
		}
	}()
	if err := h.door.counts.file(h.key.Tenant, time.Now()); err != nil {
		return nil, err
	}
	subject := node.subject
	subject.Path, subject.SizeBytes, subject.From, subject.Comment = r.Filepath, node.info.size, h.from, h.key.Comment
	record, err := h.door.records.begin(h.key, subject)
	if err != nil {
		h.door.Logger.LogAttrs(h.ctx, slog.LevelError, "reading at the door refused, because the admin log cannot be written", slog.Any("error", err))
		return nil, errNotWritten
	}
	file, err := node.open(h.ctx)
	if err != nil {
		record.end(h.ctx, outcomeOf(err), 0)
		return nil, h.answer(err)
	}
	return &openFile{session: h.session, file: file, record: record}, nil
}

func (h handlers) view() view {
	return view{tenant: h.key.Tenant, registry: h.door.Registry, sequencers: h.door.Sequencers, contents: h.door.Contents, storage: h.door.Storage}
}

// answer makes of an error what a client may hear.
func (s *session) answer(err error) error {
	switch {
	case s.ctx.Err() != nil:
		return errFailed
	case errors.Is(err, fs.ErrNotExist) && !errors.Is(err, contentrpc.ErrUnreadable):
		return os.ErrNotExist
	case errors.Is(err, source.ErrUnreachable):
		return errNotReachable
	case errors.Is(err, contentrpc.ErrChanged):
		return errNotAsSealed
	case errors.Is(err, contentrpc.ErrUnreadable):
		return errNotReadable
	}
	s.door.Logger.LogAttrs(s.ctx, slog.LevelError, "door could not serve", slog.String("tenant", s.key.Tenant), slog.Any("error", err))
	return errFailed
}

// outcomeOf names in the admin log why a file was not read.
func outcomeOf(err error) string {
	switch {
	case errors.Is(err, source.ErrUnreachable):
		return outcomeUnreachable
	case errors.Is(err, contentrpc.ErrChanged):
		return outcomeChanged
	case errors.Is(err, contentrpc.ErrUnreadable):
		return outcomeUnreadable
	case errors.Is(err, context.Canceled), errors.Is(err, errStopping), errors.Is(err, errKeyRemoved), errors.Is(err, errKeyExpired), errors.Is(err, errRetired):
		return outcomeInterrupted
	}
	return registry.OutcomeUnknown
}

// contents is a file that can be read at any offset.
type contents interface {
	io.ReaderAt
	io.Closer
}

// openFile is a file that is being read. It is closed once.
type openFile struct {
	session *session
	file    contents
	record  *read

	sentBytes atomic.Int64
	failed    atomic.Pointer[string] // the outcome of the first read that failed
}

// ReadAt implements io.ReaderAt.
func (f *openFile) ReadAt(p []byte, offset int64) (int, error) {
	n, err := f.file.ReadAt(p, offset)
	f.sentBytes.Add(int64(n))
	f.session.door.counts.sent(n)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	outcome := outcomeOf(err)
	f.failed.CompareAndSwap(nil, &outcome)
	return n, f.session.answer(err)
}

// TransferError implements sftp.TransferError: the client left with the file open.
func (f *openFile) TransferError(error) {
	outcome := outcomeInterrupted
	f.failed.CompareAndSwap(nil, &outcome)
}

// Close implements io.Closer and makes the record.
func (f *openFile) Close() error {
	defer f.session.release()
	outcome := registry.OutcomeOK
	if failed := f.failed.Load(); failed != nil {
		outcome = *failed
	}
	err := f.file.Close()
	f.record.end(f.session.ctx, outcome, f.sentBytes.Load())
	if err != nil {
		return f.session.answer(err)
	}
	return nil
}
