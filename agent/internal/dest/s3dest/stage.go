package s3dest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// stage is a batch of files on their way to their own keys.
type stage struct {
	h      *handle
	honest bool
	ctx    context.Context // of all that is on its way; ends when the stage is discarded
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	uploads map[string]*upload // those that were closed, by key
}

var (
	errNotStaged = errors.New("an object store stages nothing")
	errDiscarded = errors.New("the batch was discarded")
)

// NewStage implements dest.Stager.
func (h *handle) NewStage(ctx context.Context) (dest.Stage, error) {
	honest, err := h.isHonest(ctx)
	if err != nil {
		return nil, err
	}
	s := &stage{h: h, honest: honest, uploads: make(map[string]*upload)}
	s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	return s, nil
}

// SweepStaging implements dest.Stager: multipart uploads below the prefix that this process does not know are given up. Who may
// not list them leaves that to the bucket's own rules.
func (h *handle) SweepStaging(ctx context.Context) error {
	pages := s3.NewListMultipartUploadsPaginator(h.client, &s3.ListMultipartUploadsInput{
		Bucket: h.bucket(), ExpectedBucketOwner: h.owner(), Prefix: optional(h.s3.prefix),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err = h.s3.explain(ctx, "list unfinished uploads", err); err != nil {
			if code := codeOf(err); code == codeAccessDenied || code == codeNotImplemented {
				return nil
			}
			return err
		}
		for _, found := range page.Uploads {
			if h.s3.isActive(aws.ToString(found.UploadId)) {
				continue
			}
			if err := h.abortUpload(ctx, aws.ToString(found.Key), aws.ToString(found.UploadId)); err != nil {
				return err
			}
		}
	}
	return nil
}

// abortUpload has the service forget an upload; one that it does not know is no error.
func (h *handle) abortUpload(ctx context.Context, key, id string) error {
	_, err := h.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: h.bucket(), Key: &key, UploadId: &id, ExpectedBucketOwner: h.owner()})
	if err = h.s3.explain(ctx, fmt.Sprintf("give up the upload of %q", key), err); codeOf(err) == "NoSuchUpload" {
		return nil
	}
	return err
}

func (s *S3) setActive(id string, active bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if active {
		s.active[id] = true
	} else {
		delete(s.active, id)
	}
}

func (s *S3) isActive(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active[id]
}

// Create implements dest.Stage.
func (s *stage) Create(context.Context, string, int64) (dest.StagedFile, error) {
	return nil, errNotStaged
}

// Open implements dest.Stage.
func (s *stage) Open(context.Context, string) (io.ReadCloser, error) { return nil, errNotStaged }

// Upload implements dest.Uploader.
func (s *stage) Upload(ctx context.Context, key, name string, want backup.Digest) (dest.StagedFile, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	u := &upload{stage: s, key: key, name: name, want: want, done: make(chan struct{})}
	if want.SizeBytes > s.h.s3.o.PartBytes {
		u.large = newMultipart(s.ctx, s.h, name, ifFree())
		return u, nil
	}
	data, err := s.h.s3.room.take(ctx, want.SizeBytes)
	if err != nil {
		return nil, err
	}
	u.data = data
	return u, nil
}

// Sync implements dest.Stage: it waits for all uploads that were closed before.
func (s *stage) Sync(ctx context.Context) error {
	s.mu.Lock()
	var waited []*upload
	for _, u := range s.uploads {
		waited = append(waited, u)
	}
	s.mu.Unlock()
	for _, u := range waited {
		select {
		case <-u.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Publish implements dest.Stage.
func (s *stage) Publish(ctx context.Context, moves []dest.Move) []error {
	errs := make([]error, len(moves))
	for i, move := range moves {
		s.mu.Lock()
		u, ok := s.uploads[move.Key]
		s.mu.Unlock()
		if !ok {
			errs[i] = &fs.PathError{Op: "upload", Path: move.Name, Err: fs.ErrNotExist}
			continue
		}
		select {
		case <-u.done:
			errs[i] = u.err
		case <-ctx.Done():
			errs[i] = context.Cause(ctx)
		}
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

// Check implements dest.Checker. What the service compared when it stored it is not read again.
func (s *stage) Check(ctx context.Context, moves []dest.Move) ([]dest.Checked, error) {
	checked := make([]dest.Checked, len(moves))
	err := dest.Parallel(ctx, len(moves), maxLooks, func(i int) {
		s.mu.Lock()
		u := s.uploads[moves[i].Key]
		delete(s.uploads, moves[i].Key)
		s.mu.Unlock()
		if s.honest && !s.h.s3.o.Readback {
			checked[i] = dest.Checked{Method: u.method()}
			return
		}
		found := s.h.read(ctx, moves[i].Name)
		checked[i] = dest.Checked{Method: found.Method, Err: found.Err}
		if found.Err == nil && found.Digest != u.want {
			checked[i].Err = fmt.Errorf("%w: %q is %v, wanted is %v", dest.ErrReadBack, u.name, found.Digest, u.want)
		}
	})
	return checked, err
}

// Remove implements dest.Stage.
func (s *stage) Remove(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.uploads, key)
	return nil
}

// Discard implements dest.Stage.
func (s *stage) Discard() error {
	s.cancel(errDiscarded)
	return s.Sync(context.Background())
}

// upload is one file on its way: gathered in memory where it is small, in parts where it is large.
type upload struct {
	stage *stage
	key   string
	name  string
	want  backup.Digest
	data  *contents
	large *multipart // nil where it is small

	done chan struct{} // closed when it has ended
	err  error         // how, from then on
}

// Write implements dest.StagedFile.
func (u *upload) Write(p []byte) (int, error) {
	if u.large != nil {
		return u.large.Write(p)
	}
	n, err := u.data.Write(p)
	if err != nil {
		err = fmt.Errorf("%w: more than %d bytes came of %q", backup.ErrDigest, u.want.SizeBytes, u.name)
	}
	return n, err
}

// Close implements dest.StagedFile. The upload goes on.
func (u *upload) Close() error {
	u.stage.mu.Lock()
	u.stage.uploads[u.key] = u
	u.stage.mu.Unlock()
	go u.run() // Sync and Discard wait for its end
	return nil
}

func (u *upload) run() {
	defer close(u.done)
	if u.large != nil {
		u.err = u.stored(u.large.finish(&u.want))
		u.large = nil
		return
	}
	u.err = u.stored(u.put())
	u.data.leave()
}

// stored makes the end of a connection fs.ErrExist where something has the name now: the service may have answered that the name
// is taken before it had all, or its answer to what it stored was lost. What is there will be looked at.
func (u *upload) stored(err error) error {
	if !errors.Is(err, dest.ErrUnreachable) || u.stage.ctx.Err() != nil {
		return err
	}
	h := u.stage.h
	_, head := h.client.HeadObject(u.stage.ctx, &s3.HeadObjectInput{Bucket: h.bucket(), Key: new(h.key(u.name)), ExpectedBucketOwner: h.owner()})
	if head != nil {
		return err
	}
	return fmt.Errorf("%q is there: %w: %w", u.name, fs.ErrExist, err)
}

func (u *upload) put() error {
	h, ctx := u.stage.h, u.stage.ctx
	if !u.data.full() {
		return wrongDigest(u.name, backup.Digest{SHA256: u.data.sum(), SizeBytes: u.data.size}, u.want)
	}
	select {
	case h.puts <- struct{}{}:
		defer func() { <-h.puts }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return h.putObject(ctx, h.key(u.name), u.data, u.want.SizeBytes, u.want.SHA256, ifFree(), isRecording(u.name))
}

// method is how the service compared what it stored.
func (u *upload) method() backup.Method {
	if part := u.stage.h.s3.o.PartBytes; u.want.SizeBytes > part {
		return backup.ProviderSHA256Parts(part)
	}
	return backup.ProviderSHA256
}

// Discard implements dest.StagedFile.
func (u *upload) Discard() error {
	if u.large != nil {
		return u.large.abort()
	}
	u.data.leave()
	return nil
}

func wrongDigest(name string, got, want backup.Digest) error {
	return fmt.Errorf("%w: %v came of %q, wanted is %v", backup.ErrDigest, got, name, want)
}

// isRecording reports whether a name is not one of the agent's own.
func isRecording(name string) bool { return !strings.HasPrefix(name, backup.OwnPrefix+"/") }
