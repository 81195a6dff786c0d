package s3dest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// own returns the key of an own file.
func (h *handle) own(name string) string { return h.s3.prefix + backup.OwnPrefix + "/" + name }

// How own files are numbered where nothing is overwritten.
const (
	leastDigits = 6
	mostDigits  = 12 // the id of a log, which stands in names too, is longer
)

// number returns which of the files that take the name one after the other a key is; 0 is the name itself.
func number(key, own string) (n int64, ok bool) {
	digits, ok := strings.CutPrefix(key, own)
	if !ok || digits == "" {
		return 0, ok
	}
	digits, ok = strings.CutPrefix(digits, ".")
	if !ok || len(digits) < leastDigits || len(digits) > mostDigits {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil && n > 0
}

// lastOwn returns the number of the own file that counts, -1 where there is none, and the keys of all that have its name.
func (h *handle) lastOwn(ctx context.Context, name string) (last int64, keys []string, err error) {
	last = -1
	for object, err := range h.objects(ctx, h.own(name)) {
		if err != nil {
			return 0, nil, err
		}
		key := aws.ToString(object.Key)
		if n, ok := number(key, h.own(name)); ok {
			keys = append(keys, key)
			last = max(last, n)
		}
	}
	return last, keys, nil
}

// numbered returns the key of the nth file that takes a name.
func (h *handle) numbered(name string, n int64) string {
	if n == 0 {
		return h.own(name)
	}
	return fmt.Sprintf("%s.%0*d", h.own(name), leastDigits, n)
}

// ReadOwn implements dest.Keeper.
func (h *handle) ReadOwn(ctx context.Context, name string) ([]byte, error) {
	key := h.own(name)
	if h.locked {
		last, _, err := h.lastOwn(ctx, name)
		if err != nil {
			return nil, err
		}
		if last < 0 {
			return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
		}
		key = h.numbered(name, last)
	}
	object, err := h.get(ctx, key)
	if err != nil {
		return nil, err
	}
	r := &body{h.s3, ctx, object.Body}
	data, err := io.ReadAll(io.LimitReader(r, dest.MaxOwnBytes+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	if len(data) > dest.MaxOwnBytes {
		return nil, fmt.Errorf("%q has more than %d bytes", key, dest.MaxOwnBytes)
	}
	return data, nil
}

// WriteOwn implements dest.Keeper.
func (h *handle) WriteOwn(ctx context.Context, name string, data []byte) error {
	sum := sha256.Sum256(data)
	if !h.locked {
		return h.putObject(ctx, h.own(name), bytes.NewReader(data), int64(len(data)), sum, condition{}, false)
	}
	last, _, err := h.lastOwn(ctx, name)
	if err != nil {
		return err
	}
	return h.putObject(ctx, h.numbered(name, last+1), bytes.NewReader(data), int64(len(data)), sum, ifFree(), false)
}

// RemoveOwn implements dest.Keeper. Where versions are kept, and so where they are locked, what was there stays as an earlier
// one.
func (h *handle) RemoveOwn(ctx context.Context, name string) error {
	keys := []string{h.own(name)}
	if h.locked {
		var err error
		if _, keys, err = h.lastOwn(ctx, name); err != nil {
			return err
		}
	}
	for _, key := range keys {
		if err := h.delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// delete removes an object; one that is absent is no error.
func (h *handle) delete(ctx context.Context, key string) error {
	_, err := h.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: h.bucket(), Key: &key, ExpectedBucketOwner: h.owner()})
	if err = h.s3.explain(ctx, fmt.Sprintf("delete %q", key), err); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// MoveAside implements dest.Mover: the service copies the object, with its checksum, and it is deleted when the copy is there
// whole. The service copies up to 5 GiB at once. In a bucket with object lock it stays where it is.
func (h *handle) MoveAside(ctx context.Context, name, to string) error {
	if h.locked {
		return &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeImmutable, Cause: fmt.Errorf("%q stays where it is: the bucket has object lock", name)}
	}
	from, err := h.get(ctx, h.key(name))
	if err != nil {
		return err
	}
	from.Body.Close()
	if taken, err := h.get(ctx, h.own(to)); err == nil {
		taken.Body.Close()
		return fmt.Errorf("%q is taken: %w", to, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	source := (&url.URL{Path: h.s3.o.Bucket + "/" + h.key(name)}).EscapedPath()
	_, err = h.client.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: h.bucket(), Key: new(h.own(to)), CopySource: new(strings.ReplaceAll(source, "+", "%2B")), CopySourceIfMatch: from.ETag,
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256, ExpectedBucketOwner: h.owner(), ExpectedSourceBucketOwner: h.owner(),
		ServerSideEncryption: types.ServerSideEncryption(h.s3.o.Encryption), SSEKMSKeyId: optional(h.s3.o.KMSKey),
	})
	if err = h.s3.explain(ctx, fmt.Sprintf("copy %q to %q", name, to), err); err != nil {
		return err
	}
	copied, err := h.get(ctx, h.own(to))
	if err != nil {
		return err
	}
	copied.Body.Close()
	if aws.ToInt64(copied.ContentLength) != aws.ToInt64(from.ContentLength) {
		return fmt.Errorf("%q was copied to %q with %d bytes, and has %d", name, to, aws.ToInt64(copied.ContentLength), aws.ToInt64(from.ContentLength))
	}
	return h.delete(ctx, h.key(name))
}
