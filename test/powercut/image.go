// Package powercut pulls the plug: it runs a server and an agent whose stores and destination lie on disks that forget
// what was not flushed, cuts the power at random instants, and looks whether anything that was confirmed is missing.
// The disks are images in memory behind a FUSE file, loop-mounted as ext4; the file system's own flushes are the only
// ones there are. It does not imitate disks that lie about a flush.
package powercut

import (
	"math/rand/v2"
	"slices"
	"sync"
)

const (
	blockBytes = 4096
	// sectorBytes is what a disk writes whole or not at all.
	sectorBytes = 512
)

// block is some of an image's bytes. It is never changed once it is in an image.
type block [blockBytes]byte

// write is one write that was not flushed.
type write struct {
	offset int64
	data   []byte
}

// loss says what happens to what was written and not flushed when the power is cut.
type loss int

const (
	loseAll loss = iota // all of it is gone
	loseEnd             // a disk that writes in order: some of the first writes have arrived
	loseAny             // a disk that reorders: any sectors of any writes have arrived
	losses              // how many there are
)

// String names the loss in a test's log.
func (l loss) String() string { return [...]string{"all", "end", "any"}[l] }

// image is a disk with a volatile cache. Its methods may be called concurrently.
type image struct {
	mu      sync.Mutex
	current []*block // as it is read; nil is zeros
	durable []*block // as it was at the last flush
	writes  []write  // since the last flush, in order
	flushes int64
	gate    chan struct{} // while the power is off: closed when requests go on, on what nobody will read again
}

func newImage(sizeBytes int64) *image {
	blocks := make([]*block, (sizeBytes+blockBytes-1)/blockBytes)
	return &image{current: blocks, durable: slices.Clone(blocks)}
}

func (m *image) sizeBytes() int64 { return int64(len(m.current)) * blockBytes }

// lock returns with mu held and the power on, or the image given up.
func (m *image) lock() {
	m.mu.Lock()
	for m.gate != nil {
		gate := m.gate
		m.mu.Unlock()
		<-gate
		m.mu.Lock()
	}
}

// readAt reads what was last written, flushed or not. Beyond the end there is nothing.
func (m *image) readAt(p []byte, offset int64) int {
	m.lock()
	defer m.mu.Unlock()
	done := 0
	for done < len(p) && offset < m.sizeBytes() {
		b, from := m.current[offset/blockBytes], offset%blockBytes
		var n int
		if b != nil {
			n = copy(p[done:], b[from:])
		} else {
			n = min(len(p)-done, int(blockBytes-from))
			clear(p[done : done+n])
		}
		done += n
		offset += int64(n)
	}
	return done
}

// writeAt writes to the volatile cache; what is beyond the end is refused.
func (m *image) writeAt(p []byte, offset int64) (n int, ok bool) {
	m.lock()
	defer m.mu.Unlock()
	if offset < 0 || offset+int64(len(p)) > m.sizeBytes() {
		return 0, false
	}
	data := slices.Clone(p)
	m.writes = append(m.writes, write{offset, data})
	store(m.current, offset, data)
	return len(p), true
}

// flush makes everything written before it durable.
func (m *image) flush() {
	m.lock()
	defer m.mu.Unlock()
	for _, w := range m.writes {
		for i := w.offset / blockBytes; i*blockBytes < w.offset+int64(len(w.data)); i++ {
			m.durable[i] = m.current[i]
		}
	}
	m.writes = nil
	m.flushes++
}

// flushed returns how often it was flushed.
func (m *image) flushed() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.flushes
}

// cut takes the power from all images at one instant, and returns what is on them when it comes back. Requests to the
// old images hang until [restore]; what is written to them afterwards is lost.
func cut(random *rand.Rand, l loss, images ...*image) []*image {
	for _, m := range images {
		m.lock()
		defer m.mu.Unlock()
	}
	after := make([]*image, len(images))
	for i, m := range images {
		m.gate = make(chan struct{})
		after[i] = m.survivor(random, l)
	}
	return after
}

// restore lets requests to images that were cut go on.
func restore(images ...*image) {
	for _, m := range images {
		m.mu.Lock()
		if m.gate != nil {
			close(m.gate)
			m.gate = nil
		}
		m.mu.Unlock()
	}
}

// survivor returns what is left when all that is not flushed meets the loss. It is called with mu held.
func (m *image) survivor(random *rand.Rand, l loss) *image {
	blocks := slices.Clone(m.durable)
	writes := m.writes
	switch l {
	case loseAll:
		writes = nil
	case loseEnd:
		writes = writes[:random.IntN(len(writes)+1)]
	}
	keep := random.Float64()
	for _, w := range writes {
		if l == loseEnd {
			store(blocks, w.offset, w.data)
			continue
		}
		for offset := int64(0); offset < int64(len(w.data)); {
			n := min(int64(len(w.data))-offset, sectorBytes-(w.offset+offset)%sectorBytes)
			if random.Float64() < keep {
				store(blocks, w.offset+offset, w.data[offset:offset+n])
			}
			offset += n
		}
	}
	return &image{current: blocks, durable: slices.Clone(blocks)}
}

// store puts data into blocks, each of which is replaced.
func store(blocks []*block, offset int64, data []byte) {
	for len(data) > 0 {
		i, from := offset/blockBytes, offset%blockBytes
		b := new(block)
		if blocks[i] != nil {
			*b = *blocks[i]
		}
		n := copy(b[from:], data)
		blocks[i] = b
		data = data[n:]
		offset += int64(n)
	}
}
