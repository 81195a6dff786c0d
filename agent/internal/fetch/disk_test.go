package fetch

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/uplink"
)

// fakeFile keeps the contract of a staged file, and makes sure that its user does.
type fakeFile struct {
	disk  *disk
	item  Item
	data  bytes.Buffer
	state string // "" while it is written
	fail  error
}

func (f *fakeFile) Offset() int64 { return int64(f.data.Len()) }

func (f *fakeFile) Write(p []byte) (int, error) {
	if f.state != "" {
		f.disk.t.Errorf("item %d is written after it was %s", f.item.Index, f.state)
	}
	if f.fail != nil {
		return 0, f.fail
	}
	if int64(f.data.Len()+len(p)) > f.item.Digest.SizeBytes {
		f.fail = fmt.Errorf("receive: %w: more came", backup.ErrDigest)
		return 0, f.fail
	}
	return f.data.Write(p)
}

func (f *fakeFile) Commit() error {
	if digestOf(f.data.Bytes()) != f.item.Digest {
		f.end("dropped")
		return fmt.Errorf("receive: %w", backup.ErrDigest)
	}
	f.end("committed")
	return nil
}

func (f *fakeFile) Drop() error {
	if f.state == "" {
		f.end("dropped")
	}
	return nil
}

func (f *fakeFile) end(state string) {
	if f.state != "" {
		f.disk.t.Errorf("item %d is %s after it was %s", f.item.Index, state, f.state)
	}
	f.state = state
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.open--
	if state == "committed" {
		f.disk.files[f.item.Index] = f.data.Bytes()
	}
}

// disk is where files are staged.
type disk struct {
	t testing.TB

	mu       sync.Mutex
	open     int // files being written
	files    map[int64][]byte
	outcomes map[int64]Outcome
	refuse   func(Item) error // why a file cannot be staged
	full     func(Item) error // why a file cannot be written
}

func newDisk(t testing.TB) *disk {
	return &disk{t: t, files: make(map[int64][]byte), outcomes: make(map[int64]Outcome)}
}

func (d *disk) stage(_ context.Context, item Item) (File, error) {
	if d.refuse != nil {
		if err := d.refuse(item); err != nil {
			return nil, err
		}
	}
	file := &fakeFile{disk: d, item: item}
	if d.full != nil {
		file.fail = d.full(item)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open++
	return file, nil
}

func (d *disk) done(o Outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, again := d.outcomes[o.Item.Index]; again {
		d.t.Errorf("item %d came to an end twice", o.Item.Index)
	}
	d.outcomes[o.Item.Index] = o
}

// holds makes sure that exactly the given items came, as they are at the source, and that no file is left open.
func (d *disk) holds(s *source, indexes ...int64) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open != 0 {
		d.t.Errorf("%d files are left open", d.open)
	}
	if len(d.files) != len(indexes) {
		d.t.Errorf("%d files came, want %d", len(d.files), len(indexes))
	}
	for _, index := range indexes {
		if o, ok := d.outcomes[index]; !ok || o.Err != nil || o.Unavailable != uplink.Available {
			d.t.Errorf("item %d ended with %+v, %v", index, o, ok)
		}
		if data, ok := d.files[index]; !ok || !bytes.Equal(data, s.contents[index]) {
			d.t.Errorf("item %d came: %v, with %d bytes, want %d", index, ok, len(data), len(s.contents[index]))
		}
	}
}
