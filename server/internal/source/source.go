// Package source reads the directory trees in which wolkvox keeps recordings: it proves that a tree is there,
// finds its files, tells which of them are finished, hashes them, and opens them to be served. It changes
// nothing in a tree but the marker that [Mark] writes, keeps nothing between calls but what [Looks] remembers,
// and decides nothing about manifests, nights that were sealed or withdrawals.
//
// Unreachable is not missing: whatever this package says about a tree (these are its files, this file is absent)
// it says only after the [Proof] was seen again. A tree that cannot be proved yields [ErrUnreachable].
//
// Source paths are relative, joined by "/", and of any bytes.
package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

var (
	// ErrUnreachable says that the tree could not be proved to be the one that was added. Nothing is known
	// about its files. An error that wraps it never wraps [fs.ErrNotExist].
	ErrUnreachable = errors.New("the source is not reachable")

	// ErrUnreadable says that a file of a proved tree is there, as far as can be told, but cannot be read.
	ErrUnreadable = errors.New("the file cannot be read")

	// ErrNotRegular says that a folder, symbolic link, FIFO, socket or device stands where a file is wanted.
	ErrNotRegular = errors.New("it is not a regular file")

	// ErrChanging says that a file changed between two looks or while it was read: it is still being written.
	ErrChanging = errors.New("the file is still being written")
)

// Tree is a source opened for one piece of work, a scan or a batch of files. It holds a handle of the root
// folder, which keeps its volume from being unmounted: close it soon. Its methods may be called concurrently.
type Tree struct {
	path  string
	proof Proof
	root  *os.Root
}

// Open opens the tree at the absolute path and checks its proof. The error wraps [ErrUnreachable] where the
// folder cannot be opened or is not the one that was added.
func Open(path string, proof Proof) (*Tree, error) {
	if err := proof.validate(); err != nil {
		return nil, fmt.Errorf("open source %q: %w", path, err)
	}
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("open source %q: the path is not absolute", path)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, unreachable(path, bare(err))
	}
	tree := &Tree{path: path, proof: proof, root: root}
	if err := tree.Check(); err != nil {
		root.Close()
		return nil, err
	}
	return tree, nil
}

// Close releases the handle of the root folder.
func (t *Tree) Close() error { return t.root.Close() }

// Check proves that the tree is still the one that was added, and still the one that its path leads to. The
// error wraps [ErrUnreachable] and is meant for people.
func (t *Tree) Check() error {
	if err := t.proof.check(t.root); err != nil {
		return unreachable(t.path, err)
	}
	held, err := t.root.Stat(".")
	if err != nil {
		return unreachable(t.path, bare(err))
	}
	now, err := os.Stat(t.path)
	if err != nil {
		return unreachable(t.path, bare(err))
	}
	if !os.SameFile(held, now) {
		return unreachable(t.path, errors.New("something else was mounted there, or it was unmounted"))
	}
	return nil
}

// Open opens a file of the tree for reading and says what it looks like now, to be compared with what it looked
// like when it was sealed. It follows no symbolic link at the file's name and none that leads out of the tree,
// and does not wait for a FIFO. The error wraps one of
//
//   - [fs.ErrNotExist]: the tree was proved, and the file is not in it;
//   - [ErrNotRegular]: the tree was proved, and something else stands there;
//   - [ErrUnreadable]: the tree was proved, and the file is refused or damaged;
//   - [ErrUnreachable]: the tree could not be proved.
func (t *Tree) Open(ctx context.Context, sourcePath string) (*os.File, Identity, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, Identity{}, err
	}
	f, info, err := openRegular(t.root, sourcePath)
	if err != nil {
		return nil, Identity{}, t.proved(sourcePath, err)
	}
	return f, identify(info), nil
}

// proved turns what went wrong with a file into what may be said about it, after checking the proof.
func (t *Tree) proved(sourcePath string, err error) error {
	if unreachable := t.Check(); unreachable != nil {
		return unreachable
	}
	return t.fileError(sourcePath, err)
}

// fileError is what may be said about a file of a tree that is known to be reachable.
func (t *Tree) fileError(sourcePath string, err error) error {
	about := fmt.Sprintf("file %q of source %q", sourcePath, t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%s: %w", about, fs.ErrNotExist)
	case errors.Is(err, ErrNotRegular), errors.Is(err, ErrChanging):
		return fmt.Errorf("%s: %w", about, err)
	}
	return fmt.Errorf("%s: %w: %w", about, ErrUnreadable, bare(err))
}

// unreachable keeps the cause as text only: a marker that does not exist must not look like a file that
// does not exist.
func unreachable(path string, cause error) error {
	return fmt.Errorf("source %q: %w: %v: mount the volume that belongs there, or add the source again if it moved for good",
		path, ErrUnreachable, cause)
}

// openRegular opens a regular file and no other thing. The second look, at the open file, is for what took the
// file's place in between: it was opened without waiting, so a FIFO does no harm.
func openRegular(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, ErrNotRegular
	}
	f, err := root.OpenFile(name, fileFlags, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err = f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = ErrNotRegular
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// bare takes the path out of an error: names at a source are of any bytes and are shown quoted.
func bare(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err
	}
	return err
}
