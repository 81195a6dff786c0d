//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// tree is a directory of recordings.
type tree struct {
	dir       string
	files     int
	sizeBytes int64
}

// filesPerFolder is how many recordings share a folder.
const filesPerFolder = 500

// sigma is that of the log-normal sizes: the largest of some thousands is about 20 times the mean.
const sigma = 0.9

// frameBytes is the length of one frame of GSM 06.10, 20 ms of sound.
const frameBytes = 33

// makeTree writes files with log-normal sizes in whole GSM frames below dir, all of them made yesterday.
func makeTree(ctx context.Context, dir string, files, meanBytes int, seed uint64) (tree, error) {
	progress("making %d files", files)
	random := rand.New(rand.NewPCG(seed, 0))
	noise := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	t := tree{dir: dir, files: files}
	made := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
	mu := math.Log(float64(meanBytes)) - sigma*sigma/2
	var data []byte
	for i := range files {
		if ctx.Err() != nil {
			return tree{}, context.Cause(ctx)
		}
		frames := max(1, int(math.Exp(mu+sigma*random.NormFloat64()))/frameBytes)
		data = append(data[:0], make([]byte, frames*frameBytes)...)
		noise.Read(data) // never fails (math/rand/v2)
		for frame := 0; frame < len(data); frame += frameBytes {
			data[frame] = 0xd0 | data[frame]&0x0f // the magic nibble of each frame
		}
		folder := filepath.Join(dir, fmt.Sprintf("queue-%03d", i/filesPerFolder))
		if i%filesPerFolder == 0 {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				return tree{}, err
			}
		}
		if err := writeAt(filepath.Join(folder, fmt.Sprintf("call-%06d.gsm", i)), data, made); err != nil {
			return tree{}, err
		}
		t.sizeBytes += int64(len(data))
	}
	return t, nil
}

func writeAt(path string, data []byte, made time.Time) error {
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return err
	}
	return os.Chtimes(path, made, made)
}

// makeLarge writes sparse files of different sizes, each a few bytes more than sizeBytes at most, below dir, made yesterday.
func makeLarge(dir string, files int, sizeBytes int64) (tree, error) {
	progress("making %d files of %d bytes", files, sizeBytes)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return tree{}, err
	}
	made := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
	t := tree{dir: dir, files: files}
	for i := range files {
		path, size := filepath.Join(dir, fmt.Sprintf("long-call-%d.gsm", i)), sizeBytes+int64(i)
		if err := writeAt(path, nil, made); err != nil {
			return tree{}, err
		}
		if err := os.Truncate(path, size); err != nil {
			return tree{}, err
		}
		if err := os.Chtimes(path, made, made); err != nil {
			return tree{}, err
		}
		t.sizeBytes += size
	}
	return t, nil
}

// warm reads the whole tree, so that every program finds it in the cache.
func (t tree) warm() error {
	buffer := make([]byte, 1<<20)
	return t.walk(func(path string, _ fs.FileInfo) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, buffer)
		return err
	})
}

// check makes sure that dir holds as many files, and bytes, as the tree, and gives back the memory that they take in
// the cache.
func (t tree) check(dir string) error {
	found := tree{dir: dir}
	err := found.walk(func(path string, info fs.FileInfo) error {
		found.files++
		found.sizeBytes += info.Size()
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
	if err != nil {
		return err
	}
	return t.same(found)
}

// same compares what a copy holds with the tree.
func (t tree) same(found tree) error {
	if found.files != t.files || found.sizeBytes != t.sizeBytes {
		return fmt.Errorf("%s holds %d files with %d bytes, not %d with %d", found.dir, found.files, found.sizeBytes, t.files, t.sizeBytes)
	}
	return nil
}

// walk calls do for every recording: not for files whose names, or those of their folders, begin with a dot.
func (t tree) walk(do func(path string, info fs.FileInfo) error) error {
	return filepath.WalkDir(t.dir, func(path string, entry fs.DirEntry, err error) error {
		hidden := path != t.dir && entry != nil && entry.Name()[0] == '.'
		switch {
		case err != nil:
			return err
		case hidden && entry.IsDir():
			return fs.SkipDir
		case hidden || entry.IsDir():
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return do(path, info)
	})
}
