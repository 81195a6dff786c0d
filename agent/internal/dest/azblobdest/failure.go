package azblobdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// blobImmutableDueToLegalHold is documented, and not in the SDK's list.
const blobImmutableDueToLegalHold = "BlobImmutableDueToLegalHold"

// mostSkew is how far the service lets a request's date be from its own clock.
const mostSkew = 15 * time.Minute

// fail makes an error of an operation on a blob one that callers understand: with the service's code, unreachable, or the end
// of ctx. It holds nothing of the URL but its host: a shared access signature is part of it.
func (h *handle) fail(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	if answer, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return ofAnswer(what, answer)
	}
	if refused, ok := errors.AsType[*tokenError](err); ok {
		return refused.fail(h, what)
	}
	if request, ok := errors.AsType[*url.Error](err); ok {
		err = request.Err
	}
	return &dest.UnreachableError{Place: h.azblob.place(), Cause: fmt.Errorf("%s: %w", what, err)}
}

// failWrite is fail for what changes something. Where an account may not write though it could be read, its subscription was
// stopped: that shows in writes alone.
func (h *handle) failWrite(ctx context.Context, what string, err error) error {
	err = h.fail(ctx, what, err)
	if codeOf(err) == string(bloberror.InsufficientAccountPermissions) {
		return &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeAccountReadOnly, Cause: err}
	}
	return err
}

// ofAnswer is the error of an answer. The name is truly absent only where the service says so of the blob: a container, or an
// account, that is not there is another matter.
func ofAnswer(what string, answer *azcore.ResponseError) error {
	cause := fmt.Errorf("%s: the service answered with status %d", what, answer.StatusCode)
	if answer.StatusCode == http.StatusNotFound && answer.ErrorCode == string(bloberror.BlobNotFound) {
		cause = fmt.Errorf("%s: %w", what, fs.ErrNotExist)
	}
	var err error = &dest.CodeError{Space: dest.SpaceAzure, Name: answer.ErrorCode, Number: int64(answer.StatusCode), Cause: cause}
	if skew := skewOf(answer.RawResponse); answer.ErrorCode == string(bloberror.AuthenticationFailed) && skew > mostSkew {
		err = &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeClock, Cause: fmt.Errorf("%w; the clocks differ by %v", err, skew)}
	}
	return err
}

// skewOf is how far the clock of an answer differs from this machine's.
func skewOf(answer *http.Response) time.Duration {
	if answer == nil {
		return 0
	}
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return 0
	}
	return time.Since(date).Abs().Round(time.Second)
}

// codeOf returns the service's code of an error; "" where it has none.
func codeOf(err error) string {
	if code, ok := errors.AsType[*dest.CodeError](err); ok && code.Space == dest.SpaceAzure {
		return code.Name
	}
	return ""
}

// isImmutable reports whether a code says that what is there may not be changed.
func isImmutable(code string) bool {
	return code == string(bloberror.BlobImmutableDueToPolicy) || code == blobImmutableDueToLegalHold
}

// isTaken reports whether an error of a conditional write says that the name is taken.
func isTaken(err error) bool {
	switch code := codeOf(err); bloberror.Code(code) {
	case bloberror.BlobAlreadyExists, bloberror.ConditionNotMet, bloberror.TargetConditionNotMet, bloberror.UnauthorizedBlobOverwrite:
		return true
	default:
		return isImmutable(code)
	}
}

// body is what is read of a blob, with errors that callers understand.
type body struct {
	ctx    context.Context // of the call that opened it; it ends reading
	handle *handle
	name   string
	r      io.ReadCloser
	left   int64
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if errors.Is(err, io.EOF) && b.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return n, b.handle.fail(b.ctx, "read "+b.name, err)
	}
	return n, err
}

func (b *body) Close() error { return b.r.Close() }

// isFolder reports whether metadata says that a blob stands for a folder, as tools with hierarchical names make them.
func isFolder(metadata map[string]*string) bool {
	for key, value := range metadata {
		if strings.EqualFold(key, "hdi_isfolder") && value != nil && strings.EqualFold(*value, "true") {
			return true
		}
	}
	return false
}
