package contentrpc

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"google.golang.org/grpc"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

const (
	// pieceBytes is how much of a file is read at once. A file of no more is read whole ahead of its turn.
	pieceBytes = 256 << 10
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
	sources  *trees
	allowed  *allowance

	message message
	begun   []*file // whose first bytes are in message
}

// run sends everything asked for.
func (f *fetch) run() (err error) {
	if f.sources, err = f.service.openSources(f.ctx, f.seq.Origin().Tenant()); err != nil {
		return err
	}
	ahead := make(chan *file, filesAhead)
	var group sync.WaitGroup
	defer func() {
		f.cancel(err)
		f.message.buffers.Free()
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
	if err := f.message.complete(); err != nil {
		return err
	}
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
	data := file.data
	file.data = nil // it is the message's now
	return f.pack(&backupv1.ContentSegment{Index: file.index, OffsetBytes: file.offset, Last: true}, data, file)
}

// serveLarge sends a file piece by piece.
func (f *fetch) serveLarge(file *file) error {
	begins := file
	for offset, sizeBytes := file.offset, file.line.Item.Digest.SizeBytes; offset < sizeBytes; {
		data := f.service.buffers.Get(int(min(pieceBytes, sizeBytes-offset)))
		segment := &backupv1.ContentSegment{Index: file.index, OffsetBytes: offset}
		if n, err := file.handle.ReadAt(*data, offset); n == len(*data) {
			offset += int64(n)
			segment.Last = offset == sizeBytes
		} else {
			f.service.buffers.Put(data)
			if f.ends(err) {
				return err
			}
			data, offset = nil, sizeBytes
			segment.Unavailable = f.unreadable(file, err)
		}
		if err := f.pack(segment, data, begins); err != nil {
			return err
		}
		begins = nil
	}
	return nil
}

// pack adds a segment with its data, nil for none, to the message, which is sent before where it would grow too large.
// begins is the file whose first bytes it carries, nil for none. The data is the message's from then on.
func (f *fetch) pack(segment *backupv1.ContentSegment, data *[]byte, begins *file) error {
	if f.message.isFull(data) {
		if err := f.flush(); err != nil {
			if data != nil {
				f.service.buffers.Put(data)
			}
			return err
		}
	}
	if begins != nil {
		f.begun = append(f.begun, begins)
	}
	return f.message.add(segment, data, f.service.buffers)
}

// flush sends the message, if there is anything in it.
func (f *fetch) flush() error {
	if f.message.isEmpty() {
		return nil
	}
	if err := f.seq.CheckSession(f.session); err != nil {
		return err
	}
	if err := f.allowed.take(int64(f.message.dataBytes), time.Now()); err != nil {
		return err
	}
	if err := f.service.pace.wait(f.ctx, f.message.dataBytes); err != nil {
		return err
	}
	for _, file := range f.begun {
		f.service.count(f.seq.Origin(), f.manifest, file.index, file.line.Item.Digest.SizeBytes-file.offset)
	}
	f.begun = f.begun[:0]
	sent := f.message
	f.message = message{}
	return f.stream.SendMsg(&sent)
}
