package s3dest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// condition says what must be under a key for a put to store there.
type condition struct{ noneMatch, match *string }

// ifFree holds where nothing is under the key.
func ifFree() condition { return condition{noneMatch: new("*")} }

// ifIs holds where the object with this ETag is under the key.
func ifIs(etag *string) condition { return condition{match: etag} }

// How often a put is tried that met another one under the same key at the same time, and how long is waited before.
const (
	conflictTries = 5
	conflictPause = 100 * time.Millisecond
)

// putObject stores size bytes of data under a key where the condition holds, else it is fs.ErrExist. The service is told what
// their SHA-256 must be, as a checksum and in the signature.
func (h *handle) putObject(ctx context.Context, key string, data io.ReaderAt, size int64, sum [sha256.Size]byte, cond condition, recording bool) error {
	ctx, cancel := context.WithTimeout(ctx, putTimeout(size))
	defer cancel()
	o := h.s3.o
	in := &s3.PutObjectInput{
		Bucket: h.bucket(), Key: &key, ExpectedBucketOwner: h.owner(), ContentLength: &size, ChecksumSHA256: base64Of(sum),
		IfNoneMatch: cond.noneMatch, IfMatch: cond.match,
		ServerSideEncryption: types.ServerSideEncryption(o.Encryption), SSEKMSKeyId: optional(o.KMSKey),
	}
	if recording {
		in.StorageClass = types.StorageClass(o.StorageClass)
		in.ObjectLockMode = types.ObjectLockMode(o.LockMode)
		in.ObjectLockRetainUntilDate = h.retainUntil()
	}
	for try := 1; ; try++ {
		in.Body = io.NewSectionReader(data, 0, size)
		_, err := h.client.PutObject(ctx, in, payloadHash(sum))
		err = taken(h.s3.explain(ctx, fmt.Sprintf("put %q", key), err), key)
		if codeOf(err) != codeConditionalConflict || try == conflictTries {
			return err
		}
		select {
		case <-time.After(time.Duration(try) * conflictPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// taken makes an error of a condition that does not hold fs.ErrExist.
func taken(err error, key string) error {
	if codeOf(err) == codePreconditionFailed {
		return fmt.Errorf("%q is taken: %w", key, fs.ErrExist)
	}
	return err
}

// putTimeout is how long a put of n bytes may take on a line that is slow.
func putTimeout(n int64) time.Duration {
	return answerTimeout + time.Duration(n/leastBytesPerSecond)*time.Second
}

// retainUntil is until when a recording that is stored now is retained, nil where the bucket decides.
func (h *handle) retainUntil() *time.Time {
	if h.s3.o.LockMode == "" {
		return nil
	}
	return new(time.Now().UTC().AddDate(0, 0, h.s3.o.LockDays))
}

func base64Of(sum [sha256.Size]byte) *string { return new(base64.StdEncoding.EncodeToString(sum[:])) }

// payloadHash has a request signed with the SHA-256 that its body must have, so that the SDK need not compute it, and the
// service compares this too.
func payloadHash(sum [sha256.Size]byte) func(*s3.Options) {
	text := hex.EncodeToString(sum[:])
	return s3.WithAPIOptions(func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("KnownPayloadHash", func(
			ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
		) (middleware.InitializeOutput, middleware.Metadata, error) {
			return next.HandleInitialize(v4.SetPayloadHash(ctx, text), in)
		}), middleware.Before)
	})
}

// Put implements dest.Driver.
func (h *handle) Put(ctx context.Context, name string, r io.Reader, size int64, pre dest.Precondition) error {
	cond := ifFree()
	if known, ok := pre.Replaced(); ok {
		etag, err := h.holds(ctx, name, known)
		if err != nil {
			return err
		}
		cond = ifIs(etag)
	}
	err := h.put(ctx, name, r, size, cond)
	if errors.Is(err, fs.ErrExist) || cond.match != nil && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %q was there first, or is another now", dest.ErrConflict, name)
	}
	return err
}

func (h *handle) put(ctx context.Context, name string, r io.Reader, size int64, cond condition) error {
	if size > h.s3.o.PartBytes {
		m := newMultipart(ctx, h, name, cond)
		n, err := io.Copy(m, io.LimitReader(r, size+1))
		if err == nil && n != size {
			err = wrongLength(size)
		}
		if err != nil {
			return errors.Join(err, m.abort())
		}
		return m.finish(nil)
	}
	c, err := h.s3.room.take(ctx, size)
	if err != nil {
		return err
	}
	defer c.leave()
	n, err := io.Copy(c, io.LimitReader(r, size+1))
	if errors.Is(err, io.ErrShortWrite) || err == nil && n != size {
		return wrongLength(size)
	}
	if err != nil {
		return err
	}
	return h.putObject(ctx, h.key(name), c, size, c.sum(), cond, isRecording(name))
}

func wrongLength(size int64) error {
	return fmt.Errorf("the stream does not have %d bytes, or has more", size)
}

// holds returns the ETag of the object under a name where it has this digest, and is dest.ErrConflict where it is another or
// none.
func (h *handle) holds(ctx context.Context, name string, known backup.Digest) (etag *string, err error) {
	open := func(ctx context.Context, name string) (io.ReadCloser, error) {
		object, err := h.get(ctx, h.key(name))
		if err != nil {
			return nil, err
		}
		etag = object.ETag
		return &body{h.s3, ctx, object.Body}, nil
	}
	return etag, dest.Holds(ctx, open, name, known)
}
