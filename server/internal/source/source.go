// Package source reads the places in which wolkvox keeps recordings: it proves that a place is there and the right one,
// finds its files, tells which of them are finished, hashes them, and opens them to be served. It changes
// nothing there but the marker that [Mark] writes, keeps nothing between calls but what [Looks] remembers,
// and decides nothing about manifests, nights that were sealed or withdrawals. Directories of this machine it reads itself;
// other kinds of places come as a [Driver] from packages of their own.
//
// Unreachable is not missing: whatever this package says about a source (these are its files, this file is absent)
// it says only after the [Proof] was seen again. A source that cannot be proved yields [ErrUnreachable].
//
// Source paths are relative, joined by "/", and of any bytes.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
)

var (
	// ErrUnreachable says that the source could not be proved to be the one that was added. Nothing is known
	// about its files. An error that wraps it never wraps [fs.ErrNotExist].
	ErrUnreachable = errors.New("the source is not reachable")

	// ErrRefused says, beside [ErrUnreachable], that trying again is of no use before somebody acts: the source does not
	// let us in, or is not the one that was pinned.
	ErrRefused = errors.New("it is refused")

	// ErrUnreadable says that a file of a proved source is there, as far as can be told, but cannot be read.
	ErrUnreadable = errors.New("the file cannot be read")

	// ErrNotRegular says that a folder, symbolic link, FIFO, socket or device stands where a file is wanted.
	ErrNotRegular = errors.New("it is not a regular file")

	// ErrChanging says that a file changed between two looks or while it was read: it is still being written.
	ErrChanging = errors.New("the file is still being written")
)

// errNotLocal says that a path leads out of a source, or nowhere.
var errNotLocal = errors.New("it is no path below the source")

// Tree is a source opened for one piece of work, a scan or a batch of files. It holds what its driver holds, of a directory
// a handle that keeps its volume from being unmounted: close it soon. Its methods may be called concurrently.
type Tree struct {
	driver Driver
	proof  Proof
}

// Open opens the directory at the absolute path and checks its proof. The error wraps [ErrUnreachable] where the
// folder cannot be opened or is not the one that was added.
func Open(ctx context.Context, path string, proof Proof) (*Tree, error) {
	f, err := openFolder(path)
	if err != nil {
		return nil, Unreachable(path, folderRemedy, err)
	}
	return OpenDriver(ctx, f, proof)
}

// OpenDriver checks the proof of what a driver has opened. The tree's Close closes the driver, and so does an error, which
// wraps [ErrUnreachable] or is the context's.
func OpenDriver(ctx context.Context, d Driver, proof Proof) (*Tree, error) {
	tree := &Tree{driver: d, proof: proof}
	err := proof.validate()
	if err != nil {
		err = fmt.Errorf("open source %q: %w", d, err)
	} else {
		err = tree.Check(ctx)
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return tree, nil
}

// Close gives back what is open.
func (t *Tree) Close() error { return t.driver.Close() }

// Check proves that the source is still the one that was added, and still the one that its name leads to. The
// error wraps [ErrUnreachable] and is meant for people, or is the context's.
func (t *Tree) Check(ctx context.Context) error {
	err := t.proof.check(ctx, t.driver)
	if err == nil {
		err = t.driver.Check(ctx)
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("prove source %q: %w", t.driver, context.Cause(ctx))
	}
	return unreachable(t.driver, err)
}

// Open opens a file of the source for reading and says what it looks like now, to be compared with what it looked
// like when it was sealed. It follows no symbolic link at the file's name and does not wait for a FIFO; in a directory it
// follows none that leads out of it. Reads end when ctx does. The error, and that of reading the file other than [io.EOF],
// is the context's or wraps one of
//
//   - [fs.ErrNotExist]: the source was proved, and the file is not in it;
//   - [ErrNotRegular]: the source was proved, and something else stands there;
//   - [ErrChanging]: the source was proved, and the file is not any more the one that was opened;
//   - [ErrUnreadable]: the source was proved, and the file is refused or damaged;
//   - [ErrUnreachable]: the source could not be proved.
func (t *Tree) Open(ctx context.Context, sourcePath string) (File, Identity, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, Identity{}, err
	}
	f, look, err := t.open(ctx, sourcePath)
	if err != nil {
		return nil, Identity{}, t.proved(ctx, sourcePath, err)
	}
	return &provedFile{f, t, ctx, sourcePath}, look, nil
}

// provedFile is an open file whose errors are judged.
type provedFile struct {
	File
	tree       *Tree
	ctx        context.Context // of Open; its end is that of all reads
	sourcePath string
}

func (f *provedFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	if err != nil && err != io.EOF {
		err = f.tree.proved(f.ctx, f.sourcePath, err)
	}
	return n, err
}

func (t *Tree) open(ctx context.Context, sourcePath string) (File, Identity, error) {
	if !IsLocal(sourcePath) {
		return nil, Identity{}, errNotLocal
	}
	return t.driver.Open(ctx, sourcePath)
}

// proved turns what went wrong with a file into what may be said about it, after checking the proof.
func (t *Tree) proved(ctx context.Context, sourcePath string, err error) error {
	if unproved := t.Check(ctx); unproved != nil {
		return unproved
	}
	return t.fileError(sourcePath, err)
}

// fileError is what may be said about a file of a source that is known to be reachable.
func (t *Tree) fileError(sourcePath string, err error) error {
	about := fmt.Sprintf("file %q of source %q", sourcePath, t.driver)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%s: %w", about, fs.ErrNotExist)
	case errors.Is(err, ErrNotRegular), errors.Is(err, ErrChanging):
		return fmt.Errorf("%s: %w", about, err)
	}
	return fmt.Errorf("%s: %w: %w", about, ErrUnreadable, bare(err))
}

func unreachable(d Driver, cause error) error { return Unreachable(d.String(), d.Remedy(), cause) }

// Unreachable is what is said of a source that cannot be reached, and what people can do. It wraps [ErrUnreachable], and
// [ErrRefused] where cause does. It keeps the cause as text only: a marker that does not exist must not look like a
// file that does not exist.
func Unreachable(name, remedy string, cause error) error {
	if errors.Is(cause, ErrUnreachable) {
		return cause
	}
	if errors.Is(cause, ErrRefused) {
		return &refusedError{fmt.Sprintf("source %q: %v: %v: %s", name, ErrUnreachable, cause, remedy)}
	}
	return fmt.Errorf("source %q: %w: %v: %s", name, ErrUnreachable, cause, remedy)
}

type refusedError struct{ text string }

func (e *refusedError) Error() string   { return e.text }
func (e *refusedError) Unwrap() []error { return []error{ErrUnreachable, ErrRefused} }
