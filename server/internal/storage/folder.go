package storage

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"github.com/wolkvox/backup"
)

// Entry is a file or folder.
type Entry struct {
	File
	IsFolder bool
}

// Look returns what is under a name, and the place itself where it is empty, of the visible ones: [fs.ErrNotExist] where nothing is
// there, and where the name is the agent's own or none at all.
func (p *Place) Look(name string) (Entry, error) {
	if name == "" {
		return Entry{IsFolder: true}, nil
	}
	if backup.CheckPath(name) != nil {
		return Entry{}, p.failed("look at", name, fs.ErrNotExist)
	}
	root, err := p.root()
	if err != nil {
		return Entry{}, p.failed("look at", name, err)
	}
	defer root.Close()
	info, err := root.Lstat(below(name))
	if errors.Is(err, syscall.ENOTDIR) { // a file is on the way
		err = fs.ErrNotExist
	}
	if err != nil {
		return Entry{}, p.failed("look at", name, err)
	}
	entry, ok := entryOf(name, info)
	if !ok {
		return Entry{}, p.failed("look at", name, fs.ErrNotExist)
	}
	return entry, nil
}

// entryOf describes a file or folder; false for anything else.
func entryOf(name string, info fs.FileInfo) (Entry, bool) {
	switch {
	case info.IsDir():
		return Entry{File: File{Name: name, StoredAt: info.ModTime().UTC()}, IsFolder: true}, true
	case info.Mode().IsRegular():
		return Entry{File: File{Name: name, SizeBytes: info.Size(), StoredAt: info.ModTime().UTC()}}, true
	}
	return Entry{}, false
}

// entriesAtOnce is how many entries of a folder are read at once.
const entriesAtOnce = 256

// Folder is a folder that is being read. Its methods are for one goroutine.
type Folder struct {
	place *Place
	name  string
	dir   *os.File // nil where nothing was ever stored
	read  []fs.DirEntry
}

// Folder opens a folder, of the whole place where the name is empty; errors as for [Place.Look], and where it is a file.
func (p *Place) Folder(name string) (*Folder, error) {
	entry, err := p.Look(name)
	if err == nil && !entry.IsFolder {
		err = p.failed("list", name, ErrObstructed)
	}
	if err != nil {
		return nil, err
	}
	root, err := p.root()
	if errors.Is(err, fs.ErrNotExist) && name == "" {
		return &Folder{place: p}, nil
	}
	if err != nil {
		return nil, p.failed("list", name, err)
	}
	defer root.Close()
	dir, err := root.Open(below(name))
	if err != nil {
		return nil, p.failed("list", name, err)
	}
	return &Folder{place: p, name: name, dir: dir}, nil
}

// Next returns the next visible file or folder, in no order, with its name within the folder; [io.EOF] behind the last. What is
// neither is passed over, and so is what is deleted meanwhile.
func (f *Folder) Next() (Entry, error) {
	for {
		if len(f.read) == 0 {
			if f.dir == nil {
				return Entry{}, io.EOF
			}
			var err error
			if f.read, err = f.dir.ReadDir(entriesAtOnce); len(f.read) == 0 {
				if errors.Is(err, io.EOF) {
					return Entry{}, io.EOF
				}
				return Entry{}, f.place.failed("list", f.name, err)
			}
		}
		next := f.read[0]
		f.read = f.read[1:]
		if backup.CheckPath(path.Join(f.name, next.Name())) != nil {
			continue
		}
		info, err := next.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Entry{}, f.place.failed("list", next.Name(), err)
		}
		if entry, ok := entryOf(next.Name(), info); ok {
			return entry, nil
		}
	}
}

// Close closes the folder.
func (f *Folder) Close() error {
	if f.dir == nil {
		return nil
	}
	return f.dir.Close()
}
