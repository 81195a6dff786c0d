package contentrpc

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"google.golang.org/grpc"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

const (
	// smallBytes is up to what size a file is read whole ahead of its turn.
	smallBytes = 256 << 10
	// packedBytes is how much data a message carries.
	packedBytes = 512 << 10
	// packedSegments is how many segments a message carries at most, for files of no bytes.
	packedSegments = 1024
	// filesAhead is how many files are opened, and the small ones read, ahead of their turn.
	filesAhead = 8
	// linesPassed is how many lines that are not wanted are rather read than jumped over.
	linesPassed = 2048
)

// fetch is one call of FetchContents. One goroutine sends; one for each of the files ahead opens and reads.
type fetch struct {
	service  *Service
	seq      *sequencer.Sequencer
	session  int64
	manifest int64
	indexes  ledger.Set
	wanted   ledger.Set // those of indexes that are pending or expired
	offset   int64      // in the first of indexes
	stream   grpc.ServerStreamingServer[backupv1.FetchContentsResponse]
	ctx      context.Context // of this call; held because the parts of one call share it
	cancel   context.CancelCauseFunc
	sources  *sources

	message   backupv1.FetchContentsResponse
	dataBytes int
	buffers   []*[]byte // of the small files in message
	begun     []*file   // whose first bytes are in message
	chunk     []byte    // of a large file, made for the first
}

// run sends everything asked for.
func (f *fetch) run() (err error) {
	if f.sources, err = f.service.openSources(f.seq.Origin().Tenant()); err != nil {
		return err
	}
	ahead := make(chan *file, filesAhead)
	var group sync.WaitGroup
	defer func() {
		f.cancel(err)
		for file := range ahead {
			file.drop(f.service)
		}
		group.Wait()
		f.sources.close()
	}()
	group.Go(func() { f.openAhead(ahead, &group) })
	for file := range ahead {
		<-file.ready
		if err := f.serve(file); err != nil {
			return err
		}
	}
	if err := context.Cause(f.ctx); err != nil {
		return err
	}
	f.message.Complete = true
	return f.flush()
}

// openAhead opens the files in order of their indexes. Where a line cannot be read the call ends.
func (f *fetch) openAhead(ahead chan<- *file, group *sync.WaitGroup) {
	defer close(ahead)
	offset := f.offset
	for index, line := range f.lines() {
		next := &file{index: index, line: line, offset: offset, ready: make(chan struct{})}
		offset = 0
		select {
		case ahead <- next:
		case <-f.ctx.Done():
			return
		}
		group.Go(func() { f.open(next) })
	}
}

// lines yields the lines of the manifest that are asked for.
func (f *fetch) lines() iter.Seq2[int64, ledger.Line] {
	return func(yield func(int64, ledger.Line) bool) {
		next, stop := int64(0), func() {}
		defer func() { stop() }()
		var pull func() (ledger.Line, error, bool)
		for index := range f.indexes.All() {
			if pull == nil || index-next > linesPassed {
				stop()
				pull, stop = iter.Pull2(f.seq.Ledger().Lines(f.manifest, index))
				next = index
			}
			for {
				line, err, ok := pull()
				if !ok || err != nil {
					f.cancel(fmt.Errorf("read line %d of manifest %d: %w", next, f.manifest, err))
					return
				}
				if next++; next <= index {
					continue
				}
				if !yield(index, line) {
					return
				}
				break
			}
		}
	}
}

// serve packs what is to be sent of a file whose turn it is.
func (f *fetch) serve(file *file) error {
	defer file.drop(f.service)
	switch {
	case file.err != nil:
		return file.err
	case file.unavailable != 0:
		segment := &backupv1.ContentSegment{Index: file.index, OffsetBytes: file.offset, Unavailable: file.unavailable}
		return f.pack(segment, nil, nil)
	case file.handle != nil:
		return f.serveLarge(file)
	}
	buffer := file.buffer
	file.buffer = nil // it is the message's now
	segment := &backupv1.ContentSegment{Index: file.index, OffsetBytes: file.offset, Data: file.data, Last: true}
	return f.pack(segment, file, buffer)
}

// serveLarge sends a file in messages of its own.
func (f *fetch) serveLarge(file *file) error {
	if f.chunk == nil {
		f.chunk = make([]byte, packedBytes)
	}
	begins := file
	for offset, sizeBytes := file.offset, file.line.Item.Digest.SizeBytes; offset < sizeBytes; {
		data := f.chunk[:min(int64(len(f.chunk)), sizeBytes-offset)]
		segment := &backupv1.ContentSegment{Index: file.index, OffsetBytes: offset}
		if n, err := file.handle.ReadAt(data, offset); n == len(data) {
			offset += int64(n)
			segment.Data, segment.Last = data, offset == sizeBytes
		} else {
			segment.Unavailable = f.unreadable(file, err)
			offset = sizeBytes
		}
		if err := f.pack(segment, begins, nil); err != nil {
			return err
		}
		if err := f.flush(); err != nil {
			return err
		}
		begins = nil
	}
	return nil
}

// pack adds a segment to the message, which is sent before where it would grow too large. begins is the file whose first
// bytes it carries, buffer what holds them, each nil where there is none.
func (f *fetch) pack(segment *backupv1.ContentSegment, begins *file, buffer *[]byte) error {
	if f.dataBytes > 0 && f.dataBytes+len(segment.GetData()) > packedBytes || len(f.message.GetSegments()) == packedSegments {
		if err := f.flush(); err != nil {
			return err
		}
	}
	f.message.Segments = append(f.message.Segments, segment)
	f.dataBytes += len(segment.GetData())
	if begins != nil {
		f.begun = append(f.begun, begins)
	}
	if buffer != nil {
		f.buffers = append(f.buffers, buffer)
	}
	return nil
}

// flush sends the message, if there is anything in it, and gives back its buffers.
func (f *fetch) flush() error {
	if len(f.message.GetSegments()) == 0 && !f.message.GetComplete() {
		return nil
	}
	if err := f.seq.CheckSession(f.session); err != nil {
		return err
	}
	if err := f.service.pace.wait(f.ctx, f.dataBytes); err != nil {
		return err
	}
	for _, file := range f.begun {
		f.service.count(f.seq.Origin(), f.manifest, file.index, file.line.Item.Digest.SizeBytes-file.offset)
	}
	// Once encoded, the message and its buffers are free again, which Send alone does not promise.
	var encoded grpc.PreparedMsg
	if err := encoded.Encode(f.stream, &f.message); err != nil {
		return fmt.Errorf("encode contents: %w", err)
	}
	for _, buffer := range f.buffers {
		f.service.small.Put(buffer)
	}
	f.message.Segments, f.dataBytes = f.message.Segments[:0], 0
	f.buffers, f.begun = f.buffers[:0], f.begun[:0]
	return f.stream.SendMsg(&encoded)
}
