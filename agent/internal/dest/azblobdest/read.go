package azblobdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// Open implements dest.Driver.
func (h *handle) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	r, _, err := h.open(ctx, name)
	return r, err
}

// open is Open, and returns the version that is read.
func (h *handle) open(ctx context.Context, name string) (io.ReadCloser, *azcore.ETag, error) {
	answer, err := h.client.NewBlobClient(h.blobName(name)).DownloadStream(ctx, nil)
	if err != nil {
		return nil, nil, h.fail(ctx, "open "+name, err)
	}
	if isFolder(answer.Metadata) {
		return nil, nil, fmt.Errorf("%w: %q stands for a folder", dest.ErrConflict, name)
	}
	left := int64(0)
	if answer.ContentLength != nil {
		left = *answer.ContentLength
	}
	return &body{ctx: ctx, handle: h, name: name, r: answer.Body, left: left}, answer.ETag, nil
}

// hashesAtOnce bounds how many blobs are read at once; the pace bounds requests.
const hashesAtOnce = 32

// HashAll implements dest.Hasher: many small requests hide the way to the service.
func (h *handle) HashAll(ctx context.Context, names []string) ([]dest.Found, error) {
	found := make([]dest.Found, len(names))
	hashing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	each(hashesAtOnce, len(names), func(i int) {
		if hashing.Err() != nil {
			return
		}
		if found[i] = h.hash(hashing, names[i]); errors.Is(found[i].Err, dest.ErrUnreachable) { // the others would wait for as long
			stop(found[i].Err)
		}
	})
	if hashing.Err() != nil {
		return nil, context.Cause(hashing)
	}
	return found, nil
}

func (h *handle) hash(ctx context.Context, name string) dest.Found {
	found := dest.Found{Name: name, Method: backup.ReadbackCached}
	r, err := h.Open(ctx, name)
	if err != nil {
		found.Err = err
		return found
	}
	defer r.Close()
	if found.Digest, err = dest.Sum(ctx, r); err != nil {
		found.Err = fmt.Errorf("read %q: %w", name, err)
	}
	return found
}

// each calls do for 0 to n-1, at most atOnce at a time, and returns when all calls have ended.
func each(atOnce, n int, do func(i int)) {
	next := make(chan int)
	var group sync.WaitGroup
	for range min(atOnce, n) {
		group.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
}

// List implements dest.Lister.
func (h *handle) List(ctx context.Context) iter.Seq2[dest.File, error] {
	return func(yield func(dest.File, error) bool) {
		base := h.blobName("")
		pages := h.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{
			Prefix: &base, Include: container.ListBlobsInclude{Metadata: true},
		})
		for pages.More() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(dest.File{}, h.fail(ctx, "list blobs", err))
				return
			}
			for _, item := range page.Segment.BlobItems {
				name := strings.TrimPrefix(*item.Name, base)
				if name == backup.OwnPrefix || strings.HasPrefix(name, backup.OwnPrefix+"/") {
					continue
				}
				file := dest.File{Name: name, Regular: !isFolder(item.Metadata)}
				if item.Properties != nil && item.Properties.ContentLength != nil {
					file.SizeBytes = *item.Properties.ContentLength
				}
				if !yield(file, nil) {
					return
				}
			}
		}
	}
}

// properties asks what a blob is, without its contents.
func (h *handle) properties(ctx context.Context, name string) (blob.GetPropertiesResponse, error) {
	answer, err := h.client.NewBlobClient(h.blobName(name)).GetProperties(ctx, nil)
	return answer, h.fail(ctx, "look at "+name, err)
}
