package memdest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// uploads is a stage of an object store. What is uploaded is gathered in memory, put when it is closed, and looked at again
// when it is checked.
type uploads struct {
	*stage
	going dest.Underway
	ended map[string]error // by key, how each upload ended; guarded by the disk's lock
}

var errNotStaged = errors.New("an object store stages nothing")

// Create implements dest.Stage.
func (u *uploads) Create(context.Context, string, int64) (dest.StagedFile, error) {
	return nil, errNotStaged
}

// Open implements dest.Stage.
func (u *uploads) Open(context.Context, string) (io.ReadCloser, error) { return nil, errNotStaged }

// Upload implements dest.Uploader.
func (u *uploads) Upload(ctx context.Context, key, name string, want backup.Digest) (dest.StagedFile, error) {
	file, err := u.stage.Create(ctx, key, want.SizeBytes)
	if err != nil {
		return nil, err
	}
	return &upload{file.(*stagedFile), u, name, want}, nil
}

// upload is one file on its way.
type upload struct {
	*stagedFile
	uploads *uploads
	name    string
	want    backup.Digest
}

// Close implements dest.StagedFile.
func (f *upload) Close() error {
	if err := f.stagedFile.Close(); err != nil {
		return err
	}
	f.uploads.going.Go(f.put)
	return nil
}

// put makes the file visible, as a service does that was told the digest.
func (f *upload) put() {
	unlock, err := f.uploads.handle.lock(context.Background())
	defer unlock()
	if got := sum(f.node.data); err == nil && got != f.want {
		err = fmt.Errorf("%w: %v came, %v was announced", backup.ErrDigest, got, f.want)
	}
	if err == nil {
		err = f.uploads.handle.disk.link(f.name, f.node)
	}
	delete(f.uploads.files, f.key)
	f.uploads.ended[f.key] = err
}

// Sync implements dest.Stage.
func (u *uploads) Sync(ctx context.Context) error {
	if err := u.going.Wait(ctx); err != nil {
		return err
	}
	unlock, err := u.handle.lock(ctx)
	defer unlock()
	return err
}

// Publish implements dest.Stage.
func (u *uploads) Publish(ctx context.Context, moves []dest.Move) []error {
	unlock, err := u.handle.lock(ctx)
	defer unlock()
	errs := make([]error, len(moves))
	for i, move := range moves {
		end, ok := u.ended[move.Key]
		switch {
		case err != nil:
			errs[i] = err
		case !ok:
			errs[i] = &fs.PathError{Op: "upload", Path: move.Key, Err: fs.ErrNotExist}
		default:
			errs[i] = end
			delete(u.ended, move.Key)
		}
	}
	return errs
}

// SyncNames implements dest.Stage: what an object store has acknowledged is durable.
func (u *uploads) SyncNames(ctx context.Context) error {
	unlock, err := u.handle.lock(ctx)
	defer unlock()
	return err
}

// Check implements dest.Checker.
func (u *uploads) Check(ctx context.Context, moves []dest.Move) ([]dest.Checked, error) {
	checked := make([]dest.Checked, len(moves))
	for i := range moves {
		checked[i] = dest.Checked{Method: backup.ProviderSHA256} // put saw to it
	}
	unlock, err := u.handle.lock(ctx)
	defer unlock()
	return checked, err
}

// Remove implements dest.Stage.
func (u *uploads) Remove(string) error { return nil }

// Discard implements dest.Stage.
func (u *uploads) Discard() error {
	return u.going.Wait(context.Background())
}

func sum(data []byte) backup.Digest {
	return backup.Digest{SHA256: sha256.Sum256(data), SizeBytes: int64(len(data))}
}
