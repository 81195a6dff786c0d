package smbdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	smb2 "github.com/cloudsoda/go-smb2"
)

// bufferBytes is the length of one read or write: what a round trip brings without the other side waiting long.
const bufferBytes = 256 << 10

// reader reads what the server says is stored; whether the server reads its disk for that is not known. It is for one
// goroutine.
type reader struct {
	file    file
	buffers *sync.Pool // of *[]byte, bufferBytes long
	name    string
	sized   chan struct{} // closed when the server has said how long the file is
	size    int64         // as the server said while it was read
	sizeErr error
	at      int64
	ended   bool
}

// file is an open file of the server.
type file interface {
	// ReadAt reads until p is full, the file ends, or the server gives less than it was asked for: a nil error with fewer
	// bytes than p has does not say that the file ends there.
	ReadAt(p []byte, at int64) (n int, err error)
	Size() (int64, error)
	Close() error
}

// newReader reads from the beginning. The size is asked for meanwhile: it costs no wait.
func newReader(file file, name string, buffers *sync.Pool) *reader {
	r := &reader{file: file, name: name, buffers: buffers, sized: make(chan struct{})}
	go func() {
		defer close(r.sized)
		r.size, r.sizeErr = file.Size()
	}()
	return r
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.ended || len(p) == 0 {
		return 0, r.end()
	}
	n, err := r.file.ReadAt(p, r.at)
	r.at += int64(n)
	r.ended = n < len(p)
	if err == nil && r.ended {
		err = r.checkEnd(r.at)
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	return n, err
}

// checkEnd returns an error where the server gave no more than the bytes before at though the file has more: what came is
// then not what is stored.
func (r *reader) checkEnd(at int64) error {
	<-r.sized
	switch {
	case r.sizeErr != nil:
		return fmt.Errorf("the size of %q: %w", r.name, r.sizeErr)
	case at < r.size:
		return fmt.Errorf("the server ended %q after %d of %d bytes: %w", r.name, at, r.size, io.ErrUnexpectedEOF)
	}
	return nil
}

func (r *reader) end() error {
	if r.ended {
		return io.EOF
	}
	return nil
}

// piece is one read that is on its way, or done.
type piece struct {
	buf  *[]byte
	at   int64
	n    int
	err  error
	done chan struct{}
}

// WriteTo implements io.WriterTo: once the file turns out to be longer than one piece, several are on their way.
func (r *reader) WriteTo(w io.Writer) (written int64, err error) {
	var ahead []*piece
	next := r.at
	fetch := func() {
		p := &piece{buf: r.buffers.Get().(*[]byte), at: next, done: make(chan struct{})}
		next += bufferBytes
		ahead = append(ahead, p)
		go func() {
			defer close(p.done)
			p.n, p.err = r.file.ReadAt(*p.buf, p.at)
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
			if p.err == nil && p.n < bufferBytes {
				p.err = r.checkEnd(p.at + int64(p.n))
			}
			n, writeErr := w.Write((*p.buf)[:p.n])
			written += int64(n)
			if err = errors.Join(p.err, writeErr); err != nil {
				r.ended = true
			}
		}
		r.buffers.Put(p.buf)
	}
	return written, err
}

// Close implements io.Closer.
func (r *reader) Close() error {
	<-r.sized
	return r.file.Close()
}

// opened is a file that was opened for reading.
type opened struct {
	ctx    context.Context // of the call that opened it
	handle *handle
	file   *smb2.File
}

// ReadAt implements file.
func (o opened) ReadAt(p []byte, at int64) (n int, err error) {
	err = o.handle.do(o.ctx, func(*smb2.Share) error {
		n, err = o.file.ReadAt(p, at)
		return err
	})
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// Size implements file.
func (o opened) Size() (size int64, err error) {
	err = o.handle.do(o.ctx, func(*smb2.Share) error {
		size, err = o.file.Seek(0, io.SeekEnd)
		return err
	})
	return size, err
}

// Close implements file.
func (o opened) Close() error { return o.handle.link.run(o.ctx, o.file.Close) }
