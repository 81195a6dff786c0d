package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/durable"
)

// MaxOwnBytes is the most that an agent's own small file may hold.
const MaxOwnBytes = 1 << 20

// ownSlackBytes is how far beyond the quota an agent's own small files may go: without its marker and head nothing works.
const ownSlackBytes = 1 << 20

// Own returns the name of an agent's own file: below [backup.OwnPrefix].
func Own(name string) string { return backup.OwnPrefix + "/" + name }

// IsOwn reports whether a name is that of an agent's own file.
func IsOwn(name string) bool { return strings.HasPrefix(name, backup.OwnPrefix+"/") }

// checkName refuses what is neither a portable path nor the name of an agent's own file.
func checkName(name string) error {
	own, isOwn := strings.CutPrefix(name, backup.OwnPrefix+"/")
	if !isOwn {
		if err := backup.CheckPath(name); err != nil {
			return fmt.Errorf("%w: %v", ErrName, err)
		}
		return nil
	}
	if len(own) > 2*backup.MaxPathBytes {
		return fmt.Errorf("%w: it has %d bytes, more than %d", ErrName, len(own), 2*backup.MaxPathBytes)
	}
	for component := range strings.SplitSeq(own, "/") {
		if err := backup.CheckComponent(component); err != nil {
			return fmt.Errorf("%w: %v", ErrName, err)
		}
	}
	return nil
}

// Put stores what r yields, which has to be what is wanted, under a name that is free, or that holds what is to be replaced.
// Errors are those of [Batch.Stage] and [Batch.Publish], and [ErrReplaced]: the name is then as it was.
func (p *Place) Put(ctx context.Context, name string, want backup.Digest, replaces *backup.Digest, r io.Reader) (err error) {
	b, err := p.Begin()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Discard()) }()
	if err := b.Stage(ctx, name, want, r); err != nil {
		return err
	}
	if replaces != nil {
		return b.replace(ctx, name, *replaces)
	}
	outcomes, err := b.Publish()
	if err != nil {
		return err
	}
	return outcomes[name]
}

// replace publishes the only file of the batch in place of one with the digest known.
func (b *Batch) replace(ctx context.Context, name string, known backup.Digest) error {
	p := b.place
	there, err := p.Hash(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %q is not there", ErrReplaced, name)
	}
	if err != nil {
		return err
	}
	if there != known {
		return fmt.Errorf("%w: %q is %v, not %v", ErrReplaced, name, there, known)
	}
	s := b.staged[0]
	if err := b.root.Rename(s.temp, below(name)); err != nil {
		return p.failed("replace", name, err)
	}
	s.published = true
	p.store.give(p.tenant, there.SizeBytes)
	touched := folders{}
	touched.add(below(name))
	return p.failed("make durable", name, touched.sync(b.root))
}

// File is a stored file, not read.
type File struct {
	Name      string
	SizeBytes int64
	StoredAt  time.Time
}

// Stat returns a file without reading it: fs.ErrNotExist where nothing is there, [ErrObstructed] where it is no file.
func (p *Place) Stat(name string) (File, error) {
	f, info, err := p.open(name)
	if err != nil {
		return File{}, err
	}
	return File{name, info.Size(), info.ModTime().UTC()}, f.Close()
}

// Open opens a file and returns its size; errors as for [Place.Stat].
func (p *Place) Open(name string) (*os.File, int64, error) {
	f, info, err := p.open(name)
	if err != nil {
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (p *Place) open(name string) (*os.File, fs.FileInfo, error) {
	if err := checkName(name); err != nil {
		return nil, nil, err
	}
	root, err := p.root()
	if err != nil {
		return nil, nil, p.failed("open", name, err)
	}
	defer root.Close()
	f, info, err := openRegular(root, below(name))
	return f, info, p.failed("open", name, err)
}

func openRegular(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, durable.ErrNotRegular
	}
	f, err := root.Open(name)
	return f, info, err
}

// Hash reads what is stored under a name again, past the cache where that is possible; errors as for [Place.Stat].
func (p *Place) Hash(ctx context.Context, name string) (backup.Digest, error) {
	if err := checkName(name); err != nil {
		return backup.Digest{}, err
	}
	root, err := p.root()
	if err != nil {
		return backup.Digest{}, p.failed("hash", name, err)
	}
	defer root.Close()
	r, err := durable.OpenReader(root, below(name), durable.AlignedBuffer(bufferBytes))
	if err != nil {
		return backup.Digest{}, p.failed("hash", name, err)
	}
	d, err := sum(ctx, r, bufferBytes)
	return d, p.failed("hash", name, errors.Join(err, r.Close()))
}

// MoveAside gives a visible file a name of the agent's own, durably and without replacing: fs.ErrExist where that is taken,
// fs.ErrNotExist where nothing is under name, [ErrObstructed] where it is no file.
func (p *Place) MoveAside(name, ownName string) error {
	to := Own(ownName)
	for _, n := range []string{name, to} {
		if err := checkName(n); err != nil {
			return err
		}
	}
	root, err := p.root()
	if err != nil {
		return p.failed("move aside", name, err)
	}
	defer root.Close()
	if err := moveAside(root, below(name), below(to)); err != nil {
		return p.failed("move aside", name, err)
	}
	touched := folders{}
	touched.add(below(name))
	touched.add(below(to))
	return p.failed("move aside", name, touched.sync(root))
}

func moveAside(root *os.Root, name, to string) error {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return durable.ErrNotRegular
	}
	if err := makeFolder(root, path.Dir(to)); err != nil {
		return err
	}
	from, err := durable.OpenDir(root, path.Dir(name))
	if err != nil {
		return err
	}
	defer from.Close()
	target, err := durable.OpenDir(root, path.Dir(to))
	if err != nil {
		return err
	}
	defer target.Close()
	return durable.RenameNoReplaceAt(from, path.Base(name), target, path.Base(to))
}

// ReadOwn returns one of the agent's own small files; errors as for [Place.Stat].
func (p *Place) ReadOwn(ownName string) ([]byte, error) {
	f, size, err := p.Open(Own(ownName))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > MaxOwnBytes {
		return nil, fmt.Errorf("%w: %q has %d bytes, and is none of the small ones", ErrName, ownName, size)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxOwnBytes))
	return data, p.failed("read", ownName, err)
}

// WriteOwn replaces one of the agent's own small files: afterwards, also after a crash, it is the old one or the new one.
func (p *Place) WriteOwn(ownName string, data []byte) error {
	name := Own(ownName)
	if err := checkName(name); err != nil {
		return err
	}
	root, err := p.makeRoot()
	if err != nil {
		return p.failed("write", ownName, err)
	}
	defer root.Close()
	var before int64
	if info, err := root.Lstat(below(name)); err == nil && info.Mode().IsRegular() {
		before = info.Size()
	}
	if err := p.store.take(p.tenant, int64(len(data)), ownSlackBytes); err != nil {
		return err
	}
	if err := writeOwn(root, below(name), data); err != nil {
		p.store.give(p.tenant, int64(len(data)))
		return p.failed("write", ownName, err)
	}
	p.store.give(p.tenant, before)
	return nil
}

func writeOwn(root *os.Root, name string, data []byte) error {
	if err := makeFolder(root, path.Dir(name)); err != nil {
		return err
	}
	temp := path.Join(stagingDir, randomName())
	if err := durable.WriteFileIn(root, temp, data, 0o600); err != nil {
		return err
	}
	if err := root.Rename(temp, name); err != nil {
		return errors.Join(err, root.Remove(temp))
	}
	touched := folders{}
	touched.add(name)
	return touched.sync(root)
}

// RemoveOwn deletes one of the agent's own files, durably; one that is absent is no error.
func (p *Place) RemoveOwn(ownName string) error {
	name := Own(ownName)
	if err := checkName(name); err != nil {
		return err
	}
	root, err := p.root()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return p.failed("remove", ownName, err)
	}
	defer root.Close()
	info, err := root.Lstat(below(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = durable.ErrNotRegular
	}
	if err == nil {
		err = root.Remove(below(name))
	}
	if err != nil {
		return p.failed("remove", ownName, err)
	}
	p.store.give(p.tenant, info.Size())
	return p.failed("remove", ownName, durable.SyncDirIn(root, path.Dir(below(name))))
}
