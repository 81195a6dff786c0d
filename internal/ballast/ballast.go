// Package ballast keeps a file on the volume of a program's state that only takes up space. Below its reserve the program
// changes nothing any more, but its databases may still be writing what was changed before, through memory maps, and a
// volume without a byte left ends a process there (mmap(2): SIGBUS). When hardly anything is free the ballast is released,
// so that this, and a last line in a log, find room.
//
// It does not decide when the program stops changing things, and it cannot help where another program takes the ballast's
// space too.
package ballast

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

const (
	name     = "ballast"
	maxBytes = 32 << 20
	every    = 50 * time.Millisecond
)

// Keep keeps the ballast in dir while there is room for it, and releases it when there is not, until ctx ends.
// reserveBytes is below what the program changes nothing: the ballast is half of it, at most 32 MiB.
func Keep(ctx context.Context, dir string, reserveBytes int64, logger *slog.Logger) {
	b := ballast{path: filepath.Join(dir, name), reserveBytes: reserveBytes}
	tick := time.NewTicker(every)
	defer tick.Stop()
	complained := false
	for {
		free, err := durable.FreeBytes(dir)
		if err == nil {
			var act string
			if act, err = b.adjust(free); act != "" {
				logger.LogAttrs(ctx, slog.LevelInfo, act, slog.Int64("free_bytes", free))
			}
		}
		if err != nil && !complained {
			logger.LogAttrs(ctx, slog.LevelWarn, "ballast not adjusted", slog.Any("error", err))
		}
		complained = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

type ballast struct {
	path         string
	reserveBytes int64
}

func (b *ballast) sizeBytes() int64 { return min(b.reserveBytes/2, maxBytes) }

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
