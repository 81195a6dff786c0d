package smbdest

import (
	"context"
	"errors"
	"os"
	"path"
	"sync/atomic"

	smb2 "github.com/cloudsoda/go-smb2"
	"golang.org/x/sync/errgroup"
)

// piecesAtOnce bounds the pieces of one file that are on their way at the same time: enough to hide a round trip.
const piecesAtOnce = 4

// stagedFile is a file being written. What was handed to Write is on its way while more comes; an error shows at a later
// Write or at Close.
type stagedFile struct {
	stage  *stage
	key    string
	file   *smb2.File
	buf    *[]byte // nil where nothing was written since the last piece went
	n      int     // bytes in buf
	at     int64   // where the next piece goes
	pieces errgroup.Group
	failed atomic.Bool // one of them did
}

func (s *stage) create(ctx context.Context, key string) (*stagedFile, error) {
	f := &stagedFile{stage: s, key: key}
	f.pieces.SetLimit(piecesAtOnce)
	name := s.newFile(key)
	open := func(share *smb2.Share) (err error) {
		f.file, err = share.OpenFile(s.handle.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		return err
	}
	err := s.handle.do(ctx, open)
	if dir := path.Dir(name); isMissing(err) && dir != s.path {
		if err = s.handle.makeDir(ctx, dir); err == nil {
			err = s.handle.do(ctx, open)
		}
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Write implements dest.StagedFile.
func (f *stagedFile) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		if f.buf == nil {
			f.buf = f.stage.handle.smb.buffers.Get().(*[]byte)
		}
		n := copy((*f.buf)[f.n:], p)
		f.n, p = f.n+n, p[n:]
		if f.n == len(*f.buf) {
			if err := f.send(); err != nil {
				return written, err
			}
		}
		written += n
	}
	return written, nil
}

// send lets the next piece go, when there is room for one more.
func (f *stagedFile) send() error {
	if f.failed.Load() {
		return f.pieces.Wait()
	}
	if f.n == 0 {
		return nil
	}
	buf, n, at := f.buf, f.n, f.at
	f.buf, f.n, f.at = nil, 0, at+int64(n)
	h := f.stage.handle
	f.pieces.Go(func() error {
		defer h.smb.buffers.Put(buf)
		err := h.link.run(f.stage.ctx, func() error { _, err := f.file.WriteAt((*buf)[:n], at); return err })
		if err != nil {
			f.failed.Store(true)
		}
		return err
	})
	return nil
}

// Close ends writing; flushing begins, beside other files', and [stage.Sync] waits for it.
func (f *stagedFile) Close() error {
	err := f.send()
	if err == nil {
		err = f.pieces.Wait()
	}
	if err != nil {
		return errors.Join(err, f.stage.handle.link.run(f.stage.ctx, f.file.Close))
	}
	f.stage.mu.Lock()
	defer f.stage.mu.Unlock()
	f.stage.flush.Go(func() error {
		link := f.stage.handle.link
		return errors.Join(link.run(f.stage.ctx, f.file.Sync), link.run(f.stage.ctx, f.file.Close))
	})
	return nil
}

// Discard implements dest.StagedFile.
func (f *stagedFile) Discard() error {
	f.pieces.Wait() // whatever became of them
	if f.buf != nil {
		f.stage.handle.smb.buffers.Put(f.buf)
		f.buf = nil
	}
	return errors.Join(f.stage.handle.link.run(f.stage.ctx, f.file.Close), f.stage.Remove(f.key))
}

// noLimit is for what is bounded otherwise.
const noLimit = 1<<63 - 1
