package door

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/server/internal/contentrpc"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/storage"
)

// storageFolder is the folder at the top for what the tenant keeps in wolkvox Storage. There is none for a tenant without it.
const storageFolder = "storage"

// kept returns those of a tenant's destinations that are in wolkvox Storage.
func (v view) kept() (kept []registry.Destination, err error) {
	if v.storage == nil {
		return nil, nil
	}
	all, err := v.destinations()
	for _, d := range all {
		if d.Kind == backup.StorageWolkvox {
			kept = append(kept, d)
		}
	}
	return kept, err
}

// inStorage returns what is at a path below /storage: files by the names that they were stored under.
func (v view) inStorage(path string) (node, error) {
	destinations, err := v.kept()
	if err != nil {
		return node{}, err
	}
	if len(destinations) == 0 {
		return node{}, absent(path)
	}
	if path == "" && len(destinations) > 1 {
		return v.byDestination(storageFolder, destinations), nil
	}
	d, path, ok := choose(destinations, path)
	if !ok {
		return node{}, absent(path)
	}
	place, err := v.storage.Place(d.Tenant, d.Name)
	if err != nil {
		return node{}, err
	}
	return v.storedAt(place, d, path)
}

func (v view) storedAt(place *storage.Place, d registry.Destination, path string) (node, error) {
	entry, err := place.Look(path)
	if err != nil {
		return node{}, err
	}
	name := last(path)
	if path == "" {
		name = storageFolder
	}
	if entry.IsFolder {
		return node{info: infoOfEntry(name, entry), list: func() (entries, error) {
			folder, err := place.Folder(path)
			if err != nil {
				return nil, err
			}
			return storedEntries{folder}, nil
		}}, nil
	}
	return node{info: infoOfEntry(name, entry), subject: readSubject{Origin: string(d.Origin)}, open: func(ctx context.Context) (contents, error) {
		file, sizeBytes, err := place.Open(path)
		if err != nil {
			return nil, err
		}
		return &storedFile{ctx: ctx, contents: v.contents, file: file, sizeBytes: sizeBytes}, nil
	}}, nil
}

func infoOfEntry(name string, e storage.Entry) info {
	return info{name: name, size: e.SizeBytes, at: e.StoredAt, dir: e.IsFolder}
}

// storedEntries are the entries of a folder in wolkvox Storage.
type storedEntries struct{ folder *storage.Folder }

func (s storedEntries) next() (info, error) {
	entry, err := s.folder.Next()
	if err != nil {
		return info{}, err
	}
	return infoOfEntry(entry.Name, entry), nil
}

func (s storedEntries) stop() { s.folder.Close() }

// storedFile is a file in wolkvox Storage. What is stored was compared when it came.
type storedFile struct {
	ctx       context.Context // within which it is read; held because io.ReaderAt has none
	contents  *contentrpc.Service
	file      *os.File
	sizeBytes int64
}

// ReadAt implements io.ReaderAt, at the pace of the server.
func (f *storedFile) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fs.ErrInvalid
	}
	left := f.sizeBytes - offset
	if left <= 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), left)]
	if err := f.contents.Wait(f.ctx, len(p)); err != nil {
		return 0, err
	}
	n, err := f.file.ReadAt(p, offset)
	if n < len(p) {
		return 0, errors.Join(contentrpc.ErrUnreadable, errShort(err))
	}
	return n, nil
}

// errShort keeps the end of a file that has become shorter from looking like its end.
func errShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Close implements io.Closer.
func (f *storedFile) Close() error { return f.file.Close() }
