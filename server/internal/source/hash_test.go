package source

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	backup "github.com/wolkvox/backup"
)

var errStop = errors.New("stop")

func contextWithCause(t *testing.T) (context.Context, context.CancelCauseFunc) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	return ctx, cancel
}

func digest(contents string) backup.Digest {
	return backup.Digest{SHA256: sha256.Sum256([]byte(contents)), SizeBytes: int64(len(contents))}
}

func TestHash(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	want := map[string]string{"empty": "", "one.txt": "x", "exact": strings.Repeat("e", readBytes), "page.dat": "<html>"}
	for i := range 60 {
		want[fmt.Sprintf("folder/%d", i)] = strings.Repeat(fmt.Sprint(i), 10000*i)
	}
	for name, contents := range want {
		write(t, root, name, contents)
	}
	tree := marked(t, root)
	found, err := tree.Scan(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, workers := range []int{0, 1, 8, 1000} {
		got := map[string]Hashed{}
		err := tree.Hash(t.Context(), found.Candidates, workers, func(h Hashed) error {
			got[h.SourcePath] = h
			return nil
		})
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d workers: %d files, %v", workers, len(got), err)
		}
		for name, contents := range want {
			if h := got[name]; h.Err != nil || h.Digest != digest(contents) {
				t.Errorf("%d workers: %q is %v, %v", workers, name, h.Digest, h.Err)
			}
		}
		for name, kind := range map[string]backup.MediaKind{
			"empty": backup.KindOther, "one.txt": backup.KindChat, "page.dat": backup.KindChat, "exact": backup.KindChat,
		} {
			if got[name].Kind != kind {
				t.Errorf("%q is %v, want %v", name, got[name].Kind, kind)
			}
		}
	}
}

func TestHashChanging(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{"same", "grown", "touched", "gone", "folder"} {
		write(t, root, name, "contents")
	}
	tree := marked(t, root)
	found, err := tree.Scan(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, root, "grown", "contents and more")
	past := time.Now().Add(-time.Hour)
	for _, err := range []error{
		os.Chtimes(filepath.Join(root, "touched"), past, past),
		os.Remove(filepath.Join(root, "gone")),
		os.Remove(filepath.Join(root, "folder")),
		os.Mkdir(filepath.Join(root, "folder"), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]error{"same": nil, "grown": ErrChanging, "touched": ErrChanging, "gone": fs.ErrNotExist, "folder": ErrNotRegular}
	err = tree.Hash(t.Context(), found.Candidates, 2, func(h Hashed) error {
		if !errors.Is(h.Err, want[h.SourcePath]) {
			t.Errorf("%q: %v, want %v", h.SourcePath, h.Err, want[h.SourcePath])
		}
		delete(want, h.SourcePath)
		return nil
	})
	if err != nil || len(want) != 0 {
		t.Errorf("Hash = %v; not called for %v", err, want)
	}
}

// TestReadWhileWritten changes a file between the first and the last look at it.
func TestReadWhileWritten(t *testing.T) {
	t.Parallel()
	for about, change := range map[string]func(path string) error{
		"grown":     func(path string) error { return os.Truncate(path, 3*readBytes+1) },
		"shortened": func(path string) error { return os.Truncate(path, 10) },
		"rewritten": func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("other")
			return errors.Join(err, f.Close(), os.Chtimes(path, time.Time{}, time.Unix(1, 0)))
		},
		"replaced": func(path string) error {
			return errors.Join(os.WriteFile(path+".new", []byte("other"), 0o644), os.Rename(path+".new", path))
		},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			path := filepath.Join(root, "call.gsm")
			write(t, root, "call.gsm", strings.Repeat("x", 3*readBytes))
			tree := marked(t, root)
			ctx := &changingContext{Context: t.Context(), change: func() {
				if err := change(path); err != nil {
					t.Error(err)
				}
			}}
			if h, err := tree.HashFile(ctx, "call.gsm"); !errors.Is(err, ErrChanging) {
				t.Errorf("HashFile = %v, %v, want ErrChanging", h, err)
			}
		})
	}
}

// changingContext calls change when it is asked for the second time, which is between two reads.
type changingContext struct {
	context.Context
	asked  int
	change func()
}

func (c *changingContext) Err() error {
	if c.asked++; c.asked == 2 {
		c.change()
	}
	return c.Context.Err()
}

func TestHashStops(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for i := range 100 {
		write(t, root, fmt.Sprint(i), "contents")
	}
	tree := marked(t, root)
	found, err := tree.Scan(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	err = tree.Hash(t.Context(), found.Candidates, 4, func(Hashed) error { calls++; return errStop })
	if !errors.Is(err, errStop) || calls > 4 {
		t.Errorf("Hash = %v after %d calls", err, calls)
	}
	ctx, cancel := contextWithCause(t)
	calls = 0
	err = tree.Hash(ctx, found.Candidates, 1, func(Hashed) error { calls++; cancel(errStop); return nil })
	if !errors.Is(err, errStop) || calls != 1 {
		t.Errorf("Hash = %v after %d calls", err, calls)
	}
}

func TestHashFile(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, "call.gsm", "contents")
	tree := marked(t, root)
	h, err := tree.HashFile(t.Context(), "call.gsm")
	if err != nil || h.Digest != digest("contents") {
		t.Errorf("HashFile = %v, %v", h, err)
	}
	if _, err := tree.HashFile(t.Context(), "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("HashFile of no file = %v", err)
	}
}

// TestHashLarge reads a file of more bytes than 32 bits count. It takes as long as hashing 4 GiB takes.
func TestHashLarge(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("hashes 4 GiB")
	}
	root := t.TempDir()
	// Holes cost no memory to read on tmpfs, which makes this several times faster.
	if memory, err := os.MkdirTemp("/dev/shm", "source"); err == nil {
		t.Cleanup(func() { os.RemoveAll(memory) })
		root = memory
	}
	const size = 4<<30 + 1
	write(t, root, "large.mp3", "")
	if err := os.Truncate(filepath.Join(root, "large.mp3"), size); err != nil {
		t.Fatal(err)
	}
	tree := marked(t, root)
	found, err := tree.Scan(t.Context(), nil)
	if err != nil || len(found.Candidates) != 1 || found.Candidates[0].SizeBytes != size {
		t.Fatalf("Scan = %v, %v", found, err)
	}
	err = tree.Hash(t.Context(), found.Candidates, 1, func(h Hashed) error {
		// head -c 4294967297 /dev/zero | sha256sum
		const want = "fbb82f7b353676bb562eb82157fcf0ea42c36492ca13ee56dbf82c08b6802c5c"
		if got := fmt.Sprintf("%x", h.Digest.SHA256); h.Err != nil || h.Digest.SizeBytes != size || got != want {
			t.Errorf("digest = %v, %v", h.Digest, h.Err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
