package localdest_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/localdest"
)

// BenchmarkBatch stages, syncs, reads back and publishes 1000 files of 150 kB in 20 folders, four writers at once.
func BenchmarkBatch(b *testing.B) {
	const files, sizeBytes, writers = 1000, 150_000, 4
	data := make([]byte, sizeBytes)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	want := desttest.Digest(data)
	for name, opener := range map[string]func(dir string) dest.Opener{
		"syncfs": func(dir string) dest.Opener { return localdest.New(dir) },
		"fsync":  localdest.NewWithoutSyncFS,
	} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			store, err := dest.New(opener(dir), dir, desttest.Origin)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := store.Init(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(files * sizeBytes)
			for round := 0; b.Loop(); round++ {
				place, err := store.Open(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				batch, err := place.Begin(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				var group sync.WaitGroup
				for w := range writers {
					group.Go(func() {
						for i := w; i < files; i += writers {
							file, err := batch.Stage(b.Context(), fmt.Sprintf("night-%d/%02d/%d.gsm", round, i%20, i), want)
							if err == nil {
								_, err = file.Write(data)
							}
							if err == nil {
								err = file.Commit()
							}
							if err != nil {
								b.Error(err)
							}
						}
					})
				}
				group.Wait()
				if err := batch.Sync(b.Context()); err != nil {
					b.Fatal(err)
				}
				if err := batch.Verify(b.Context()); err != nil {
					b.Fatal(err)
				}
				results, err := batch.Publish(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				for _, r := range results {
					if r.Err != nil {
						b.Error(r.Err)
					}
				}
				if err := batch.Discard(); err != nil {
					b.Error(err)
				}
				if err := place.Close(); err != nil {
					b.Error(err)
				}
			}
			b.StopTimer()
			if err := os.RemoveAll(dir); err != nil {
				b.Error(err)
			}
		})
	}
}
