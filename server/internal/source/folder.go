package source

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// folder is the driver of a directory tree. It holds a handle of the root folder.
type folder struct {
	path string
	root *os.Root
}

// openFolder opens the folder at the absolute path.
func openFolder(path string) (*folder, error) {
	if !filepath.IsAbs(path) {
		return nil, errors.New("the path is not absolute")
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, bare(err)
	}
	return &folder{path, root}, nil
}

func (f *folder) String() string { return f.path }
func (f *folder) Remedy() string { return folderRemedy }
func (f *folder) Close() error   { return f.root.Close() }

const folderRemedy = "mount the volume that belongs there, or add the source again if it moved for good"

// Check compares the open folder with the one that the path leads to now.
func (f *folder) Check(context.Context) error {
	held, err := f.root.Stat(".")
	if err != nil {
		return bare(err)
	}
	now, err := os.Stat(f.path)
	if err != nil {
		return bare(err)
	}
	if !os.SameFile(held, now) {
		return errors.New("something else was mounted there, or it was unmounted")
	}
	return nil
}

func (f *folder) Open(_ context.Context, sourcePath string) (File, Identity, error) {
	file, info, err := openRegular(f.root, sourcePath)
	if err != nil {
		return nil, Identity{}, err
	}
	return file, identify(info), nil
}

func (f *folder) Look(_ context.Context, sourcePath string) (Identity, error) {
	info, err := f.root.Lstat(sourcePath)
	if err != nil {
		return Identity{}, err
	}
	if !info.Mode().IsRegular() {
		return Identity{}, ErrNotRegular
	}
	return identify(info), nil
}

// Create writes durably. What a crash leaves is an empty or damaged file.
func (f *folder) Create(_ context.Context, sourcePath string, contents []byte) error {
	file, err := f.root.OpenFile(sourcePath, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return bare(err)
	}
	_, err = file.Write(contents)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = syncRoot(f.root)
	}
	if err != nil {
		f.root.Remove(sourcePath)
		return bare(err)
	}
	return nil
}

// errOtherVolume is a problem because the proof says nothing about that volume: when it is not mounted, its
// recordings are silently not there.
var errOtherVolume = errors.New("another volume is mounted here, and nothing proves its presence: " +
	"add each volume as a source of its own, instead of the folder above them")

// readDirEntries is how many entries of a folder are held at once.
const readDirEntries = 1024

// List opens folders and no files, and follows no symbolic links.
func (f *folder) List(ctx context.Context, found *Found) error {
	info, err := f.root.Stat(".")
	if err != nil {
		return bare(err)
	}
	w := &walk{root: f.root, found: found, volume: volume(info), pending: []string{"."}}
	for len(w.pending) > 0 {
		last := len(w.pending) - 1
		name := w.pending[last]
		w.pending = w.pending[:last]
		if err := w.folder(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// walk is one listing in progress.
type walk struct {
	root    *os.Root
	found   *Found
	volume  uint64
	pending []string // folders still to be read
}

// folder reads one folder. Its error is the context's.
func (w *walk) folder(ctx context.Context, name string) error {
	f, err := w.root.OpenFile(name, folderFlags, 0)
	if err != nil {
		if name == "." || !errors.Is(err, fs.ErrNotExist) {
			w.found.Problem(name, err)
		}
		return nil
	}
	defer f.Close()
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		entries, err := f.ReadDir(readDirEntries)
		for _, entry := range entries {
			w.entry(name, entry)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			w.found.Problem(name, err)
			return nil
		}
	}
}

func (w *walk) entry(folder string, entry fs.DirEntry) {
	sourcePath := Below(folder, entry.Name())
	if !w.found.Wanted(sourcePath, entry.Type()) {
		return
	}
	// Below an os.Root the information was gathered with the listing; this asks the system nothing.
	info, err := entry.Info()
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		w.found.Problem(sourcePath, err)
	case info.IsDir() && volume(info) != w.volume:
		w.found.Problem(sourcePath, errOtherVolume)
	case info.IsDir():
		w.pending = append(w.pending, sourcePath)
	default:
		w.found.File(Candidate{SourcePath: sourcePath, Identity: identify(info)})
	}
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

func identify(info fs.FileInfo) Identity {
	id := Identity{SizeBytes: info.Size(), ModTime: info.ModTime().UTC()}
	id.Inode, id.ChangeTime = inode(info)
	return id
}
