package storage

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"syscall"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/durable"
)

// Batch is a set of files that become visible together, but each by itself. Stage may be called from several goroutines at
// once; Publish and Discard are called by one, afterwards.
type Batch struct {
	place *Place
	root  *os.Root

	mu     sync.Mutex // guards what follows
	staged []*staged
}

// staged is a file that is durable and compared, and not visible.
type staged struct {
	name, temp string
	sizeBytes  int64
	published  bool
}

// Begin begins a batch. The caller discards it.
func (p *Place) Begin() (*Batch, error) {
	root, err := p.makeRoot()
	if err != nil {
		return nil, p.failed("begin", p.destination, err)
	}
	return &Batch{place: p, root: root}, nil
}

// bufferBytes is how much is read and written at once.
const bufferBytes = 256 << 10

// Stage stores what r yields out of sight, makes it durable, reads it again past the cache where that is possible, and
// compares it. Errors are backup.ErrDigest where r does not yield what is wanted, [ErrReadBack], [ErrQuota], [ErrFull],
// [ErrName], those of r as they are, and others. After an error nothing of the file is kept.
func (b *Batch) Stage(ctx context.Context, name string, want backup.Digest, r io.Reader) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := b.place.store.take(b.place.tenant, want.SizeBytes, 0); err != nil {
		return err
	}
	temp := path.Join(stagingDir, randomName())
	err := b.write(ctx, temp, want, r)
	if err == nil {
		err = b.compare(ctx, temp, want)
	}
	if err != nil {
		b.place.store.give(b.place.tenant, want.SizeBytes)
		if gone := b.root.Remove(temp); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return b.place.failed("store", name, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.staged = append(b.staged, &staged{name: name, temp: temp, sizeBytes: want.SizeBytes})
	return nil
}

// write writes a new file and makes its contents durable.
func (b *Batch) write(ctx context.Context, temp string, want backup.Digest, r io.Reader) error {
	f, err := b.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	// One byte more than wanted is asked for, so that more is noticed and does not fill the volume.
	got, err := sum(ctx, io.TeeReader(io.LimitReader(r, want.SizeBytes+1), f), want.SizeBytes+1)
	if err == nil && got != want {
		err = fmt.Errorf("%w: %v came, %v was announced", backup.ErrDigest, got, want)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// compare reads what was stored again.
func (b *Batch) compare(ctx context.Context, temp string, want backup.Digest) error {
	r, err := durable.OpenReader(b.root, temp, durable.AlignedBuffer(int(min(want.SizeBytes+1, bufferBytes))))
	if err != nil {
		return err
	}
	got, err := sum(ctx, r, want.SizeBytes+1)
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%w: %v is stored, %v was written", ErrReadBack, got, want)
	}
	return nil
}

// sum hashes what r yields, about so many bytes; it ends with ctx.
func sum(ctx context.Context, r io.Reader, aboutBytes int64) (backup.Digest, error) {
	h := sha256.New()
	buffer := make([]byte, min(aboutBytes, bufferBytes))
	var d backup.Digest
	for {
		if ctx.Err() != nil {
			return backup.Digest{}, context.Cause(ctx)
		}
		n, err := r.Read(buffer)
		h.Write(buffer[:n])
		d.SizeBytes += int64(n)
		if errors.Is(err, io.EOF) {
			h.Sum(d.SHA256[:0])
			return d, nil
		}
		if err != nil {
			return backup.Digest{}, err
		}
	}
}

// Publish makes what was staged visible, never replacing anything, and the names durable. It returns what became of each file,
// by name: nil, fs.ErrExist, [ErrObstructed], or another error. After an error of Publish itself nothing is known to be durable.
func (b *Batch) Publish() (map[string]error, error) {
	outcomes := make(map[string]error, len(b.staged))
	touched := folders{}
	for _, s := range b.staged {
		err := b.place.failed("publish", s.name, b.link(s))
		outcomes[s.name] = err
		if err == nil {
			s.published = true
			touched.add(below(s.name))
		}
	}
	if err := touched.sync(b.root); err != nil {
		return nil, b.place.failed("make durable", b.place.destination, err)
	}
	return outcomes, nil
}

func (b *Batch) link(s *staged) error {
	to := below(s.name)
	if err := makeFolder(b.root, path.Dir(to)); err != nil {
		return err
	}
	return b.root.Link(s.temp, to)
}

// makeFolder makes a folder and those that lead to it. Where something else has the name of one it is [ErrObstructed].
func makeFolder(root *os.Root, name string) error {
	err := root.MkdirAll(name, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %v", ErrObstructed, err)
	}
	return err
}

// Discard deletes what is left of the batch. What was published stays.
func (b *Batch) Discard() error {
	var errs []error
	for _, s := range b.staged {
		if err := b.root.Remove(s.temp); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		if !s.published {
			b.place.store.give(b.place.tenant, s.sizeBytes)
		}
	}
	b.staged = nil
	errs = append(errs, b.root.Close())
	return errors.Join(errs...)
}

// folders are those whose entries are to be made durable.
type folders map[string]bool

// add takes a new name up: all folders that lead to it, which may be new themselves.
func (f folders) add(name string) {
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		f[dir] = true
		if dir == "." {
			return
		}
	}
}

func (f folders) sync(root *os.Root) error {
	for dir := range f {
		if err := durable.SyncDirIn(root, dir); err != nil {
			return err
		}
	}
	return nil
}

// failed says what was done to which file, and gives the system's errors the meaning that callers act on; nil stays nil.
func (p *Place) failed(what, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		err = fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.EISDIR), errors.Is(err, durable.ErrNotRegular):
		err = fmt.Errorf("%w: %v", ErrObstructed, err) // as text: ENOTDIR must not look like a name that does not exist
	}
	return fmt.Errorf("%s %q in wolkvox Storage: %w", what, name, err)
}

func randomName() string {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}
