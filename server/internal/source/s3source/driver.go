package s3source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/wolkvox/backup/server/internal/source"
)

const (
	// blockBytes is read by one request; few recordings are larger.
	blockBytes = 1 << 20
	// blocksAhead is how many requests for one file are made at once.
	blocksAhead = 3
	// blockAttempts is how often a block is begun, or gone on with where its answer broke off.
	blockAttempts = 3
	// blockTimeout is how long one of these attempts may take.
	blockTimeout = 2 * time.Minute
)

// driver is a source with one set of credentials.
type driver struct {
	bucket *Bucket
	client *s3.Client
}

func (d *driver) String() string { return d.bucket.Name() }
func (d *driver) Remedy() string { return Remedy }
func (d *driver) Close() error   { return nil }

// Check has nothing to look at: the proof was read from the bucket that all other requests name.
func (d *driver) Check(context.Context) error { return nil }

// key returns the key of the object at a source path.
func (d *driver) key(sourcePath string) *string {
	return aws.String(d.below() + sourcePath)
}

// below is what all keys begin with.
func (d *driver) below() string {
	if d.bucket.config.Prefix == "" {
		return ""
	}
	return d.bucket.config.Prefix + "/"
}

// identify returns what both a listing and an object itself tell. Objects have times in whole seconds; a listing may have finer ones.
func identify(sizeBytes *int64, modified *time.Time, etag *string) source.Identity {
	sum := sha256.Sum256([]byte(strings.Trim(aws.ToString(etag), `"`)))
	return source.Identity{
		SizeBytes: aws.ToInt64(sizeBytes), ModTime: aws.ToTime(modified).UTC().Truncate(time.Second), Inode: binary.BigEndian.Uint64(sum[:]),
	}
}

func (d *driver) Look(ctx context.Context, sourcePath string) (source.Identity, error) {
	look, _, err := d.head(ctx, sourcePath)
	return look, err
}

func (d *driver) head(ctx context.Context, sourcePath string) (source.Identity, *string, error) {
	head, err := d.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &d.bucket.config.Bucket, Key: d.key(sourcePath)})
	if err != nil {
		return source.Identity{}, nil, d.explained(ctx, sourcePath, err)
	}
	if head.ContentLength == nil || head.LastModified == nil || aws.ToString(head.ETag) == "" {
		return source.Identity{}, nil, errors.New("the store does not say size, time and ETag of an object")
	}
	return identify(head.ContentLength, head.LastModified, head.ETag), head.ETag, nil
}

// explained is told for a request that has no answer but a status: a request for the contents says why.
func (d *driver) explained(ctx context.Context, sourcePath string, err error) error {
	err = judged(err)
	if !isBare(err) {
		return err
	}
	got, getErr := d.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &d.bucket.config.Bucket, Key: d.key(sourcePath), Range: aws.String("bytes=0-0")})
	if getErr == nil {
		got.Body.Close()
		return err
	}
	return judged(getErr)
}

func (d *driver) Open(ctx context.Context, sourcePath string) (source.File, source.Identity, error) {
	look, etag, err := d.head(ctx, sourcePath)
	if err != nil {
		return nil, look, err
	}
	return source.ReadAhead(ctx, source.AheadOptions{
		SizeBytes: look.SizeBytes, BlockBytes: blockBytes, Depth: blocksAhead,
		Fetch: func(ctx context.Context, block []byte, off int64) (n int, err error) {
			for range blockAttempts {
				var more int
				more, err = d.fetch(ctx, sourcePath, etag, block[n:], off+int64(n))
				if n += more; n == len(block) || !errors.Is(err, errBrokeOff) || ctx.Err() != nil {
					break
				}
			}
			return n, err
		},
		Close: func() error { return nil },
	}), look, nil
}

// errBrokeOff says that an answer was not whole, which the SDK leaves to its caller.
var errBrokeOff = errors.New("the answer broke off")

// fetch reads what comes of a part of an object that still is the one that was opened.
func (d *driver) fetch(ctx context.Context, sourcePath string, etag *string, block []byte, off int64) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, blockTimeout)
	defer cancel()
	got, err := d.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &d.bucket.config.Bucket, Key: d.key(sourcePath), IfMatch: etag,
		Range: aws.String(fmt.Sprintf("bytes=%d-%d", off, off+int64(len(block))-1)),
	})
	if err != nil {
		return 0, judged(err)
	}
	defer got.Body.Close()
	// Stores exist that do not know conditions, and proxies that do not know ranges.
	if begins := fmt.Sprintf("bytes %d-", off); !strings.HasPrefix(aws.ToString(got.ContentRange), begins) {
		return 0, fmt.Errorf("the store answers %q to a request for the range from %d", aws.ToString(got.ContentRange), off)
	}
	if aws.ToString(got.ETag) != aws.ToString(etag) {
		return 0, source.ErrChanging
	}
	n, err := io.ReadFull(got.Body, block)
	if err != nil {
		return n, fmt.Errorf("%w: %v", errBrokeOff, err)
	}
	return n, nil
}

// Create puts an object where there is none.
func (d *driver) Create(ctx context.Context, sourcePath string, contents []byte) error {
	_, err := d.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &d.bucket.config.Bucket, Key: d.key(sourcePath), Body: bytes.NewReader(contents), IfNoneMatch: aws.String("*"),
	})
	if err = judged(err); isTaken(err) {
		return fmt.Errorf("%w: %w", fs.ErrExist, err)
	}
	return err
}

// List takes the listing page by page. Any page that cannot be had, or is none, ends it with an error: what is not listed must
// not look as if it were not there.
func (d *driver) List(ctx context.Context, found *source.Found) error {
	in := &s3.ListObjectsV2Input{Bucket: &d.bucket.config.Bucket, Prefix: aws.String(d.below()), EncodingType: types.EncodingTypeUrl}
	for {
		page, err := d.client.ListObjectsV2(ctx, in)
		if err != nil {
			return fmt.Errorf("list: %w", judged(err))
		}
		// An error inside an answer that says 200 reads like an empty page otherwise.
		if aws.ToString(page.Name) != d.bucket.config.Bucket || page.IsTruncated == nil {
			return errors.New("list: what the store answers is no listing of the bucket")
		}
		for _, object := range page.Contents {
			if err := d.found(object, page.EncodingType == types.EncodingTypeUrl, found); err != nil {
				return err
			}
		}
		if !*page.IsTruncated {
			return nil
		}
		if next := aws.ToString(page.NextContinuationToken); next == "" || next == aws.ToString(in.ContinuationToken) {
			return errors.New("list: the store does not say how the listing goes on")
		}
		in.ContinuationToken = page.NextContinuationToken
	}
}

func (d *driver) found(object types.Object, encoded bool, found *source.Found) error {
	key := aws.ToString(object.Key)
	if encoded {
		decoded, err := url.QueryUnescape(key)
		if err != nil {
			return fmt.Errorf("list: the key %q: %w", key, err)
		}
		key = decoded
	}
	sourcePath, ok := strings.CutPrefix(key, d.below())
	if !ok || object.Size == nil || object.LastModified == nil || aws.ToString(object.ETag) == "" {
		return fmt.Errorf("list: the entry of %q is none below %q, or without size, time or ETag", key, d.below())
	}
	switch {
	case strings.HasSuffix(key, "/") && *object.Size == 0: // how tools show a folder
	case !source.IsLocal(sourcePath):
		found.Skip(sourcePath, source.SkipName)
	case found.Wanted(sourcePath, 0):
		found.File(source.Candidate{SourcePath: sourcePath, Identity: identify(object.Size, object.LastModified, object.ETag)})
	}
	return nil
}
