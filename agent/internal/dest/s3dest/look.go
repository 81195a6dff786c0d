package s3dest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// maxLooks is how many objects are looked at, or read, at once.
const maxLooks = 16

func (h *handle) get(ctx context.Context, key string) (*s3.GetObjectOutput, error) {
	object, err := h.client.GetObject(ctx, &s3.GetObjectInput{Bucket: h.bucket(), Key: &key, ExpectedBucketOwner: h.owner()})
	if err != nil {
		return nil, h.s3.explain(ctx, fmt.Sprintf("get %q", key), err)
	}
	return object, nil
}

// body is an object being read; a connection that breaks in the middle is an unreachable place.
type body struct {
	s3  *S3
	ctx context.Context // of the request
	io.ReadCloser
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = b.s3.explain(b.ctx, "read an object", err)
	}
	return n, err
}

// Open implements dest.Driver.
func (h *handle) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	object, err := h.get(ctx, h.key(name))
	if err != nil {
		return nil, err
	}
	return &body{h.s3, ctx, object.Body}, nil
}

// HashAll implements dest.Hasher. The checksum that the service keeps of a whole object counts where it is known to refuse
// wrong ones; all else is read.
func (h *handle) HashAll(ctx context.Context, names []string) ([]dest.Found, error) {
	return h.hashAll(ctx, names, h.TellsDigests(ctx))
}

// TellsDigests implements dest.Rereader. Who may not write can still read.
func (h *handle) TellsDigests(ctx context.Context) bool {
	if h.s3.o.Readback {
		return false
	}
	honest, err := h.isHonest(ctx)
	return honest && err == nil
}

// ReadAll implements dest.Rereader.
func (h *handle) ReadAll(ctx context.Context, names []string) ([]dest.Found, error) {
	return h.hashAll(ctx, names, false)
}

// hashAll says what is under names, by the service's own checksums where they are trusted.
func (h *handle) hashAll(ctx context.Context, names []string, trusted bool) ([]dest.Found, error) {
	found := make([]dest.Found, len(names))
	var absent atomic.Bool
	looking, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	err := dest.Parallel(looking, len(names), maxLooks, func(i int) {
		found[i] = h.look(looking, names[i], trusted)
		switch {
		case errors.Is(found[i].Err, fs.ErrNotExist):
			absent.Store(true)
		case errors.Is(found[i].Err, dest.ErrUnreachable): // the others would wait for as long
			stop(found[i].Err)
		}
	})
	if err == nil && absent.Load() {
		err = h.answers(ctx) // an answer to HEAD does not say whether it is the object or the bucket that is missing
	}
	return found, err
}

// look returns what is under a name.
func (h *handle) look(ctx context.Context, name string, trusted bool) dest.Found {
	head, err := h.client.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: h.bucket(), Key: new(h.key(name)), ExpectedBucketOwner: h.owner(), ChecksumMode: types.ChecksumModeEnabled,
	})
	switch {
	case bare(err) == http.StatusNotFound:
		return dest.Found{Name: name, Err: &fs.PathError{Op: "head", Path: name, Err: fs.ErrNotExist}}
	case err != nil || !trusted:
		return h.read(ctx, name) // an answer to HEAD has no code: ask in a way that has one
	}
	sum, err := base64.StdEncoding.DecodeString(aws.ToString(head.ChecksumSHA256))
	found := dest.Found{Name: name, Method: backup.ProviderSHA256, Digest: backup.Digest{SizeBytes: aws.ToInt64(head.ContentLength)}}
	if err != nil || len(sum) != len(found.Digest.SHA256) || head.ChecksumType != types.ChecksumTypeFullObject {
		return h.read(ctx, name)
	}
	copy(found.Digest.SHA256[:], sum)
	return found
}

// read hashes what is under a name.
func (h *handle) read(ctx context.Context, name string) dest.Found {
	found := dest.Found{Name: name, Method: backup.ReadbackCached}
	r, err := h.Open(ctx, name)
	if err == nil {
		found.Digest, err = dest.Sum(ctx, r)
		err = errors.Join(err, r.Close())
	}
	if err != nil {
		found.Method, found.Err = "", fmt.Errorf("read %q: %w", name, err)
	}
	return found
}

// List implements dest.Lister. What ends with a slash is no file: other programs show folders by it.
func (h *handle) List(ctx context.Context) iter.Seq2[dest.File, error] {
	return func(yield func(dest.File, error) bool) {
		for object, err := range h.objects(ctx, h.s3.prefix) {
			if err != nil {
				yield(dest.File{}, err)
				return
			}
			name := strings.TrimPrefix(aws.ToString(object.Key), h.s3.prefix)
			if isRecording(name) && !yield(dest.File{Name: name, SizeBytes: aws.ToInt64(object.Size), Regular: !strings.HasSuffix(name, "/")}, nil) {
				return
			}
		}
	}
}

// objects yields what has keys with a prefix.
func (h *handle) objects(ctx context.Context, prefix string) iter.Seq2[types.Object, error] {
	return func(yield func(types.Object, error) bool) {
		pages := s3.NewListObjectsV2Paginator(h.client, &s3.ListObjectsV2Input{Bucket: h.bucket(), ExpectedBucketOwner: h.owner(), Prefix: optional(prefix)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(types.Object{}, h.s3.explain(ctx, "list the bucket", err))
				return
			}
			for _, object := range page.Contents {
				if !yield(object, nil) {
					return
				}
			}
		}
	}
}
