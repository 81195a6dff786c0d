package smbdest

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
)

// shortFile gives no more than there is before stops, however much is stored.
type shortFile struct {
	data   []byte
	stops  int64
	sizing error
}

func (f shortFile) ReadAt(p []byte, at int64) (int, error) {
	return copy(p, f.data[min(at, f.stops):f.stops]), nil
}

func (f shortFile) Size() (int64, error) { return int64(len(f.data)), f.sizing }

func (f shortFile) Close() error { return nil }

// TestReader reads a file whole or not at all: less than the server says is stored is an error, and not other contents.
func TestReader(t *testing.T) {
	t.Parallel()
	buffers := &sync.Pool{New: func() any { b := make([]byte, bufferBytes); return &b }}
	refused := errors.New("refused")
	for what, test := range map[string]struct {
		size, stops int
		sizing      error
		want        error
	}{
		"empty":              {0, 0, nil, nil},
		"small":              {100, 100, nil, nil},
		"one piece":          {bufferBytes, bufferBytes, nil, nil},
		"several":            {3*bufferBytes + 9, 3*bufferBytes + 9, nil, nil},
		"many":               {9 * bufferBytes, 9 * bufferBytes, nil, nil},
		"nothing of some":    {100, 0, nil, io.ErrUnexpectedEOF},
		"half":               {100, 50, nil, io.ErrUnexpectedEOF},
		"after one piece":    {3 * bufferBytes, bufferBytes, nil, io.ErrUnexpectedEOF},
		"amid the second":    {3 * bufferBytes, bufferBytes + 7, nil, io.ErrUnexpectedEOF},
		"all but a byte":     {3 * bufferBytes, 3*bufferBytes - 1, nil, io.ErrUnexpectedEOF},
		"of an unknown size": {100, 100, refused, refused},
	} {
		data := bytes.Repeat([]byte("recording"), test.size/9+1)[:test.size]
		for how, read := range map[string]func(w io.Writer, r *reader) (int64, error){
			"WriteTo": func(w io.Writer, r *reader) (int64, error) { return r.WriteTo(w) },
			"Read":    func(w io.Writer, r *reader) (int64, error) { return io.Copy(w, struct{ io.Reader }{r}) },
		} {
			r := newReader(shortFile{data, int64(test.stops), test.sizing}, "a.gsm", buffers)
			var got bytes.Buffer
			n, err := read(&got, r)
			if err := r.Close(); err != nil {
				t.Errorf("%s, %s: Close: %v", what, how, err)
			}
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) || n != int64(got.Len()) || !bytes.Equal(got.Bytes(), data[:test.stops]) {
				t.Errorf("%s, %s: %d bytes, %v; want %d, %v", what, how, n, err, test.stops, test.want)
			}
		}
	}
}
