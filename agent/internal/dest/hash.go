package dest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/wolkvox/backup"
)

// workers bounds how many files are read at once: enough to hide a share's latency, few enough that their
// buffers stay small.
const workers = 8

// Found is what lies under one name.
type Found struct {
	Name   string
	Digest backup.Digest // of what is stored, where Err is nil
	Method backup.Method // how it was learnt
	Err    error         // nil, fs.ErrNotExist (truly absent), ErrConflict (not a regular file), ErrName, or another
}

// Hash makes durable and then hashes what lies under names, several files at once, and returns it in the same
// order. A file that is equal to what is wanted may be confirmed as it is (adopted). The error of Hash itself says
// that nothing is known of any of them.
func (p *Place) Hash(ctx context.Context, names []string) ([]Found, error) {
	return p.hash(ctx, names, p.able.settler, p.able.hasher)
}

// Examine is [Place.Hash] of what was made durable before: it changes nothing, so that one file that cannot be read keeps it from
// none of the others. Where everyByte is set it reads all, whatever the place itself knows of what it stores.
func (p *Place) Examine(ctx context.Context, names []string, everyByte bool) ([]Found, error) {
	by := p.able.hasher
	if everyByte && p.able.rereader != nil {
		by = rereading{p.able.rereader}
	}
	return p.hash(ctx, names, nil, by)
}

// TellsDigests reports whether [Place.Examine] can ask for what the place computed, now, instead of reading all.
func (p *Place) TellsDigests(ctx context.Context) bool {
	return p.able.rereader != nil && p.able.rereader.TellsDigests(ctx)
}

// rereading is a Hasher that reads every byte.
type rereading struct{ Rereader }

func (r rereading) HashAll(ctx context.Context, names []string) ([]Found, error) {
	return r.ReadAll(ctx, names)
}

// hash is Hash by a hasher, nil for one file after the other, after settler, if any, made what is there durable.
func (p *Place) hash(ctx context.Context, names []string, settler Settler, by Hasher) ([]Found, error) {
	found := make([]Found, len(names))
	valid := make([]string, 0, len(names))
	for i, name := range names {
		found[i] = Found{Name: name, Err: checkName(name)}
		if found[i].Err == nil {
			valid = append(valid, name)
		}
	}
	if settler != nil && len(valid) > 0 {
		if err := settler.Settle(ctx, valid); err != nil {
			return nil, fmt.Errorf("make what is there durable at %s: %w", p.store.label, err)
		}
	}
	if err := p.hashAll(ctx, found, valid, by); err != nil {
		return nil, fmt.Errorf("hash what is at %s: %w", p.store.label, err)
	}
	for i := range found {
		if errors.Is(found[i].Err, fs.ErrNotExist) {
			// Missing is only what is missing at the right place; it may have been emptied or replaced meanwhile.
			if err := p.CheckMarker(ctx); err != nil {
				return nil, err
			}
			break
		}
	}
	return found, nil
}

// HashExpected is [Place.Hash] for files that are about to be staged: fs.ErrNotExist is an impression here, which holds good
// because a name that turns out to be taken is looked at by [Batch.Publish].
func (p *Place) HashExpected(ctx context.Context, names []string) ([]Found, error) {
	if p.able.glancer == nil || p.able.stager == nil {
		return p.Hash(ctx, names)
	}
	absent, err := p.able.glancer.Glance(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("look what is at %s: %w", p.store.label, err)
	}
	found := make([]Found, len(names))
	var others []string
	var at []int // where they are in names
	for i, name := range names {
		if err := checkName(name); err != nil || !absent[i] {
			others, at = append(others, name), append(at, i)
			continue
		}
		found[i] = Found{Name: name, Err: &fs.PathError{Op: "look at", Path: name, Err: fs.ErrNotExist}}
	}
	if len(others) < len(names) {
		if err := p.CheckMarker(ctx); err != nil {
			return nil, err
		}
	}
	hashed, err := p.Hash(ctx, others)
	if err != nil {
		return nil, err
	}
	for i, f := range hashed {
		found[at[i]] = f
	}
	return found, nil
}

// hashAll fills in found for the valid names, at once where the driver can.
func (p *Place) hashAll(ctx context.Context, found []Found, valid []string, by Hasher) error {
	if by == nil {
		return Parallel(ctx, len(found), workers, func(i int) {
			if found[i].Err == nil {
				found[i] = p.hashOne(ctx, found[i].Name)
			}
		})
	}
	if len(valid) == 0 {
		return nil
	}
	hashed, err := by.HashAll(ctx, valid)
	if err != nil {
		return err
	}
	for i := range found {
		if found[i].Err == nil {
			found[i], hashed = hashed[0], hashed[1:]
		}
	}
	return nil
}

// HashExisting returns the digest of what lies under one name; the error is that of [Found] or of [Place.Hash].
func (p *Place) HashExisting(ctx context.Context, name string) (backup.Digest, error) {
	found, err := p.Hash(ctx, []string{name})
	if err != nil {
		return backup.Digest{}, err
	}
	return found[0].Digest, found[0].Err
}

func (p *Place) hashOne(ctx context.Context, name string) Found {
	found := Found{Name: name}
	r, err := p.driver.Open(ctx, name)
	if err != nil {
		found.Err = fmt.Errorf("open %q: %w", name, err)
		return found
	}
	found.Digest, found.Method, err = sumAndClose(ctx, r)
	if err != nil {
		found.Err = fmt.Errorf("read %q: %w", name, err)
	}
	return found
}

// Sum returns the digest of what r yields. Drivers use it to check a [Precondition].
func Sum(ctx context.Context, r io.Reader) (backup.Digest, error) {
	h := sha256.New()
	n, err := io.Copy(&contextWriter{ctx: ctx, w: h}, r)
	if err != nil {
		return backup.Digest{}, err
	}
	return digestOf(h, n), nil
}

func sumAndClose(ctx context.Context, r io.ReadCloser) (d backup.Digest, method backup.Method, err error) {
	d, err = Sum(ctx, r)
	method = backup.ReadbackCached
	if passer, ok := r.(CachePasser); ok && passer.PassesCache() {
		method = backup.ReadbackUncached
	}
	return d, method, errors.Join(err, r.Close())
}

func digestOf(h hash.Hash, sizeBytes int64) backup.Digest {
	d := backup.Digest{SizeBytes: sizeBytes}
	h.Sum(d.SHA256[:0])
	return d
}

// contextWriter ends a long copy when its context ends; it lives as long as that copy.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (w *contextWriter) Write(p []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	return w.w.Write(p)
}

// digestReader yields what r yields, but instead of the last bytes an error where the whole is not what is
// wanted: a driver that was given it never sees a complete stream of wrong contents.
type digestReader struct {
	r    io.Reader
	h    hash.Hash
	want backup.Digest
	n    int64
	err  error
}

// Digested is a reader whose digest is known beforehand, as that of what [Place.Put] hands to a driver is.
type Digested interface {
	io.Reader
	// Digest is of everything that the reader yields, if it yields no error.
	Digest() backup.Digest
}

// Digest implements [Digested].
func (d *digestReader) Digest() backup.Digest { return d.want }

func newDigestReader(r io.Reader, want backup.Digest) *digestReader {
	return &digestReader{r: r, h: sha256.New(), want: want}
}

func (d *digestReader) Read(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	n, err := d.r.Read(p)
	d.h.Write(p[:n])
	d.n += int64(n)
	ended := errors.Is(err, io.EOF)
	if d.n > d.want.SizeBytes || (ended || d.n == d.want.SizeBytes) && digestOf(d.h, d.n) != d.want {
		d.err = fmt.Errorf("%w: received %v, recorded %v", backup.ErrDigest, digestOf(d.h, d.n), d.want)
		return 0, d.err
	}
	d.err = err
	return n, err
}

// checkName refuses a name that is not portable, or that this system would not take as it stands, before
// anything was touched.
func checkName(name string) error {
	if err := backup.CheckPath(name); err != nil {
		return fmt.Errorf("%w: %q: %v", ErrName, name, err)
	}
	if !fs.ValidPath(name) {
		return fmt.Errorf("%w: %q is not a path of plain components", ErrName, name)
	}
	if _, err := filepath.Localize(name); err != nil {
		return fmt.Errorf("%w: %q is not a name on this system", ErrName, name)
	}
	return nil
}

// Parallel calls do for 0 to n-1, up to atOnce at a time, and returns when all calls have ended; it begins no more when ctx
// ends, and then returns its cause.
func Parallel(ctx context.Context, n, atOnce int, do func(i int)) error {
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(n, atOnce) {
		group.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				do(i)
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}
