//go:build peers

package rsyncdest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/rsyncdest"
	"github.com/wolkvox/backup/internal/peertest/rsyncd"
)

// BenchmarkBatch copies 2000 files of 50 kB to a daemon: by the driver, which stages, reads back, publishes and compares; and by
// rsync -a, without and with --fsync, which does none of that.
func BenchmarkBatch(b *testing.B) {
	const files, sizeBytes = 2000, 50_000
	data := random(sizeBytes)
	name := func(round, i int) string { return fmt.Sprintf("night-%d/%02d/%d.gsm", round, i%20, i) }
	b.Run("driver", func(b *testing.B) {
		s := rsyncd.Start(b, rsyncd.Options{Open: true})
		store, err := dest.New(rsyncdest.New(rsyncdest.Options{Address: s.Address, Module: s.Module, Spool: b.TempDir()}), "bench", desttest.Origin)
		if err == nil {
			_, err = store.Init(b.Context())
		}
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(files * sizeBytes)
		for round := 0; b.Loop(); round++ {
			place, err := store.Open(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			all := make(map[string][]byte, files)
			for i := range files {
				all[name(round, i)] = data
			}
			results, err := publish(b, place, all)
			if err != nil || len(results) != files {
				b.Fatalf("%d results, %v", len(results), err)
			}
			for _, r := range results {
				if r.Err != nil {
					b.Error(r.Err)
				}
			}
			place.Close()
		}
	})
	for _, options := range [][]string{{"-a"}, {"-a", "--fsync"}} {
		b.Run("rsync "+strings.Join(options, " "), func(b *testing.B) {
			s := rsyncd.Start(b, rsyncd.Options{Open: true})
			from := b.TempDir()
			for i := range files {
				path := filepath.Join(from, name(0, i))
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					b.Fatal(err)
				}
				if err := os.WriteFile(path, data, 0o644); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(files * sizeBytes)
			for round := 0; b.Loop(); round++ {
				to := fmt.Sprintf("rsync://%s/%s/%d/", s.Address, s.Module, round)
				if out, err := exec.CommandContext(b.Context(), "rsync", append(options[:len(options):len(options)], from+"/", to)...).CombinedOutput(); err != nil {
					b.Fatalf("%v: %s", err, out)
				}
			}
		})
	}
}
