package wolkvoxdest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// NewStage implements dest.Stager.
func (h *handle) NewStage(context.Context) (dest.Stage, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &stage{handle: h, ctx: ctx, cancel: cancel, ended: map[string]outcome{}}, nil
}

// SweepStaging implements dest.Stager. The server forgets what did not come to its end.
func (h *handle) SweepStaging(context.Context) error { return nil }

// stage sends files to their own names.
type stage struct {
	handle *handle
	ctx    context.Context // of what is on its way, until the stage is discarded
	cancel context.CancelCauseFunc
	going  dest.Underway

	mu    sync.Mutex         // guards what follows
	ended map[string]outcome // by key, of the files that were closed
}

// outcome is how an upload ended.
type outcome struct {
	want backup.Digest
	err  error
}

var errNotStaged = errors.New("wolkvox Storage stages nothing here")

// Create implements dest.Stage.
func (s *stage) Create(context.Context, string, int64) (dest.StagedFile, error) {
	return nil, errNotStaged
}

// Open implements dest.Stage.
func (s *stage) Open(context.Context, string) (io.ReadCloser, error) { return nil, errNotStaged }

// Upload implements dest.Uploader. A file waits here for its turn; of one that waits nothing is held.
func (s *stage) Upload(ctx context.Context, key, name string, want backup.Digest) (dest.StagedFile, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case s.handle.storage.sending <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	f := &upload{stage: s, key: key, want: want, header: s.handle.header(name, want, dest.Absent)}
	if want.SizeBytes <= pieceBytes {
		return f, nil
	}
	long, err := s.handle.begin(s.ctx, f.header)
	if err != nil {
		<-s.handle.storage.sending
		return nil, ended(ctx, answered("store a file", err))
	}
	f.long = long
	return f, nil
}

// upload is one file on its way. It is used by one goroutine until it is closed.
type upload struct {
	stage  *stage
	key    string
	want   backup.Digest
	header *backupv1.PutFileRequest
	long   *sending // of a file of several messages; nil for one that is kept in the header until it is sent
}

// Write implements dest.StagedFile. What the server thinks of the file comes with its end.
func (f *upload) Write(p []byte) (int, error) {
	if f.long == nil {
		f.header.Data = append(f.header.Data, p...)
		return len(p), nil
	}
	if err := f.long.write(p); err != nil {
		return 0, ended(f.stage.ctx, answered("store a file", err))
	}
	return len(p), nil
}

// Close implements dest.StagedFile: the outcome is that of Publish.
func (f *upload) Close() error {
	f.stage.going.Go(func() {
		var err error
		if f.long == nil {
			err = f.stage.handle.sendSmall(f.stage.ctx, f.header)
		} else {
			err = ended(f.stage.ctx, answered("store a file", f.long.end()))
		}
		f.release()
		f.stage.mu.Lock()
		defer f.stage.mu.Unlock()
		f.stage.ended[f.key] = outcome{f.want, err}
	})
	return nil
}

// Discard implements dest.StagedFile.
func (f *upload) Discard() error {
	if f.long != nil {
		f.long.cancel()
	}
	f.release()
	return nil
}

func (f *upload) release() {
	f.header, f.long = nil, nil
	<-f.stage.handle.storage.sending
}

// Sync implements dest.Stage.
func (s *stage) Sync(ctx context.Context) error {
	err := s.going.Wait(ctx)
	if err != nil {
		s.cancel(err)
		s.wait()
	}
	return err
}

// Publish implements dest.Stage: it says how each upload ended.
func (s *stage) Publish(ctx context.Context, moves []dest.Move) []error {
	errs := make([]error, len(moves))
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, move := range moves {
		outcome, sent := s.ended[move.Key]
		err := outcome.err
		switch {
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		case !sent:
			err = &fs.PathError{Op: "store", Path: move.Key, Err: fs.ErrNotExist}
		}
		errs[i] = err
	}
	return errs
}

// SyncNames implements dest.Stage: what the service has acknowledged is durable.
func (s *stage) SyncNames(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// Check implements dest.Checker. Where the service is relied upon, it compared before it acknowledged.
func (s *stage) Check(ctx context.Context, moves []dest.Move) ([]dest.Checked, error) {
	method, err := s.handle.method(ctx)
	if err != nil {
		return nil, err
	}
	checked := make([]dest.Checked, len(moves))
	for i, move := range moves {
		checked[i].Method = method
		if method == backup.ProviderSHA256 {
			continue
		}
		s.mu.Lock()
		outcome, sent := s.ended[move.Key]
		s.mu.Unlock()
		if !sent {
			return nil, &fs.PathError{Op: "compare", Path: move.Key, Err: fs.ErrNotExist}
		}
		got, err := s.handle.readBack(ctx, move.Name)
		if err == nil && got != outcome.want {
			err = differs(move.Name, got, outcome.want)
		}
		checked[i].Err = err
	}
	return checked, nil
}

// Remove implements dest.Stage.
func (s *stage) Remove(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ended, key)
	return nil
}

// Discard implements dest.Stage. What was acknowledged stays.
func (s *stage) Discard() error {
	s.cancel(errors.New("the stage was discarded"))
	s.wait()
	return nil
}

// wait returns when nothing is on its way any more.
func (s *stage) wait() { s.going.Wait(context.Background()) }
