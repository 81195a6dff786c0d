package s3dest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
)

const (
	// roomBytes bounds what is in memory of files on their way. The collector lets it double.
	roomBytes = 16 << 20
	// chunkBytes is what memory is counted, and used again, in.
	chunkBytes = 64 << 10
)

// room is the memory for files on their way. It is safe for concurrent use.
type room struct {
	turn  chan struct{} // held by the one who takes: two could each have half of what they need
	taken chan struct{} // holds one for each chunk that is in use
	spare chan []byte   // chunks that can be used again
}

func newRoom() *room {
	const chunks = roomBytes / chunkBytes
	return &room{turn: make(chan struct{}, 1), taken: make(chan struct{}, chunks), spare: make(chan []byte, chunks)}
}

// take waits until there is room for n bytes, at most roomBytes, and returns it empty.
func (r *room) take(ctx context.Context, n int64) (*contents, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	c := &contents{room: r, limit: n}
	for int64(len(c.chunks))*chunkBytes < max(n, 1) {
		select {
		case r.taken <- struct{}{}:
			c.chunks = append(c.chunks, r.chunk())
		case <-ctx.Done():
			c.leave()
			return nil, context.Cause(ctx)
		}
	}
	return c, nil
}

func (r *room) chunk() []byte {
	select {
	case chunk := <-r.spare:
		return chunk
	default:
		return make([]byte, chunkBytes)
	}
}

// empty gives spare memory back to the system's collector.
func (r *room) empty() {
	for {
		select {
		case <-r.spare:
		default:
			return
		}
	}
}

// contents are some bytes of a file. Writing is for one goroutine, reading what was written for many.
type contents struct {
	room   *room
	chunks [][]byte
	limit  int64
	size   int64
}

// leave gives the memory back; the contents are not used afterwards.
func (c *contents) leave() {
	for _, chunk := range c.chunks {
		select {
		case c.room.spare <- chunk:
		default:
		}
		<-c.room.taken
	}
	c.chunks = nil
}

func (c *contents) full() bool { return c.size == c.limit }

// Write appends p, or as much of it as there is room for, which is an error.
func (c *contents) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if c.full() {
			return n, fmt.Errorf("there is room for %d bytes: %w", c.limit, io.ErrShortWrite)
		}
		chunk := c.chunks[c.size/chunkBytes][c.size%chunkBytes:]
		copied := copy(chunk[:min(int64(len(chunk)), c.limit-c.size)], p)
		p, n, c.size = p[copied:], n+copied, c.size+int64(copied)
	}
	return n, nil
}

// ReadAt implements io.ReaderAt.
func (c *contents) ReadAt(p []byte, off int64) (n int, err error) {
	for len(p) > 0 && off < c.size {
		at := off % chunkBytes
		copied := copy(p, c.chunks[off/chunkBytes][at:min(chunkBytes, at+c.size-off)])
		p, n, off = p[copied:], n+copied, off+int64(copied)
	}
	if len(p) > 0 {
		return n, io.EOF
	}
	return n, nil
}

// sum returns the SHA-256 of what was written.
func (c *contents) sum() (sum [sha256.Size]byte) {
	h := sha256.New()
	for i, chunk := range c.chunks {
		h.Write(chunk[:min(max(c.size-int64(i)*chunkBytes, 0), chunkBytes)])
	}
	h.Sum(sum[:0])
	return sum
}
