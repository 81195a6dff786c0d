package azblobdest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// MoveAside implements dest.Mover: the service copies the blob, and then it is deleted, if it is still the same. Where it may
// not be deleted it stays, and the error says so.
func (h *handle) MoveAside(ctx context.Context, name, to string) error {
	there, err := h.properties(ctx, name)
	if err != nil {
		return err
	}
	if isFolder(there.Metadata) {
		return fmt.Errorf("%w: %q stands for a folder", dest.ErrConflict, name)
	}
	if h.azblob.immutable.Load() {
		return h.stays(name, nil)
	}
	if err := h.copy(ctx, name, ownName(to), there.ETag); err != nil {
		return err
	}
	err = h.remove(ctx, name, &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: there.ETag}})
	if isImmutable(codeOf(err)) {
		h.azblob.immutable.Store(true)
		return h.stays(name, err)
	}
	return err
}

// stays says that a blob is where it was.
func (h *handle) stays(name string, err error) error {
	if err == nil {
		err = errors.New("the container has a retention policy or a legal hold")
	}
	return &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeImmutable, Cause: fmt.Errorf("%s was left where it is, unchanged: %w", name, err)}
}

// copyLook is how often is looked whether a copy has ended; within one account it has at once.
const copyLook = 200 * time.Millisecond

// copy has the service copy one version of a blob to a name that is free.
func (h *handle) copy(ctx context.Context, name, to string, etag *azcore.ETag) error {
	target := h.client.NewBlobClient(h.blobName(to))
	answer, err := target.StartCopyFromURL(ctx, h.client.NewBlobClient(h.blobName(name)).URL(), &blob.StartCopyFromURLOptions{
		AccessConditions:               &blob.AccessConditions{ModifiedAccessConditions: whenAbsent()},
		SourceModifiedAccessConditions: &blob.SourceModifiedAccessConditions{SourceIfMatch: etag},
	})
	if err != nil {
		err = h.failWrite(ctx, "copy "+name, err)
		if isTaken(err) {
			return errors.Join(fs.ErrExist, err)
		}
		return err
	}
	status := answer.CopyStatus
	for status != nil && *status == blob.CopyStatusTypePending {
		select {
		case <-time.After(copyLook):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		now, err := target.GetProperties(ctx, nil)
		if err != nil {
			return h.fail(ctx, "look at the copy of "+name, err)
		}
		status = now.CopyStatus
	}
	if status != nil && *status != blob.CopyStatusTypeSuccess {
		return fmt.Errorf("copy %s: the copy ended as %s", name, *status)
	}
	return nil
}
