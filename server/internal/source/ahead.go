package source

import (
	"context"
	"io"
	"sync"
)

// Ahead reads a file of a distant source in blocks, some of them before they are asked for. It is a [File]: whoever reads
// from some offset to the end waits for the line once, not once for every read.
type Ahead struct {
	fetch      func(ctx context.Context, block []byte, off int64) (int, error)
	sizeBytes  int64
	blockBytes int64
	depth      int64
	close      func() error

	ctx    context.Context // of the file: its end is that of all reads
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu     sync.Mutex
	blocks map[int64]*block // by number
}

// block is a part of the file. Whoever closes ready has set the others.
type block struct {
	ready chan struct{}
	data  []byte // shorter than it should be where the file has ended
	err   error
}

// AheadOptions say how a file is read ahead.
type AheadOptions struct {
	SizeBytes  int64 // of the file
	BlockBytes int64 // of all blocks but the last
	Depth      int   // how many blocks are read at once, at least one; no more than two more are held

	// Fetch fills block from an offset of the file. As [io.ReaderAt] it returns an error where it fills less. It may be called
	// concurrently. After an error it may go on using the block: nobody else does.
	Fetch func(ctx context.Context, block []byte, off int64) (int, error)
	// Close is called at the end, when nothing is being fetched any more.
	Close func() error
}

// ReadAhead returns a file that is read ahead. Nothing is fetched before it is first read, and nothing any more when ctx
// has ended.
func ReadAhead(ctx context.Context, o AheadOptions) *Ahead {
	a := &Ahead{fetch: o.Fetch, sizeBytes: o.SizeBytes, blockBytes: o.BlockBytes, depth: int64(max(o.Depth, 1)), close: o.Close, blocks: map[int64]*block{}}
	a.ctx, a.cancel = context.WithCancel(ctx)
	return a
}

// ReadAt implements [io.ReaderAt].
func (a *Ahead) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		at := off + int64(n)
		if at >= a.sizeBytes {
			return n, io.EOF
		}
		number := at / a.blockBytes
		b := a.block(number)
		select {
		case <-b.ready:
		case <-a.ctx.Done():
			return n, context.Cause(a.ctx)
		}
		within := at - number*a.blockBytes
		if within < int64(len(b.data)) {
			n += copy(p[n:], b.data[within:])
			continue
		}
		if b.err != nil {
			return n, b.err
		}
		return n, ErrChanging // it is shorter than it was
	}
	return n, nil
}

// block returns a block, has those after it fetched, and lets go of those that are far from it.
func (a *Ahead) block(number int64) *block {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n := range a.blocks {
		if n < number-1 || n > number+a.depth {
			delete(a.blocks, n)
		}
	}
	for n := number; n < number+a.depth && n*a.blockBytes < a.sizeBytes; n++ {
		if a.blocks[n] == nil {
			a.blocks[n] = a.begin(n * a.blockBytes)
		}
	}
	return a.blocks[number]
}

// begin fetches the block at an offset. a.mu is held.
func (a *Ahead) begin(off int64) *block {
	b := &block{ready: make(chan struct{})}
	a.group.Go(func() {
		defer close(b.ready)
		data := make([]byte, min(a.blockBytes, a.sizeBytes-off))
		n, err := a.fetch(a.ctx, data, off)
		if n == len(data) || err == nil || err == io.EOF {
			b.data = data[:n]
		} else {
			b.err = err
		}
	})
	return b
}

// Close implements [io.Closer]. It must not be called before all reads have returned.
func (a *Ahead) Close() error {
	a.cancel()
	a.group.Wait()
	return a.close()
}
