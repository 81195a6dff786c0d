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

// piece is one read that is on its way, or done.
type piece struct {
	buf  *[]byte
	n    int
	err  error
	done chan struct{}
}

// WriteTo implements io.WriterTo: once the file turns out to be longer than one piece, several are on their way.
func (r *reader) WriteTo(w io.Writer) (written int64, err error) {
	var ahead []*piece
	next := r.at
	fetch := func() {
		p := &piece{buf: r.handle.smb.buffers.Get().(*[]byte), done: make(chan struct{})}
		at := next
		next += bufferBytes
		ahead = append(ahead, p)
		go func() {
			defer close(p.done)
			p.n, p.err = r.readAt(*p.buf, at)
		}()
	}
	if !r.ended {
		fetch()
	}
	for len(ahead) > 0 {
		p := ahead[0]
		ahead = ahead[1:]
		<-p.done
		if !r.ended { // else it began behind the end, or it is of no use any more
			r.ended = p.err != nil || p.n < bufferBytes
			for !r.ended && len(ahead) < piecesAtOnce {
				fetch()
			}
			n, writeErr := w.Write((*p.buf)[:p.n])
			written += int64(n)
			if err = errors.Join(p.err, writeErr); err != nil {
				r.ended = true
			}
		}
		r.handle.smb.buffers.Put(p.buf)
	}
	return written, err
}

// Close implements io.Closer.
func (r *reader) Close() error {
	return r.handle.link.run(r.ctx, r.file.Close)
}
