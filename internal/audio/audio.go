// Package audio knows the forms of the recordings: GSM 06.10 frames, the same in RIFF/WAVE, and MPEG audio layer III. It
// finds out how long a recording is while its bytes pass ([Meter]), and reads the headers of its parts. It decodes no
// sound, keeps no bytes, and does not decide what a file is: the server did when it sealed it.
package audio

import (
	"time"

	"github.com/wolkvox/backup"
)

// GSM 06.10 in the form that Asterisk and libgsm store: 20 ms in 33 bytes, the first four bits of which are 0xD (RFC 3551,
// section 4.5.8.1).
const (
	GSMFrameBytes = 33
	gsmFrame      = 20 * time.Millisecond
)

// Meter measures one recording. Its bytes are written to it in order, in pieces of any size; what they say is never an
// error, and it holds less than 2 KiB of them at a time. It is used by one goroutine.
type Meter struct {
	kind backup.MediaKind
	part interface {
		write(p []byte)
		duration() (time.Duration, bool)
	}
}

// NewMeter returns a meter of a recording of this kind.
func NewMeter(kind backup.MediaKind) *Meter {
	m := &Meter{kind: kind}
	switch kind {
	case backup.KindGSM:
		m.part = new(gsm)
	case backup.KindWAV49:
		m.part = newWave()
	case backup.KindMP3:
		m.part = new(mpeg)
	}
	return m
}

// Write takes the next bytes. It never fails.
func (m *Meter) Write(p []byte) (int, error) {
	if m.part != nil {
		m.part.write(p)
	}
	return len(p), nil
}

// Duration returns how long what was written sounds; false where that cannot be told from its bytes. A file that is no audio
// takes no time, and that is known.
func (m *Meter) Duration() (time.Duration, bool) {
	if m.part == nil {
		return OfSize(m.kind, 0)
	}
	return m.part.duration()
}

// OfSize returns how long a recording of this kind and size is; false where that takes its bytes.
func OfSize(kind backup.MediaKind, sizeBytes int64) (time.Duration, bool) {
	switch kind {
	case backup.KindGSM:
		return time.Duration(sizeBytes/GSMFrameBytes) * gsmFrame, true
	case backup.KindChat, backup.KindOther:
		return 0, true
	}
	return 0, false
}

// gsm counts bytes: every frame has the same.
type gsm struct{ sizeBytes int64 }

func (g *gsm) write(p []byte) { g.sizeBytes += int64(len(p)) }

func (g *gsm) duration() (time.Duration, bool) { return OfSize(backup.KindGSM, g.sizeBytes) }
