package sftpdest

import (
	"context"
	"io"

	"github.com/pkg/sftp"
)

// readsAtOnce bounds the chunks of one file that are asked for ahead.
const readsAtOnce = 64

// reader reads a file of the server from its beginning, asking ahead. It is for one goroutine.
type reader struct {
	handle *handle
	ctx    context.Context // of Open: reading belongs to that call
	file   *sftp.File
	name   string

	size  int64 // as it was seen; what is there is read to its end all the same
	next  int64 // where the next chunk begins
	tail  bool  // what follows size was asked for
	ahead []*chunk
	rest  []byte // of the chunk that is being handed out
	out   *chunk // that one; nil before the first
	err   error  // what comes after rest
}

// chunk is a part of a file on its way.
type chunk struct {
	data []byte // what was asked for; of the pool
	n    int    // how much came
	err  error
	came chan struct{}
}

// read opens a file for reading that has about size bytes.
func (h *handle) read(ctx context.Context, name string, size int64) (*reader, error) {
	r := &reader{handle: h, ctx: ctx, name: name, size: size}
	err := h.do(ctx, "open", name, func() (err error) { r.file, err = h.forFile().Open(h.abs(name)); return err })
	if err != nil {
		return nil, err
	}
	r.ask()
	return r, nil
}

// PassesCache implements dest.CachePasser: nothing is read from a cache of this machine, but nothing is known of the
// server's, and what counts is whether the disk was read.
func (r *reader) PassesCache() bool { return false }

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if err := r.fill(); err != nil {
		return 0, err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// WriteTo implements io.WriterTo: it spares io.Copy a buffer.
func (r *reader) WriteTo(w io.Writer) (written int64, err error) {
	for {
		switch err := r.fill(); err {
		case nil:
		case io.EOF:
			return written, nil
		default:
			return written, err
		}
		n, err := w.Write(r.rest)
		r.rest = r.rest[n:]
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
}

// Close gives the handle back, in the background.
func (r *reader) Close() error {
	if r.file == nil {
		return nil
	}
	file := r.file
	r.release()
	r.file, r.ahead, r.rest, r.err = nil, nil, nil, io.ErrClosedPipe
	r.handle.closing.Go(func() {
		defer r.handle.line.begin()()
		file.Close() // waits for what was asked for; of a file that was read, it says nothing that counts
	})
	return nil
}

// release gives back what was handed out whole.
func (r *reader) release() {
	if r.out != nil {
		r.handle.sftp.chunks.Put(&r.out.data)
		r.out = nil
	}
}

// fill waits until rest has bytes, or returns why there are no more.
func (r *reader) fill() error {
	for len(r.rest) == 0 {
		if r.err != nil {
			return r.err
		}
		c := r.ahead[0]
		select {
		case <-c.came:
		default:
			end := r.handle.begin(r.ctx)
			<-c.came
			end()
		}
		r.ahead = r.ahead[1:]
		r.release()
		r.out, r.rest = c, c.data[:c.n]
		switch {
		case c.err == io.EOF: // the answer, not the end of the connection; see status
			r.err = io.EOF
		case c.err != nil:
			r.err = r.handle.explain(r.ctx, "read "+r.name, c.err)
		default:
			if r.tail && len(r.ahead) == 0 { // it has grown
				r.size, r.tail = r.next, false
			}
			r.ask()
		}
	}
	return nil
}

// ask asks for as much as may be on its way.
func (r *reader) ask() {
	for len(r.ahead) < readsAtOnce && !r.tail {
		length := min(chunkBytes, r.size-r.next)
		if length <= 0 {
			length, r.tail = chunkBytes, true
		}
		c := &chunk{data: (*r.handle.sftp.chunks.Get().(*[]byte))[:length], came: make(chan struct{})}
		file, offset := r.file, r.next
		r.handle.closing.Go(func() {
			defer close(c.came)
			defer r.handle.line.begin()()
			c.n, c.err = file.ReadAt(c.data, offset)
		})
		r.ahead = append(r.ahead, c)
		r.next += length
	}
}
