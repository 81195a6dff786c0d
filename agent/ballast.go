package agent

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/wolkvox/backup/internal/durable"
)

// The ballast is a file on the volume of the agent's state that only takes up space. Below the reserve the agent changes
// nothing any more, but the store may still be writing what was changed before. When hardly anything is free the ballast
// is released, so that this, and a last line in a log, find room.
const (
	ballastFile     = "ballast"
	maxBallastBytes = 32 << 20
	ballastEvery    = 250 * time.Millisecond
)

// keepBallast keeps the ballast while there is room for it, and releases it when there is not, until ctx ends.
func (a *Agent) keepBallast(ctx context.Context) {
	b := ballast{path: filepath.Join(a.options.Config.StateDir, ballastFile), reserveBytes: int64(*a.options.Config.StateReserve)}
	tick := time.NewTicker(ballastEvery)
	defer tick.Stop()
	for {
		free, err := freeBytes(a.options.Config.StateDir)
		if err == nil {
			var act string
			if act, err = b.adjust(free); act != "" {
				a.options.Logger.LogAttrs(ctx, slog.LevelInfo, act, slog.Int64("free_bytes", free))
			}
		}
		if err != nil && !b.complained {
			a.options.Logger.LogAttrs(ctx, slog.LevelWarn, "ballast not adjusted", slog.Any("error", err))
		}
		b.complained = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func freeBytes(dir string) (int64, error) {
	f, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	space, err := durable.FreeSpace(f)
	return space.FreeBytes, errors.Join(err, f.Close())
}

// ballast is the file and what is known of it.
type ballast struct {
	path         string
	reserveBytes int64
	complained   bool
}

// sizeBytes returns the ballast's size.
func (b *ballast) sizeBytes() int64 { return min(b.reserveBytes/2, maxBallastBytes) }

// adjust releases the ballast below a quarter of the reserve, and makes it where it fits above one and a half, and
// returns what it did, nothing where it did nothing.
func (b *ballast) adjust(freeBytes int64) (act string, err error) {
	info, err := os.Lstat(b.path)
	there := err == nil && info.Size() == b.sizeBytes()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	switch {
	case freeBytes < b.reserveBytes/4 && err == nil:
		return "ballast released", os.Remove(b.path)
	case !there && b.sizeBytes() > 0 && freeBytes-b.sizeBytes() >= b.reserveBytes+b.reserveBytes/2:
		return "ballast made", durable.WriteBallast(b.path, b.sizeBytes())
	}
	return "", nil
}
