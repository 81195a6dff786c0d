package azblobdest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// stage is a set of uploads.
type stage struct {
	h      *handle
	ctx    context.Context // ends with Discard: what is on its way goes on until then
	cancel context.CancelFunc

	mu      sync.Mutex
	uploads map[string]*upload // by key, those that were closed
}

// NewStage implements dest.Stager.
func (h *handle) NewStage(ctx context.Context) (dest.Stage, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s := &stage{h: h, uploads: make(map[string]*upload)}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return s, nil
}

// SweepStaging implements dest.Stager: nothing is ever staged.
func (h *handle) SweepStaging(context.Context) error { return nil }

var errNotStaged = errors.New("a container stages nothing")

// Create implements dest.Stage.
func (s *stage) Create(context.Context, string, int64) (dest.StagedFile, error) {
	return nil, errNotStaged
}

// Open implements dest.Stage.
func (s *stage) Open(context.Context, string) (io.ReadCloser, error) { return nil, errNotStaged }

// upload is a file of a stage.
type upload struct {
	*put
	stage *stage
	key   string
	own   string // the own file that it is; empty for a recording

	done   chan struct{} // closed when what follows is known
	stored *stored
	err    error
}

// Upload implements dest.Uploader. It waits until there is room for the file, or for a part of it.
func (s *stage) Upload(ctx context.Context, key, name string, want backup.Digest) (dest.StagedFile, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	p, err := s.h.begin(ctx, s.ctx, name, want.SizeBytes, whenAbsent())
	if err != nil {
		return nil, err
	}
	p.want, p.tier = &want, s.h.tier(name)
	u := &upload{put: p, stage: s, key: key, done: make(chan struct{})}
	u.own, _ = strings.CutPrefix(name, backup.OwnPrefix+"/")
	if u.own == name {
		u.own = ""
	}
	return u, nil
}

// tier is where a recording is kept; the agent's own files are read often and stay where the account keeps things.
func (h *handle) tier(name string) *blob.AccessTier {
	tiers := map[Tier]blob.AccessTier{Hot: blob.AccessTierHot, Cool: blob.AccessTierCool, Cold: blob.AccessTierCold}
	tier, ok := tiers[h.azblob.options.Tier]
	if !ok || strings.HasPrefix(name, backup.OwnPrefix+"/") {
		return nil
	}
	return &tier
}

// Close implements dest.StagedFile.
func (u *upload) Close() error {
	u.stage.mu.Lock()
	u.stage.uploads[u.key] = u
	u.stage.mu.Unlock()
	go func() { // Sync and Discard wait for it
		defer close(u.done)
		if u.own != "" && u.h.azblob.immutable.Load() {
			u.err = u.h.claimOwn(u.ctx, u.put, u.own)
			return
		}
		u.stored, u.err = u.finish()
	}()
	return nil
}

// Discard implements dest.StagedFile.
func (u *upload) Discard() error {
	u.giveUp()
	return nil
}

// closed returns the uploads that were closed by now.
func (s *stage) closed() []*upload {
	s.mu.Lock()
	defer s.mu.Unlock()
	closed := make([]*upload, 0, len(s.uploads))
	for _, u := range s.uploads {
		closed = append(closed, u)
	}
	return closed
}

// Sync implements dest.Stage: what the service has acknowledged is durable.
func (s *stage) Sync(ctx context.Context) error {
	for _, u := range s.closed() {
		select {
		case <-u.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// of returns an upload that has ended.
func (s *stage) of(key string) (*upload, error) {
	s.mu.Lock()
	u, ok := s.uploads[key]
	s.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("nothing was uploaded as %s", key)
	}
	<-u.done
	return u, nil
}

// Publish implements dest.Stage: it tells how the uploads ended.
func (s *stage) Publish(_ context.Context, moves []dest.Move) []error {
	errs := make([]error, len(moves))
	for i, move := range moves {
		u, err := s.of(move.Key)
		if err == nil {
			err = u.err
		}
		errs[i] = err
	}
	return errs
}

// SyncNames implements dest.Stage.
func (s *stage) SyncNames(context.Context) error { return nil }

// Remove implements dest.Stage: an upload that is not needed has left nothing.
func (s *stage) Remove(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.uploads, key)
	return nil
}

// Discard implements dest.Stage.
func (s *stage) Discard() error {
	s.cancel()
	for _, u := range s.closed() {
		<-u.done
	}
	return nil
}

// checksAtOnce bounds how many blobs are compared at once; the pace bounds requests.
const checksAtOnce = 32

// Check implements dest.Checker.
func (s *stage) Check(ctx context.Context, moves []dest.Move) ([]dest.Checked, error) {
	believed := !s.h.azblob.options.Readback && s.h.md5IsChecked(ctx)
	checked := make([]dest.Checked, len(moves))
	each(checksAtOnce, len(moves), func(i int) {
		u, err := s.of(moves[i].Key)
		if err != nil {
			checked[i].Err = err
			return
		}
		checked[i] = u.check(ctx, believed)
		s.Remove(moves[i].Key) // a night may have tens of thousands of files
	})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return checked, nil
}

// check compares what is stored with what was sent: by the MD5 that the service keeps with the blob, where it is believed and
// covers all of it, or else by reading all of it.
func (u *upload) check(ctx context.Context, believed bool) dest.Checked {
	if u.stored == nil {
		return dest.Checked{Err: fmt.Errorf("%s was not stored", u.name)}
	}
	if believed && u.stored.md5 != nil {
		answer, err := u.h.properties(ctx, u.name)
		if err != nil {
			return dest.Checked{Err: gone(u.name, err)}
		}
		if answer.ContentLength == nil || *answer.ContentLength != u.stored.size {
			return dest.Checked{Method: backup.ProviderMD5, Err: fmt.Errorf("%w: the size of %s", dest.ErrReadBack, u.name)}
		}
		if len(answer.ContentMD5) > 0 {
			if !bytes.Equal(answer.ContentMD5, u.stored.md5) {
				return dest.Checked{Method: backup.ProviderMD5, Err: fmt.Errorf("%w: the MD5 of %s", dest.ErrReadBack, u.name)}
			}
			return dest.Checked{Method: backup.ProviderMD5}
		}
	}
	found := u.h.hash(ctx, u.name)
	switch {
	case found.Err != nil:
		return dest.Checked{Err: gone(u.name, found.Err)}
	case found.Digest != *u.want:
		return dest.Checked{Method: found.Method, Err: fmt.Errorf("%w: %s is %v, wanted is %v", dest.ErrReadBack, u.name, found.Digest, *u.want)}
	}
	return dest.Checked{Method: found.Method}
}

// gone makes of a blob that was stored and is not there what it is: it is not what was stored.
func gone(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is not there any more", dest.ErrReadBack, name)
	}
	return err
}
