package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// TestReadAhead reads from everywhere at once, and sees no more blocks fetched at once, or over again, than was said.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	contents := make([]byte, 10_007)
	for i := range contents {
		contents[i] = byte(rand.Uint32())
	}
	var fetched atomic.Int64
	f := ReadAhead(t.Context(), AheadOptions{
		SizeBytes: int64(len(contents)), BlockBytes: 100, Depth: 4,
		Fetch: func(_ context.Context, block []byte, off int64) (int, error) {
			fetched.Add(1)
			return bytes.NewReader(contents).ReadAt(block, off)
		},
		Close: func() error { return nil },
	})
	defer f.Close()
	if got, err := io.ReadAll(io.NewSectionReader(f, 33, 1<<20)); err != nil || !bytes.Equal(got, contents[33:]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if n := fetched.Load(); n != 101 {
		t.Errorf("%d blocks fetched, want each of 101 once", n)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				off := rand.IntN(len(contents))
				p := make([]byte, rand.IntN(500))
				n, err := f.ReadAt(p, int64(off))
				want := contents[off:min(off+len(p), len(contents))]
				if !bytes.Equal(p[:n], want) || (err == io.EOF) != (n < len(p)) || err != nil && err != io.EOF {
					t.Errorf("%d bytes from %d: %d, %v", len(p), off, n, err)
				}
			}
		})
	}
	group.Wait()
}

func TestReadAheadFails(t *testing.T) {
	t.Parallel()
	errFetch := errors.New("fetch")
	for about, c := range map[string]struct {
		n         int
		err, want error
	}{
		"error":        {0, errFetch, errFetch},
		"in the midst": {5, errFetch, errFetch},
		"too short":    {5, io.EOF, ErrChanging},
	} {
		f := ReadAhead(t.Context(), AheadOptions{
			SizeBytes: 10, BlockBytes: 100, Fetch: func(context.Context, []byte, int64) (int, error) { return c.n, c.err },
			Close: func() error { return nil },
		})
		if _, err := f.ReadAt(make([]byte, 10), 0); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", about, err, c.want)
		}
		f.Close()
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	f := ReadAhead(ctx, AheadOptions{
		SizeBytes: 10, BlockBytes: 100, Depth: 2, Close: func() error { return nil },
		Fetch: func(ctx context.Context, _ []byte, _ int64) (int, error) { <-ctx.Done(); return 0, ctx.Err() },
	})
	cancel(errFetch)
	if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, errFetch) && !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
