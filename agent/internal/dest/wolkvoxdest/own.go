package wolkvoxdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// ReadOwn implements dest.Keeper.
func (h *handle) ReadOwn(ctx context.Context, name string) ([]byte, error) {
	limited, cancel := timed(ctx)
	defer cancel()
	answer, err := h.storage.client.ReadOwnFile(limited, &backupv1.ReadOwnFileRequest{Tenant: h.tenant(), Destination: h.place(), OwnName: name})
	return answer.GetData(), ended(ctx, answered("read the own file "+name, err))
}

// WriteOwn implements dest.Keeper.
func (h *handle) WriteOwn(ctx context.Context, name string, data []byte) error {
	limited, cancel := timed(ctx)
	defer cancel()
	_, err := h.storage.client.WriteOwnFile(limited, &backupv1.WriteOwnFileRequest{Tenant: h.tenant(), Destination: h.place(), OwnName: name, Data: data})
	return ended(ctx, answered("write the own file "+name, err))
}

// RemoveOwn implements dest.Keeper.
func (h *handle) RemoveOwn(ctx context.Context, name string) error {
	limited, cancel := timed(ctx)
	defer cancel()
	_, err := h.storage.client.RemoveOwnFile(limited, &backupv1.RemoveOwnFileRequest{Tenant: h.tenant(), Destination: h.place(), OwnName: name})
	return ended(ctx, answered("remove the own file "+name, err))
}

// MoveAside implements dest.Mover.
func (h *handle) MoveAside(ctx context.Context, name, to string) error {
	limited, cancel := timed(ctx)
	defer cancel()
	_, err := h.storage.client.MoveFileAside(limited, &backupv1.MoveFileAsideRequest{Tenant: h.tenant(), Destination: h.place(), Name: name, OwnName: to})
	return ended(ctx, answered("move a file aside", err))
}

// List implements dest.Lister.
func (h *handle) List(ctx context.Context) iter.Seq2[dest.File, error] {
	return func(yield func(dest.File, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := h.storage.client.ListFiles(ctx, &backupv1.ListFilesRequest{Tenant: h.tenant(), Destination: h.place()})
		for complete := false; !complete; {
			var part *backupv1.ListFilesResponse
			if err == nil {
				part, err = stream.Recv()
			}
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				yield(dest.File{}, ended(ctx, answered("list wolkvox Storage", err)))
				return
			}
			complete = part.GetComplete()
			for _, file := range part.GetFiles() {
				if !yield(dest.File{Name: file.GetName(), SizeBytes: file.GetSizeBytes(), Regular: true}, nil) {
					return
				}
			}
		}
	}
}

// HashAll implements dest.Hasher: the service reads what it stores again.
func (h *handle) HashAll(ctx context.Context, names []string) ([]dest.Found, error) {
	method, err := h.method(ctx)
	if err != nil {
		return nil, err
	}
	found := make([]dest.Found, 0, len(names))
	for len(names) > 0 {
		part := names[:min(len(names), wire.MaxStorageNames)]
		names = names[len(part):]
		hashed, err := h.hash(ctx, part, method)
		if err != nil {
			return nil, ended(ctx, answered("have files hashed", err))
		}
		found = append(found, hashed...)
	}
	return found, nil
}

func (h *handle) hash(ctx context.Context, names []string, method backup.Method) ([]dest.Found, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := h.storage.client.HashFiles(ctx, &backupv1.HashFilesRequest{Tenant: h.tenant(), Destination: h.place(), Names: names})
	if err != nil {
		return nil, err
	}
	var found []dest.Found
	for len(found) < len(names) {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		if len(answer.GetFiles()) > len(names)-len(found) {
			return nil, errors.New("the server hashed more files than were asked for")
		}
		for _, file := range answer.GetFiles() {
			found = append(found, h.found(ctx, names[len(found)], file, method))
		}
	}
	return found, nil
}

// found is what the service says of one name; where it is not relied upon, what is read back.
func (h *handle) found(ctx context.Context, name string, file *backupv1.FoundFile, method backup.Method) dest.Found {
	f := dest.Found{Name: name, Method: method}
	if file.GetPresence() != backupv1.FilePresence_FILE_PRESENCE_PRESENT {
		f.Err = fmt.Errorf("hash %q: %w", name, presenceError(file.GetPresence()))
		return f
	}
	if method != backup.ProviderSHA256 {
		f.Digest, f.Err = h.readBack(ctx, name)
		return f
	}
	f.Digest, f.Err = parseDigest(file.GetDigest())
	return f
}

// readBack reads what is stored over the line.
func (h *handle) readBack(ctx context.Context, name string) (backup.Digest, error) {
	r, err := h.Open(ctx, name)
	if err != nil {
		return backup.Digest{}, err
	}
	d, err := dest.Sum(ctx, r)
	return d, errors.Join(err, r.Close())
}
