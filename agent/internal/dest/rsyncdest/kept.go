package rsyncdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// maxOwnBytes bounds an own file: heads and markers have a few hundred bytes.
const maxOwnBytes = 64 << 10

// maxSize is the option that keeps what is too large for an own file from being sent.
func maxSize() string { return "--max-size=" + strconv.Itoa(maxOwnBytes) }

// keptFor bounds how long what was read counts.
const keptFor = 5 * time.Second

// kept is what a handle has read of the own files that [dest.OwnFiles] names. One process reads all of them, and what it
// brought counts for those who ask for the files one after the other: until anything else is done through the handle, an own
// file is written through any handle of this process, or keptFor has passed. The first of them is the marker, and counts once:
// who asks for it again wants to know what is there now.
type kept struct {
	acts atomic.Int64 // processes of the handle that did something else

	mu     sync.Mutex        // held while the files are read
	files  map[string][]byte // without those that are truly absent; nil where nothing is known
	stamp  stamp             // of when they were there
	marked bool              // the marker was asked for since
}

// stamp tells whether anything was done since.
type stamp struct {
	acts, writes int64
	at           time.Time
}

func (h *handle) stamp(at time.Time) stamp {
	return stamp{h.kept.acts.Load(), h.rsync.writes.Load(), at}
}

// counts reports whether what the handle has read of an own file counts; h.kept.mu is held.
func (h *handle) counts(name string) bool {
	k := &h.kept
	now := h.stamp(time.Now())
	age := now.at.Sub(k.stamp.at)
	now.at = k.stamp.at
	return k.files != nil && now == k.stamp && age < keptFor && !(k.marked && name == dest.OwnFiles()[0])
}

// ReadOwn implements dest.Keeper.
func (h *handle) ReadOwn(ctx context.Context, name string) ([]byte, error) {
	if !slices.Contains(dest.OwnFiles(), name) {
		return h.readOne(ctx, name)
	}
	h.kept.mu.Lock()
	defer h.kept.mu.Unlock()
	if !h.counts(name) {
		if known, err := h.readKeptLocked(ctx); err != nil {
			return nil, err
		} else if !known {
			return h.readOne(ctx, name)
		}
	}
	if name == dest.OwnFiles()[0] {
		h.kept.marked = true
	}
	data, ok := h.kept.files[name]
	if !ok {
		return nil, fmt.Errorf("%q: %w", ownDir+name, fs.ErrNotExist)
	}
	return slices.Clone(data), nil
}

// readKept reads the own files by one process. Known says that it brought all that are there, and that the others are truly
// absent; otherwise nothing is known, and they have to be looked at one by one.
func (h *handle) readKept(ctx context.Context) (known bool, err error) {
	h.kept.mu.Lock()
	defer h.kept.mu.Unlock()
	return h.readKeptLocked(ctx)
}

// readKeptLocked is readKept with h.kept.mu held. What was not brought is absent only where the process did all that it was asked
// for, passed over nothing, and found the folder that the files are in.
func (h *handle) readKeptLocked(ctx context.Context) (known bool, err error) {
	k := &h.kept
	k.files, k.marked = nil, false
	began := h.stamp(time.Now())
	names := []string{backup.OwnPrefix}
	for _, name := range dest.OwnFiles() {
		names = append(names, ownDir+name)
	}
	passedOver := false
	dir, failed, err := h.pullCall(ctx, call{
		args:  []string{maxSize(), "--info=skip1"}, // it says what it passes over
		names: names,
		own:   true,
		line:  func(string) { passedOver = true },
	})
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	if failed != nil && !failed.partial() {
		return false, failed.explain()
	}
	if failed != nil || passedOver {
		return false, nil
	}
	if info, err := os.Lstat(h.pulledFile(dir, backup.OwnPrefix)); err != nil || !info.IsDir() {
		return false, nil
	}
	files := make(map[string][]byte)
	for _, name := range dest.OwnFiles() {
		data, err := os.ReadFile(h.pulledFile(dir, ownDir+name))
		if err == nil {
			files[name] = data
		} else if !errors.Is(err, fs.ErrNotExist) {
			return false, spoolError(err)
		}
	}
	k.files, k.stamp = files, began
	return true, nil
}

// readOne reads one own file.
func (h *handle) readOne(ctx context.Context, name string) ([]byte, error) {
	f, dir, err := h.fetch(ctx, ownDir+name, maxSize())
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close(), os.RemoveAll(dir)); err != nil {
		return nil, spoolError(err)
	}
	return data, nil
}

// WriteOwn implements dest.Keeper.
func (h *handle) WriteOwn(ctx context.Context, name string, data []byte) error {
	h.rsync.writes.Add(1)
	defer h.rsync.writes.Add(1)
	return h.pushOwn(ctx, map[string][]byte{name: data})
}

// RemoveOwn implements dest.Keeper.
func (h *handle) RemoveOwn(ctx context.Context, name string) error {
	h.rsync.writes.Add(1)
	defer h.rsync.writes.Add(1)
	found, err := h.look(ctx, []string{ownDir + name})
	switch {
	case err != nil:
		return err
	case errors.Is(found[0].err, fs.ErrNotExist):
		return nil
	case found[0].err != nil:
		return found[0].err
	}
	return h.remove(ctx, ownDir+name)
}
