package s3dest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// TestContents writes in pieces of all sizes and reads back.
func TestContents(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	r := newRoom()
	for _, size := range []int64{0, 1, chunkBytes - 1, chunkBytes, chunkBytes + 1, 3*chunkBytes + 7} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		c, err := r.take(t.Context(), size)
		if err != nil {
			t.Fatal(err)
		}
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1+random.IntN(2*chunkBytes))
			if _, err := c.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if !c.full() || c.sum() != sha256.Sum256(data) {
			t.Errorf("%d bytes have another sum, or it is not full", size)
		}
		if _, err := c.Write([]byte{1}); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("a byte more than %d: %v", size, err)
		}
		if err := iotest.TestReader(io.NewSectionReader(c, 0, size), data); err != nil {
			t.Error(err)
		}
		c.leave()
	}
	if len(r.taken) != 0 {
		t.Errorf("%d chunks were not given back", len(r.taken))
	}
}

// TestRoom: who finds no room waits, until there is some or nobody wants it any more.
func TestRoom(t *testing.T) {
	t.Parallel()
	r := newRoom()
	all, err := r.take(t.Context(), roomBytes)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("nobody wants it")
	cancel(cause)
	if _, err := r.take(ctx, 1); !errors.Is(err, cause) {
		t.Errorf("take with a cancelled context = %v", err)
	}
	got := make(chan *contents)
	go func() {
		c, err := r.take(t.Context(), 5)
		if err != nil {
			t.Error(err)
		}
		got <- c
	}()
	all.leave()
	c := <-got
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Error(err)
	}
	var read bytes.Buffer
	if _, err := io.Copy(&read, io.NewSectionReader(c, 0, 5)); err != nil || read.String() != "hello" {
		t.Errorf("%q, %v", read.String(), err)
	}
	c.leave()
}
