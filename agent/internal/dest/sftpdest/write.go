package sftpdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/pkg/sftp"
)

// stagedFile is a file being written. Chunks are on their way while the next ones come; one that fails may leave a hole,
// and the file is then unknown.
type stagedFile struct {
	stage *stage
	ctx   context.Context // of Create: writing belongs to that call; without its end from Close on. Set with mu held
	key   string
	file  *sftp.File

	chunk  []byte // what is not on its way yet
	offset int64  // where chunk begins
	onWay  sync.WaitGroup

	mu  sync.Mutex
	err error // the first of a chunk
}

func (s *stage) create(ctx context.Context, key string) (*stagedFile, error) {
	f := &stagedFile{stage: s, ctx: ctx, key: key, chunk: make([]byte, 0, chunkBytes)}
	name, h := s.path+"/"+key, s.handle
	if s.made.Add(1) == manyFiles {
		h.widen(ctx)
	}
	err := h.do(ctx, "create", name, func() (err error) {
		f.file, err = h.forFile().OpenFile(h.abs(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL)
		return err
	})
	if err != nil {
		return nil, h.vanished(h.withEvidence(ctx, err, 0))
	}
	return f, nil
}

// Write implements io.Writer. What it returns as written was taken, not acknowledged.
func (f *stagedFile) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if err := f.failed(); err != nil {
			return n, err
		}
		m := min(len(p), chunkBytes-len(f.chunk))
		f.chunk = append(f.chunk, p[:m]...)
		p = p[m:]
		n += m
		if len(f.chunk) == chunkBytes {
			f.send()
		}
	}
	return n, nil
}

// send puts the chunk on its way.
func (f *stagedFile) send() {
	if len(f.chunk) == 0 {
		return
	}
	h := f.stage.handle
	select {
	case h.slots <- struct{}{}:
	default:
		end := h.begin(f.ctx)
		h.slots <- struct{}{} // comes: when the connection ends, all that is on its way fails
		end()
	}
	chunk, offset := f.chunk, f.offset
	f.onWay.Go(func() {
		end := h.line.begin()
		_, err := f.file.WriteAt(chunk, offset)
		end()
		<-h.slots
		if err != nil {
			f.fail(err, int64(len(chunk)))
		}
		h.sftp.chunks.Put(&chunk)
	})
	f.offset += int64(len(chunk))
	f.chunk = (*h.sftp.chunks.Get().(*[]byte))[:0]
}

// fail keeps the first error, and looks behind it once.
func (f *stagedFile) fail(err error, need int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		h := f.stage.handle
		f.err = h.withEvidence(f.ctx, h.explain(f.ctx, "write "+f.key, err), need)
	}
}

func (f *stagedFile) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// wait waits until nothing is on its way.
func (f *stagedFile) wait() error {
	end := f.stage.handle.begin(f.ctx)
	f.onWay.Wait()
	end()
	return f.failed()
}

// Close implements dest.StagedFile. The last of the file is on its way then, and making it durable begins when that was
// acknowledged, beside others; [stage.Sync] waits for it, and says what became of it. The next file need not wait.
func (f *stagedFile) Close() error {
	f.send()
	if err := f.failed(); err != nil {
		return errors.Join(f.wait(), f.closeFile())
	}
	f.mu.Lock()
	f.ctx = context.WithoutCancel(f.ctx)
	f.mu.Unlock()
	f.stage.sizes.Store(f.key, f.offset)
	f.stage.mu.Lock()
	defer f.stage.mu.Unlock()
	f.stage.flush.Go(func() error {
		h := f.stage.handle
		f.onWay.Wait()
		err := f.failed()
		if err == nil && h.has(extFsync) {
			end := h.line.begin()
			err = f.file.Sync()
			end()
			if err != nil {
				err = h.explain(context.Background(), "make durable "+f.key, err)
				err = h.withEvidence(context.Background(), err, 0)
			}
		}
		return errors.Join(err, f.closeFile())
	})
	return nil
}

func (f *stagedFile) closeFile() error {
	h := f.stage.handle
	end := h.line.begin()
	err := f.file.Close()
	end()
	if err != nil {
		return h.explain(context.Background(), "close "+f.key, err)
	}
	return nil
}

// Discard implements dest.StagedFile.
func (f *stagedFile) Discard() error {
	h := f.stage.handle
	end := h.begin(f.ctx)
	defer end()
	f.onWay.Wait()
	return errors.Join(f.closeFile(), f.stage.Remove(f.key))
}

// copyIn stages exactly size bytes of r.
func (s *stage) copyIn(ctx context.Context, key string, r io.Reader, size int64) error {
	f, err := s.create(ctx, key)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(r, size+1))
	if err == nil && n != size {
		err = fmt.Errorf("the stream does not have %d bytes but %d or more", size, n)
	}
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return errors.Join(err, f.Discard())
	}
	return f.Close()
}
