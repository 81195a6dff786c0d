//go:build linux && peers

package smbdest_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/smbdest"
	"github.com/wolkvox/backup/internal/peertest/samba"
)

// BenchmarkBatch stages, syncs, reads back and publishes files in 20 folders at Samba, several writers at once.
func BenchmarkBatch(b *testing.B) {
	for _, size := range []struct {
		name             string
		files, sizeBytes int
	}{
		{"2000x50kB", 2000, 50_000},
		{"1x512MiB", 1, 512 << 20},
	} {
		b.Run(size.name, func(b *testing.B) {
			const writers, pieceBytes = 4, 256 << 10
			data := make([]byte, size.sizeBytes)
			for i := range data {
				data[i] = byte(rand.Uint32())
			}
			want := desttest.Digest(data)
			s := samba.Start(b, samba.Options{})
			p := openPlace(b, initialised(b, smbdest.New(options(s, ""))))
			b.SetBytes(int64(size.files * size.sizeBytes))
			for round := 0; b.Loop(); round++ {
				batch, err := p.Begin(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				var group sync.WaitGroup
				for w := range writers {
					group.Go(func() {
						for i := w; i < size.files; i += writers {
							file, err := batch.Stage(b.Context(), fmt.Sprintf("night-%d/%02d/%d.gsm", round, i%20, i), want)
							for rest := data; err == nil && len(rest) > 0; {
								var n int
								n, err = file.Write(rest[:min(len(rest), pieceBytes)])
								rest = rest[n:]
							}
							if err == nil {
								err = file.Commit()
							}
							if err != nil {
								b.Error(err)
								return
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
			}
		})
	}
}
