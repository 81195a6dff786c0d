package smbdest

import (
	"context"
	"errors"
	"os"

	smb2 "github.com/cloudsoda/go-smb2"
)

// stagedFile is a file being written. What was handed to Write is on its way while the next piece comes; an error shows at
// the next Write or at Close.
type stagedFile struct {
	stage *stage
	key   string
	file  *smb2.File
	buf   *[]byte // nil where nothing was written since the last piece went
	n     int
	at    int64      // where the next piece goes
	sent  chan error // of the piece that is on its way; nil where none is
}

func (s *stage) create(ctx context.Context, key string) (*stagedFile, error) {
	f := &stagedFile{stage: s, key: key}
	err := s.handle.do(ctx, func(share *smb2.Share) (err error) {
		f.file, err = share.OpenFile(s.handle.path(s.path+"/"+key), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		return err
	})
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

// send waits for the piece that is on its way and sends the next one.
func (f *stagedFile) send() error {
	if err := f.wait(); err != nil || f.n == 0 {
		return err
	}
	sent, buf, n, at := make(chan error, 1), f.buf, f.n, f.at
	f.sent, f.buf, f.n, f.at = sent, nil, 0, at+int64(n)
	h := f.stage.handle
	go func() {
		err := h.link.run(f.stage.ctx, func() error { _, err := f.file.WriteAt((*buf)[:n], at); return err })
		h.smb.buffers.Put(buf)
		sent <- err
	}()
	return nil
}

func (f *stagedFile) wait() error {
	if f.sent == nil {
		return nil
	}
	err := <-f.sent
	f.sent = nil
	return err
}

// Close ends writing; flushing begins, beside other files', and [stage.Sync] waits for it.
func (f *stagedFile) Close() error {
	if err := errors.Join(f.send(), f.wait()); err != nil {
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
	f.wait() // whatever became of it
	if f.buf != nil {
		f.stage.handle.smb.buffers.Put(f.buf)
		f.buf = nil
	}
	return errors.Join(f.stage.handle.link.run(f.stage.ctx, f.file.Close), f.stage.Remove(f.key))
}

// noLimit is for what is bounded otherwise.
const noLimit = 1<<63 - 1
