package rsyncdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// maxSize is the option that keeps what is too large for an own file from being sent.
func maxSize() string { return "--max-size=" + strconv.Itoa(dest.MaxOwnBytes) }

// keptFor bounds how long what was read counts.
const keptFor = 5 * time.Second

// kept is what a handle has read of the own files that [dest.OwnFiles] names. One process reads all of them, and what it
// brought counts for those who ask for the files one after the other: until anything else is done through the handle, an own
// file is written through any handle of this process, or keptFor has passed. The marker, the first of them, counts once, for who
// opened the handle: whoever asks for it later wants to know what is there now.
type kept struct {
	acts atomic.Int64 // processes of the handle after which it does not count any more

	mu     sync.Mutex        // held while the files are read
	files  map[string][]byte // without those that are truly absent; nil where nothing is known
	stamp  stamp             // of when they were there
	marked bool              // the marker does not count any more
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
		h.kept.marked = true
	}
	h.kept.marked = h.kept.marked || name == dest.OwnFiles()[0]
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
		keeps: true,
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
		path := h.pulledFile(dir, ownDir+name)
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err == nil && !info.Mode().IsRegular():
			return false, nil
		case err == nil:
			files[name], err = os.ReadFile(path)
		}
		if err != nil {
			return false, spoolError(err)
		}
	}
	k.files, k.stamp = files, began
	return true, nil
}

// laid is what of the own files lies in a tree to be compared.
type laid struct {
	names []string // of all of them, also of those that are absent; none where nothing is known
	files map[string][]byte
	stamp stamp
	at    time.Time
}

// layKept lays what the handle has read of the own files into a tree that is compared with the place: where they are found there
// as they were, that is as good as reading them again.
func (h *handle) layKept(tree string) (laid, error) {
	h.kept.mu.Lock()
	l := laid{files: h.kept.files, stamp: h.kept.stamp, at: time.Now()}
	h.kept.mu.Unlock()
	if l.files == nil || l.stamp.writes != h.rsync.writes.Load() {
		return laid{}, nil
	}
	for _, name := range dest.OwnFiles() {
		l.names = append(l.names, ownDir+name)
		if err := writeSpool(filepath.Join(tree, filepath.FromSlash(ownDir+name)), l.files[name]); err != nil {
			return laid{}, err
		}
	}
	return l, nil
}

// renewKept has what was read of the own files count from when it was laid, if the comparison told that they are as they were.
func (h *handle) renewKept(l laid, told map[string]outcome) {
	k := &h.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.names == nil || k.stamp != l.stamp {
		return
	}
	for _, name := range dest.OwnFiles() {
		want := isAbsent
		if _, ok := l.files[name]; ok {
			want = isEqual
		}
		if told[ownDir+name] != want {
			k.files = nil
			return
		}
	}
	k.stamp.acts, k.stamp.at = k.acts.Load(), l.at
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
