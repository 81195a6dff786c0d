package night

import (
	"fmt"
	"sync"
	"time"

	"github.com/wolkvox/backup/agent/internal/fetch"
	"github.com/wolkvox/backup/internal/audio"
)

// durations is how long the items of one manifest sound, until it is kept. The zero value has none.
type durations struct {
	mu sync.Mutex
	of map[int64]time.Duration // by index
}

func (d *durations) put(index int64, t time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of == nil {
		d.of = make(map[int64]time.Duration)
	}
	d.of[index] = t
}

func (d *durations) take() map[int64]time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	taken := d.of
	d.of = nil
	return taken
}

// measured returns a file that finds out how long the recording sounds while its bytes pass.
func (b *batch) measured(item fetch.Item, file fetch.File) fetch.File {
	if file.Offset() > 0 { // its beginning passed an earlier process
		return file
	}
	return measuredFile{file, audio.NewMeter(item.Kind), func(t time.Duration) { b.sounds.put(item.Index, t) }}
}

type measuredFile struct {
	fetch.File
	meter *audio.Meter
	told  func(time.Duration) // told how long it is once it is equal to its digest
}

// Write passes on what the place says; the meter has nothing to say.
func (f measuredFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.meter.Write(p[:n])
	return n, err
}

func (f measuredFile) Commit() error {
	err := f.File.Commit()
	if d, known := f.meter.Duration(); known && err == nil {
		f.told(d)
	}
	return err
}

// keepDurations keeps what was learnt since the last round, for reports.
func (b *batch) keepDurations() error {
	durations := b.sounds.take()
	if len(durations) == 0 {
		return nil
	}
	if err := b.pass.night.Log.PutDurations(b.work.manifest, durations); err != nil {
		return fmt.Errorf("keep how long the recordings of manifest %d are: %w", b.work.manifest, err)
	}
	return nil
}
