package azblobdest

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// put is one file on its way. Write, and then either finish or giveUp, are called by one goroutine at a time.
type put struct {
	h    *handle
	ctx  context.Context // ends what is on its way
	stop context.CancelFunc
	name string         // in the container below the prefix
	size int64          // announced
	want *backup.Digest // nil where nobody knows it
	when *blob.ModifiedAccessConditions
	tier *blob.AccessTier

	sum    hash.Hash // SHA-256 of all that came
	n      int64     // bytes that came
	buffer []byte
	held   int64    // bytes of the opener's buffers
	id     [16]byte // of this upload: blocks of others under the same name stay theirs
	blocks []string
	group  sync.WaitGroup // blocks on their way

	mu  sync.Mutex
	err error // of a block
}

// whenAbsent is the condition that nothing is under the name.
func whenAbsent() *blob.ModifiedAccessConditions {
	any := azcore.ETagAny
	return &blob.ModifiedAccessConditions{IfNoneMatch: &any}
}

// begin takes room for a file. wait bounds waiting for room, ctx the file itself.
func (h *handle) begin(wait, ctx context.Context, name string, size int64, when *blob.ModifiedAccessConditions) (*put, error) {
	p := &put{h: h, name: name, size: size, when: when, sum: sha256.New()}
	p.held = min(size, h.azblob.options.PartBytes)
	if err := h.azblob.buffers.Acquire(wait, p.held); err != nil {
		return nil, context.Cause(wait)
	}
	p.ctx, p.stop = context.WithCancel(ctx)
	if p.large() {
		rand.Read(p.id[:]) // never fails (crypto/rand)
		p.buffer = h.azblob.part()
	} else {
		p.buffer = make([]byte, 0, size)
	}
	return p, nil
}

// part returns an empty buffer of one part.
func (a *Azblob) part() []byte {
	if used, ok := a.parts.Get().(*[]byte); ok {
		return (*used)[:0]
	}
	return make([]byte, 0, a.options.PartBytes)
}

// free gives a buffer of one part, and its room, back.
func (a *Azblob) free(part []byte) {
	a.parts.Put(&part)
	a.buffers.Release(a.options.PartBytes)
}

// large reports whether the file goes in blocks.
func (p *put) large() bool { return p.size > p.h.azblob.options.PartBytes }

// Write takes more of the file, and sends blocks that are full. Where one was not stored the others are dropped; finish says
// why.
func (p *put) Write(data []byte) (int, error) {
	if int64(len(data)) > p.size-p.n {
		return 0, fmt.Errorf("the stream does not have %d bytes but more", p.size)
	}
	written := len(data)
	p.sum.Write(data)
	p.n += int64(written)
	for len(data) > 0 {
		room := data[:min(len(data), cap(p.buffer)-len(p.buffer))]
		p.buffer = append(p.buffer, room...)
		data = data[len(room):]
		if len(p.buffer) == cap(p.buffer) && p.large() {
			if p.failed() != nil {
				p.buffer = p.buffer[:0]
				continue
			}
			p.send()
		}
	}
	return written, nil
}

// send sends the buffer as a block: beside what comes next where there is room for another buffer.
func (p *put) send() {
	block, id := p.buffer, p.nextID()
	a := p.h.azblob
	if !a.buffers.TryAcquire(a.options.PartBytes) {
		p.sendBlock(id, block)
		p.buffer = block[:0]
		return
	}
	p.buffer = a.part()
	p.group.Go(func() {
		p.sendBlock(id, block)
		a.free(block)
	})
}

func (p *put) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// nextID names the next block. All names of one blob's blocks must have the same length.
func (p *put) nextID() string {
	id := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(p.id[:], uint32(len(p.blocks))))
	p.blocks = append(p.blocks, id)
	return id
}

func (p *put) sendBlock(id string, block []byte) {
	sum := md5.Sum(block)
	_, err := p.client().StageBlock(p.ctx, id, reader(block), &blockblob.StageBlockOptions{
		TransactionalValidation: blob.TransferValidationTypeMD5(sum[:]),
	})
	if err == nil {
		return
	}
	err = p.h.failWrite(p.ctx, "put a block of "+p.name, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
}

// stored is what a put left behind.
type stored struct {
	size int64
	etag *azcore.ETag
	md5  []byte // of all of it, checked by the service; nil where it went in blocks
}

// finish sends what is left and makes the file visible, and gives the buffers back. The error is fs.ErrExist where the name is
// taken.
func (p *put) finish() (*stored, error) {
	defer p.giveUp()
	if p.n != p.size {
		return nil, fmt.Errorf("put %s: %w: %d bytes came, %d were announced", p.name, backup.ErrDigest, p.n, p.size)
	}
	if got := p.digest(); p.want != nil && got != *p.want {
		return nil, fmt.Errorf("put %s: %w: %v would be stored, %v is recorded", p.name, backup.ErrDigest, got, *p.want)
	}
	var err error
	var s *stored
	if p.large() {
		s, err = p.commit()
	} else {
		s, err = p.whole()
	}
	if isTaken(err) {
		return nil, fmt.Errorf("put %s: the name is taken: %w", p.name, errors.Join(fs.ErrExist, err))
	}
	return s, err
}

func (p *put) digest() backup.Digest {
	d := backup.Digest{SizeBytes: p.n}
	p.sum.Sum(d.SHA256[:0])
	return d
}

// whole sends the file at once. The service computes the MD5 that it keeps over what it has received.
func (p *put) whole() (*stored, error) {
	sum := md5.Sum(p.buffer)
	answer, err := p.client().Upload(p.ctx, reader(p.buffer), &blockblob.UploadOptions{
		Tier: p.tier, AccessConditions: p.conditions(), TransactionalValidation: blob.TransferValidationTypeMD5(sum[:]),
	})
	if err != nil {
		return nil, p.h.failWrite(p.ctx, "put "+p.name, err)
	}
	return &stored{size: p.size, etag: answer.ETag, md5: sum[:]}, nil
}

// commit sends the last block and makes a blob of all.
func (p *put) commit() (*stored, error) {
	if len(p.buffer) > 0 && p.failed() == nil {
		p.sendBlock(p.nextID(), p.buffer)
	}
	p.group.Wait()
	if err := p.failed(); err != nil {
		return nil, err
	}
	answer, err := p.client().CommitBlockList(p.ctx, p.blocks, &blockblob.CommitBlockListOptions{Tier: p.tier, AccessConditions: p.conditions()})
	if err == nil {
		return &stored{size: p.size, etag: answer.ETag}, nil
	}
	err = p.h.failWrite(p.ctx, "commit the blocks of "+p.name, err)
	if code := bloberror.Code(codeOf(err)); code == bloberror.InvalidBlockList || code == bloberror.InvalidBlobOrBlock {
		// Whoever makes a blob of the name first takes everybody's blocks away.
		if _, there := p.h.properties(p.ctx, p.name); there == nil {
			err = errors.Join(fs.ErrExist, err)
		}
	}
	return nil, err
}

func (p *put) conditions() *blob.AccessConditions {
	return &blob.AccessConditions{ModifiedAccessConditions: p.when}
}

func (p *put) client() *blockblob.Client {
	return p.h.client.NewBlockBlobClient(p.h.blobName(p.name))
}

// giveUp ends what is on its way and gives the buffers back; it may be called again. Blocks that belong to no blob are seen by nobody, and the
// service drops them after a week.
func (p *put) giveUp() {
	p.stop()
	p.group.Wait()
	switch {
	case p.buffer == nil:
	case p.large():
		p.h.azblob.free(p.buffer)
	default:
		p.h.azblob.buffers.Release(p.held)
	}
	p.buffer = nil
}

func reader(data []byte) io.ReadSeekCloser { return streaming.NopCloser(bytes.NewReader(data)) }

// Put implements dest.Driver.
func (h *handle) Put(ctx context.Context, name string, r io.Reader, size int64, pre dest.Precondition) error {
	when := whenAbsent()
	if known, ok := pre.Replaced(); ok {
		etag, err := h.holds(ctx, name, known)
		if err != nil {
			return err
		}
		when = &blob.ModifiedAccessConditions{IfMatch: etag}
	}
	p, err := h.begin(ctx, ctx, name, size, when)
	if err != nil {
		return err
	}
	p.tier = h.tier(name)
	err = dest.Fill(ctx, putFile{p}, r, size)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %w", dest.ErrConflict, err)
	}
	return err
}

// holds returns the version of a blob that has the digest.
func (h *handle) holds(ctx context.Context, name string, known backup.Digest) (etag *azcore.ETag, err error) {
	err = dest.Holds(ctx, func(ctx context.Context, name string) (io.ReadCloser, error) {
		var r io.ReadCloser
		r, etag, err = h.open(ctx, name)
		return r, err
	}, name, known)
	return etag, err
}

// putFile is a put that is waited for.
type putFile struct{ *put }

// Close implements dest.StagedFile.
func (f putFile) Close() error {
	_, err := f.finish()
	return err
}

// Discard implements dest.StagedFile.
func (f putFile) Discard() error {
	f.giveUp()
	return nil
}
