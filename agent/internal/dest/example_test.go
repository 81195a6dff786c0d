package dest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
)

// One batch from begin to end, with one goroutine and one file.
func Example() {
	store, err := dest.New(memdest.New(), "memory", "wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff")
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := store.Init(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	if err := copyOne(context.Background(), store, "2026/05/01/call.gsm", []byte("a recording")); err != nil {
		fmt.Println(err)
	}
	// Output: 2026/05/01/call.gsm is complete, durable and visible; compared by readback-sha256 uncached
}

func copyOne(ctx context.Context, store *dest.Store, name string, data []byte) (err error) {
	place, err := store.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, place.Close()) }()
	if _, err := place.HashExisting(ctx, name); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is already there, or in conflict: %w", name, err)
	}
	batch, err := place.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, batch.Discard()) }()
	file, err := batch.Stage(ctx, name, desttest.Digest(data))
	if err != nil {
		return err
	}
	defer file.Drop() // does nothing after Commit
	for stream := bytes.NewReader(data[file.Offset():]); stream.Len() > 0; {
		chunk := make([]byte, 4)
		n, err := stream.Read(chunk)
		if err != nil {
			return err
		}
		if _, err := file.Write(chunk[:n]); err != nil {
			return err
		}
	}
	if err := file.Commit(); err != nil {
		return err
	}
	if err := batch.Sync(ctx); err != nil {
		return err
	}
	if err := batch.Verify(ctx); err != nil {
		return err
	}
	results, err := batch.Publish(ctx)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Err != nil {
			return r.Err
		}
		fmt.Printf("%s is complete, durable and visible; compared by %s\n", r.Name, r.Method)
	}
	return place.WriteOwn(ctx, dest.LastDelivered, []byte("the hash of the receipt\n"))
}
