package dest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/wolkvox/backup"
)

// Holds returns nil where open opens a regular file with this digest under the name, and [ErrConflict] where it opens another
// or none. Drivers use it to check a [Precondition].
func Holds(ctx context.Context, open func(ctx context.Context, name string) (io.ReadCloser, error), name string, known backup.Digest) error {
	r, err := open(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %q is not there to be replaced", ErrConflict, name)
	}
	if err != nil {
		return err
	}
	got, err := Sum(ctx, r)
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	if got != known {
		return fmt.Errorf("%w: %q is %v, not %v", ErrConflict, name, got, known)
	}
	return nil
}

// Fill writes exactly size bytes of r to a staged file and closes it, or discards it. Drivers use it for [Driver.Put].
func Fill(ctx context.Context, file StagedFile, r io.Reader, size int64) error {
	n, err := io.Copy(file, io.LimitReader(&contextReader{ctx: ctx, r: r}, size+1))
	if err == nil && n != size {
		err = fmt.Errorf("the stream does not have %d bytes but %d or more", size, n)
	}
	if err != nil {
		return errors.Join(err, file.Discard())
	}
	return file.Close()
}

// contextReader ends a long copy when its context ends; it lives as long as that copy.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}
