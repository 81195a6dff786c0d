package s3dest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/wolkvox/backup"
)

// abortTimeout is how long is waited for the service to forget an upload that is given up.
const abortTimeout = 30 * time.Second

// multipart is a large file on its way, in parts that are uploaded while the next one comes. It is not visible before finish
// has completed it. Write, finish and abort are for one goroutine; finish or abort is called once.
type multipart struct {
	h    *handle
	ctx  context.Context // of all parts; a multipart lives as long as what it uploads
	name string
	cond condition

	sum  hash.Hash // of all bytes
	size int64
	part *contents // the next one; nil where it has not begun

	group sync.WaitGroup // of the parts on their way
	mu    sync.Mutex     // guards what follows
	id    string         // of the upload; empty while there is none
	parts []types.CompletedPart
	err   error // the first of any part
}

func newMultipart(ctx context.Context, h *handle, name string, cond condition) *multipart {
	return &multipart{h: h, ctx: ctx, name: name, cond: cond, sum: sha256.New()}
}

// Write takes the next bytes. It waits for room; an error says that there will be none, and those of parts come from finish.
func (m *multipart) Write(p []byte) (int, error) {
	m.sum.Write(p)
	m.size += int64(len(p))
	for rest := p; len(rest) > 0; {
		if m.part == nil {
			part, err := m.h.s3.room.take(m.ctx, m.h.s3.o.PartBytes)
			if err != nil {
				return len(p) - len(rest), err
			}
			m.part = part
		}
		n, _ := m.part.Write(rest[:min(int64(len(rest)), m.part.limit-m.part.size)]) // there is room for so many
		if rest = rest[n:]; m.part.full() {
			m.send()
		}
	}
	return len(p), nil
}

// send uploads the part that is there.
func (m *multipart) send() {
	data := m.part
	m.part = nil
	if err := m.begin(); err != nil {
		data.leave()
		return
	}
	m.mu.Lock()
	number := int32(len(m.parts) + 1)
	m.parts = append(m.parts, types.CompletedPart{PartNumber: &number})
	m.mu.Unlock()
	m.group.Go(func() {
		defer data.leave()
		done, err := m.upload(number, data)
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.parts[number-1] = done; m.err == nil {
			m.err = err
		}
	})
}

// begin makes the upload where there is none, and returns why no more parts are wanted.
func (m *multipart) begin() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil || m.id != "" {
		return m.err
	}
	o := m.h.s3.o
	in := &s3.CreateMultipartUploadInput{
		Bucket: m.h.bucket(), Key: new(m.h.key(m.name)), ExpectedBucketOwner: m.h.owner(), ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
		ServerSideEncryption: types.ServerSideEncryption(o.Encryption), SSEKMSKeyId: optional(o.KMSKey),
	}
	if isRecording(m.name) {
		in.StorageClass = types.StorageClass(o.StorageClass)
		in.ObjectLockMode = types.ObjectLockMode(o.LockMode)
		in.ObjectLockRetainUntilDate = m.h.retainUntil()
	}
	made, err := m.h.client.CreateMultipartUpload(m.ctx, in)
	if err != nil {
		m.err = m.h.s3.explain(m.ctx, fmt.Sprintf("begin to upload %q", m.name), err)
		return m.err
	}
	m.id = *made.UploadId
	m.h.s3.setActive(m.id, true)
	return nil
}

func (m *multipart) upload(number int32, data *contents) (types.CompletedPart, error) {
	select {
	case m.h.puts <- struct{}{}:
		defer func() { <-m.h.puts }()
	case <-m.ctx.Done():
		return types.CompletedPart{}, context.Cause(m.ctx)
	}
	ctx, cancel := context.WithTimeout(m.ctx, putTimeout(data.size))
	defer cancel()
	sum := data.sum()
	put, err := m.h.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: m.h.bucket(), Key: new(m.h.key(m.name)), ExpectedBucketOwner: m.h.owner(), UploadId: &m.id, PartNumber: &number,
		Body: io.NewSectionReader(data, 0, data.size), ContentLength: &data.size, ChecksumSHA256: base64Of(sum),
	}, payloadHash(sum))
	if err != nil {
		return types.CompletedPart{}, m.h.s3.explain(ctx, fmt.Sprintf("upload part %d of %q", number, m.name), err)
	}
	return types.CompletedPart{PartNumber: &number, ETag: put.ETag, ChecksumSHA256: base64Of(sum)}, nil
}

// finish makes the file visible where all parts arrived, what came has the digest want (any, where want is nil) and the
// condition holds; otherwise nothing of it stays.
func (m *multipart) finish(want *backup.Digest) error {
	if m.part != nil {
		m.send()
	}
	m.group.Wait()
	got := backup.Digest{SizeBytes: m.size}
	m.sum.Sum(got.SHA256[:0])
	switch {
	case m.err != nil:
		return errors.Join(m.err, m.abort())
	case want != nil && got != *want:
		return errors.Join(wrongDigest(m.name, got, *want), m.abort())
	}
	_, err := m.h.client.CompleteMultipartUpload(m.ctx, &s3.CompleteMultipartUploadInput{
		Bucket: m.h.bucket(), Key: new(m.h.key(m.name)), ExpectedBucketOwner: m.h.owner(), UploadId: &m.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: slices.Clone(m.parts)},
		IfNoneMatch:     m.cond.noneMatch, IfMatch: m.cond.match,
	})
	if err = taken(m.h.s3.explain(m.ctx, fmt.Sprintf("complete %q", m.name), err), m.name); err != nil {
		return errors.Join(err, m.abort())
	}
	m.h.s3.setActive(m.id, false)
	return nil
}

// abort gives the upload up and waits until nothing of it is on its way. What the service cannot be told now is told to it by
// the next process.
func (m *multipart) abort() error {
	if m.part != nil {
		m.part.leave()
		m.part = nil
	}
	m.group.Wait()
	if m.id == "" {
		return nil
	}
	defer m.h.s3.setActive(m.id, false)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.ctx), abortTimeout)
	defer cancel()
	return m.h.abortUpload(ctx, m.h.key(m.name), m.id)
}
