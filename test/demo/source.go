package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/test/recordings"
)

// timeZone is the tenant's: Colombia has one offset, all year.
const (
	timeZone   = "America/Bogota"
	zoneOffset = -5 * 60 * 60
)

// What the demo makes where it is given no recordings.
const (
	madeCount       = 300
	madeNights      = 3
	madeMedianBytes = 40_000
)

// provide puts recordings into the source's directory: copies of the chosen ones, or made ones.
func (d *demo) provide(ctx context.Context, chosen string) error {
	var err error
	if d.chosen = chosen != ""; d.chosen {
		err = d.copyTree(ctx, chosen)
	} else {
		err = d.makeRecordings(time.Now())
	}
	if err != nil {
		return fmt.Errorf("provide recordings: %w", err)
	}
	err = walkFiles(d.path("source"), func(_ string, info fs.FileInfo) error {
		d.count++
		d.totalBytes += info.Size()
		return nil
	})
	if err != nil {
		return err
	}
	if d.count == 0 {
		return fmt.Errorf("provide recordings: there are no files in %s", chosen)
	}
	say("wolkvox has %d recordings, %s, in %s.", d.count, bytesText(d.totalBytes), d.path("source"))
	return nil
}

// makeRecordings makes recordings of the last nights.
func (d *demo) makeRecordings(now time.Time) error {
	year, month, day := now.In(time.FixedZone(timeZone, zoneOffset)).Date()
	midnight := time.Date(year, month, day, 0, 0, 0, 0, time.FixedZone(timeZone, zoneOffset))
	return recordings.Make(d.path("source"), recordings.Options{
		Seed: uint64(now.UnixNano()), Count: madeCount, MedianBytes: madeMedianBytes, Sigma: 0.8,
		From: midnight.AddDate(0, 0, -madeNights), Until: midnight,
	})
}

// copyTree copies the regular files below from, with their times, so that those stay as they are.
func (d *demo) copyTree(ctx context.Context, from string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		below, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		to := d.path("source", below)
		switch {
		case isOwn(from, path):
			return passOver(entry)
		case entry.IsDir():
			return os.MkdirAll(to, 0o755)
		case !entry.Type().IsRegular():
			say("%s is no regular file: left out.", path)
			return nil
		}
		return copyFile(path, to)
	})
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Chtimes(to, info.ModTime(), info.ModTime())
}

// walkFiles calls each for the regular files below dir, but not for what wolkvox keeps there for itself. What goes away
// while it looks is passed over.
func walkFiles(dir string, each func(path string, info fs.FileInfo) error) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && isOwn(dir, path) {
			return passOver(entry)
		}
		if err == nil && entry.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = entry.Info(); err == nil {
				return each(path, info)
			}
		}
		if errors.Is(err, fs.ErrNotExist) && path != dir {
			return nil
		}
		return err
	})
}

// isOwn reports whether a path is wolkvox's or the agent's own, at the top of dir.
func isOwn(dir, path string) bool {
	return filepath.Dir(path) == filepath.Clean(dir) && strings.HasPrefix(filepath.Base(path), backup.OwnPrefix)
}

func passOver(entry fs.DirEntry) error {
	if entry.IsDir() {
		return fs.SkipDir
	}
	return nil
}
