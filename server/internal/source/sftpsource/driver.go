package sftpsource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	"github.com/pkg/sftp"
	"golang.org/x/sync/errgroup"

	"github.com/wolkvox/backup/server/internal/source"
)

const (
	// blockBytes is read at once, by several requests of the protocol; a recording is seldom larger.
	blockBytes = 256 << 10
	// blocksAhead keeps 2 MiB on their way, which is what SSH's own window lets through.
	blocksAhead = 8
	// foldersAtOnce is how many folders are listed at once.
	foldersAtOnce = 8
)

// statvfs is the extension by which a server tells one file system from another.
const statvfs = "statvfs@openssh.com"

// driver is a source over one connection.
type driver struct {
	host    *Host
	session *session
	closing sync.Once
}

func (d *driver) String() string { return d.host.Name() }
func (d *driver) Remedy() string { return Remedy }

// Close leaves the connection to others.
func (d *driver) Close() error {
	d.closing.Do(func() { d.host.leave(d.session) })
	return nil
}

// Check reports that the connection has ended.
func (d *driver) Check(context.Context) error {
	if d.session.ended() {
		return d.session.cause()
	}
	return nil
}

// at returns the path that the server knows.
func (d *driver) at(sourcePath string) string {
	if sourcePath == "." {
		return d.host.config.Folder
	}
	return path.Join(d.host.config.Folder, sourcePath)
}

func (d *driver) Look(ctx context.Context, sourcePath string) (source.Identity, error) {
	info, err := do(ctx, d.session, func() (os.FileInfo, error) { return d.session.sftp.Lstat(d.at(sourcePath)) }, nil)
	if err != nil {
		return source.Identity{}, err
	}
	if !info.Mode().IsRegular() {
		return source.Identity{}, source.ErrNotRegular
	}
	return identify(info), nil
}

// identify returns what version 3 of the protocol tells: the size, and a time in whole seconds.
func identify(info os.FileInfo) source.Identity {
	return source.Identity{SizeBytes: info.Size(), ModTime: info.ModTime().UTC()}
}

// Open looks before it opens: a server that opens a FIFO waits for its other end, and all other requests with it.
func (d *driver) Open(ctx context.Context, sourcePath string) (source.File, source.Identity, error) {
	look, err := d.Look(ctx, sourcePath)
	if err != nil {
		return nil, look, err
	}
	f, err := do(ctx, d.session, func() (*sftp.File, error) { return d.session.sftp.Open(d.at(sourcePath)) }, func(f *sftp.File) { f.Close() })
	if err != nil {
		return nil, look, err
	}
	return source.ReadAhead(ctx, source.AheadOptions{
		SizeBytes: look.SizeBytes, BlockBytes: blockBytes, Depth: blocksAhead,
		Fetch: func(ctx context.Context, block []byte, off int64) (int, error) {
			return do(ctx, d.session, func() (int, error) { return f.ReadAt(block, off) }, nil)
		},
		Close: func() error {
			// Nobody waits for the answer: it frees the server's handle, which nobody can do anything about.
			d.session.group.Go(func() { f.Close() })
			return nil
		},
	}), look, nil
}

// Create makes a file, and takes it away again where it could not be written whole.
func (d *driver) Create(ctx context.Context, sourcePath string, contents []byte) error {
	name := d.at(sourcePath)
	_, err := do(ctx, d.session, func() (struct{}, error) {
		f, err := d.session.sftp.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
		if err != nil {
			return struct{}{}, err
		}
		_, err = f.Write(contents)
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, d.session.sftp.Remove(name))
		}
		return struct{}{}, err
	}, nil)
	return err
}

// List reads all folders, level by level, several at once.
func (d *driver) List(ctx context.Context, found *source.Found) error {
	volume, told := d.volume(ctx, ".")
	if d.session.ended() {
		return d.session.cause()
	}
	for level := []string{"."}; len(level) > 0; {
		var mu sync.Mutex
		var next []string
		group, running := errgroup.WithContext(ctx)
		group.SetLimit(foldersAtOnce)
		for _, folder := range level {
			group.Go(func() error {
				below, err := d.folder(running, folder, func(ctx context.Context) bool {
					here, toldHere := d.volume(ctx, folder)
					return !told || !toldHere || here == volume
				}, found)
				mu.Lock()
				defer mu.Unlock()
				next = append(next, below...)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		level = next
	}
	return nil
}

// folder reads one folder and returns those in it. Its error says that the source cannot be read any more.
func (d *driver) folder(ctx context.Context, folder string, sameVolume func(context.Context) bool, found *source.Found) (below []string, err error) {
	if !sameVolume(ctx) {
		found.Problem(folder, errOtherVolume)
		return nil, nil
	}
	entries, err := do(ctx, d.session, func() ([]os.FileInfo, error) { return d.session.sftp.ReadDirContext(ctx, d.at(folder)) }, nil)
	switch {
	case err == nil:
	case ctx.Err() != nil, d.session.ended():
		return nil, err
	case folder != "." && errors.Is(err, fs.ErrNotExist): // it went away
		return nil, nil
	default:
		found.Problem(folder, err)
		return nil, nil
	}
	for _, entry := range entries {
		name := entry.Name()
		sourcePath := source.Below(folder, name)
		switch {
		case strings.Contains(name, "/") || !source.IsLocal(name):
			found.Problem(folder, fmt.Errorf("the server lists the name %q, which is none", name))
		case !found.Wanted(sourcePath, entry.Mode()):
		case entry.IsDir():
			below = append(below, sourcePath)
		case entry.Size() < 0:
			found.Skip(sourcePath, source.SkipLarge)
		default:
			found.File(source.Candidate{SourcePath: sourcePath, Identity: identify(entry)})
		}
	}
	return below, nil
}

// errOtherVolume: the proof says nothing about that volume. When it is not mounted, its recordings are silently not there.
var errOtherVolume = errors.New("another volume is mounted here, and nothing proves its presence: " +
	"add each volume as a source of its own, instead of the folder above them")

// volume returns the number of the file system that a folder lies on, where the server tells.
func (d *driver) volume(ctx context.Context, folder string) (number uint64, told bool) {
	if _, ok := d.session.sftp.HasExtension(statvfs); !ok {
		return 0, false
	}
	stat, err := do(ctx, d.session, func() (*sftp.StatVFS, error) { return d.session.sftp.StatVFS(d.at(folder)) }, nil)
	if err != nil {
		return 0, false
	}
	return stat.Fsid, true
}
