package door

import (
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// info is what a client sees of a file or folder. It implements fs.FileInfo.
type info struct {
	name string
	size int64
	at   time.Time // zero where it is not known
	dir  bool
}

// Name implements fs.FileInfo.
func (i info) Name() string { return i.name }

// Size implements fs.FileInfo.
func (i info) Size() int64 { return i.size }

// Mode implements fs.FileInfo: all can be read, and nothing written.
func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// ModTime implements fs.FileInfo.
func (i info) ModTime() time.Time {
	if i.at.IsZero() {
		return time.Unix(0, 0)
	}
	return i.at
}

// IsDir implements fs.FileInfo.
func (i info) IsDir() bool { return i.dir }

// Sys implements fs.FileInfo.
func (i info) Sys() any { return nil }

// entries are what is in a folder, one after another.
type entries interface {
	// next returns the next one; io.EOF where there is none.
	next() (info, error)
	// stop gives back what is held. Nothing is asked for afterwards.
	stop()
}

// fixed are entries that are known.
type fixed []info

func (f *fixed) next() (info, error) {
	if len(*f) == 0 {
		return info{}, io.EOF
	}
	first := (*f)[0]
	*f = (*f)[1:]
	return first, nil
}

func (f *fixed) stop() {}

// listing hands entries out in the order in which it is asked for them.
type listing struct {
	session *session
	release func()

	mu      sync.Mutex // guards what follows
	entries entries    // nil once closed
	given   int64
}

// ListAt implements sftp.ListerAt. A client reads a folder once, from its beginning to its end.
func (l *listing) ListAt(into []os.FileInfo, offset int64) (n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries == nil || offset != l.given {
		return 0, io.EOF
	}
	for n < len(into) && l.session.ctx.Err() == nil {
		entry, err := l.entries.next()
		if err == io.EOF {
			return n, io.EOF
		}
		if err != nil {
			return n, l.session.answer(err)
		}
		into[n] = entry
		n++
		l.given++
	}
	return n, nil
}

// Close implements io.Closer.
func (l *listing) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries != nil {
		l.entries.stop()
		l.entries = nil
		l.release()
	}
	return nil
}
