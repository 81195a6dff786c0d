package smbdest

import (
	"context"
	"errors"
	"io"

	smb2 "github.com/cloudsoda/go-smb2"
)

// bufferBytes is the length of one read or write: what a round trip brings without the other side waiting long.
const bufferBytes = 256 << 10

// reader reads what the server says is stored; whether the server reads its disk for that is not known. It is for one
// goroutine.
type reader struct {
	ctx    context.Context // of the call that opened it
	handle *handle
	file   *smb2.File
	at     int64
	ended  bool
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.ended || len(p) == 0 {
		return 0, r.end()
	}
	n, err := r.readAt(p, r.at)
	r.at += int64(n)
	r.ended = n < len(p)
	if err == nil && n == 0 {
		err = io.EOF
	}
	return n, err
}

func (r *reader) end() error {
	if r.ended {
		return io.EOF
	}
	return nil
}

// readAt reads until p is full or the file ends.
func (r *reader) readAt(p []byte, at int64) (n int, err error) {
	err = r.handle.do(r.ctx, func(*smb2.Share) error {
		n, err = r.file.ReadAt(p, at)
		return err
	})
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// WriteTo implements io.WriterTo: while one piece is written, the next one is on its way.
func (r *reader) WriteTo(w io.Writer) (written int64, err error) {
	type piece struct {
		buf *[]byte
		n   int
		err error
	}
	pieces := make(chan piece, 1)
	fetch := func(at int64) {
		p := piece{buf: r.handle.smb.buffers.Get().(*[]byte)}
		p.n, p.err = r.readAt(*p.buf, at)
		pieces <- p
	}
	if r.ended {
		return 0, nil
	}
	go fetch(r.at)
	for {
		p := <-pieces
		r.at += int64(p.n)
		r.ended = p.err != nil || p.n < len(*p.buf)
		if !r.ended {
			go fetch(r.at)
		}
		n, err := w.Write((*p.buf)[:p.n])
		written += int64(n)
		r.handle.smb.buffers.Put(p.buf)
		if err != nil && !r.ended {
			r.ended = true
			r.handle.smb.buffers.Put((<-pieces).buf)
		}
		if err := errors.Join(p.err, err); err != nil || r.ended {
			return written, err
		}
	}
}

// Close implements io.Closer.
func (r *reader) Close() error {
	return r.handle.link.run(r.ctx, r.file.Close)
}
