package durable

import (
	"errors"
	"io"
	"os"
	"unsafe"
)

// BlockSize is the alignment of buffers, offsets and lengths for reading past the cache. Devices have logical
// blocks of 512 or 4096 bytes; 4096 satisfies both (open(2) NOTES, O_DIRECT; learn.microsoft.com, File Buffering).
const BlockSize = 4096

// AlignedBuffer returns sizeBytes, rounded up to a multiple of [BlockSize], that start at a multiple of it.
func AlignedBuffer(sizeBytes int) []byte {
	sizeBytes = (sizeBytes + BlockSize - 1) / BlockSize * BlockSize
	b := make([]byte, sizeBytes+BlockSize)
	skip := (BlockSize - int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))%BlockSize)) % BlockSize
	return b[skip : skip+sizeBytes : skip+sizeBytes]
}

// Reader reads a regular file from its beginning, past the cache where that is possible. It is used by one
// goroutine. It uses the buffer that it was given until it is closed.
type Reader struct {
	file     *os.File
	buf      []byte // aligned
	rest     []byte // of buf: read and not yet handed out
	left     int64  // of the file, as large as it was when it was opened
	uncached bool
	err      error
}

// OpenReader opens a regular file below root, with buf, an [AlignedBuffer]. Anything else in its place, a symbolic
// link too, is [ErrNotRegular], and never blocks. What was written should have been synced before, lest the pages
// of the cache that are dropped or passed are not on the device yet.
func OpenReader(root *os.Root, name string, buf []byte) (*Reader, error) {
	if len(buf) == 0 || len(buf)%BlockSize != 0 || uintptr(unsafe.Pointer(unsafe.SliceData(buf)))%BlockSize != 0 {
		return nil, errors.New("the buffer for reading past the cache is not aligned")
	}
	file, uncached, err := openUncached(root, name)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Reader{file: file, buf: buf, left: info.Size(), uncached: uncached}, nil
}

// PassesCache reports whether every byte comes from the device, or from the server of a network file system, and
// none from a cache of this machine's operating system.
func (r *Reader) PassesCache() bool { return r.uncached }

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// WriteTo implements io.WriterTo without copying.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	var written int64
	for {
		if len(r.rest) == 0 {
			if err := r.fill(); err == io.EOF {
				return written, nil
			} else if err != nil {
				return written, err
			}
		}
		n, err := w.Write(r.rest)
		written += int64(n)
		r.rest = r.rest[n:]
		if err != nil {
			return written, err
		}
	}
}

// fill reads the next part. Only the last part of a file may be short: reading on at an offset that is not
// aligned would be refused, so the end is known by the size.
func (r *Reader) fill() error {
	if r.err == nil && r.left == 0 {
		r.err = io.EOF
	}
	if r.err != nil {
		return r.err
	}
	// Asked for more than the file has, Linux fills the rest of the buffer with zeros when it passes the cache.
	want := int(min(int64(len(r.buf)), (r.left+BlockSize-1)/BlockSize*BlockSize))
	n := 0
	for n == 0 || (int64(n) < r.left && n < want && n%BlockSize == 0) {
		m, err := r.file.Read(r.buf[n:want])
		n += m
		if err == nil && m > 0 {
			continue
		}
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		r.err = err
		break
	}
	if int64(n) > r.left {
		n = int(r.left) // the file has grown: what it was when opened is read
	}
	r.left -= int64(n)
	if r.left > 0 && n%BlockSize != 0 && r.err == nil {
		r.err = io.ErrUnexpectedEOF
	}
	r.rest = r.buf[:n]
	if n == 0 {
		return r.err
	}
	return nil
}

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }
