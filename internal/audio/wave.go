package audio

import (
	"encoding/binary"
	"math"
	"time"
)

// FormatGSM610 is WAVE_FORMAT_GSM610 (RFC 2361, appendix A): what Asterisk calls wav49.
const FormatGSM610 = 0x0031

// A block of it holds two frames of GSM 06.10, packed.
const (
	waveBlockBytes   = 65
	waveBlockSamples = 320
)

// wave walks through the chunks of a RIFF file, and counts the bytes of the one that holds the sound.
type wave struct {
	head     []byte // what is looked at as a whole: the start of the file, of a chunk, or of the format
	want     int    // how many bytes of it
	take     func() // what is done with them
	skip     int64  // bytes that follow and are not looked at
	counting bool   // they are sound
	hertz    int64  // of a format that is understood, otherwise 0
	sound    int64  // bytes
	foreign  bool   // it is no RIFF file of form WAVE
}

func newWave() *wave {
	w := new(wave)
	w.want, w.take = 12, w.begin
	return w
}

func (w *wave) write(p []byte) {
	for len(p) > 0 && !w.foreign {
		if w.skip > 0 {
			n := min(w.skip, int64(len(p)))
			if w.counting {
				w.sound += n
			}
			w.skip -= n
			p = p[n:]
			continue
		}
		w.counting = false
		n := min(w.want-len(w.head), len(p))
		w.head = append(w.head, p[:n]...)
		p = p[n:]
		if len(w.head) == w.want {
			w.take()
			w.head = w.head[:0]
		}
	}
}

// IsRIFFWave reports whether a RIFF file of form WAVE begins here.
func IsRIFFWave(head []byte) bool {
	return len(head) >= 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WAVE"
}

func (w *wave) begin() {
	w.foreign = !IsRIFFWave(w.head)
	w.want, w.take = 8, w.chunk
}

// formatBytes is how much of the chunk "fmt " is looked at.
const formatBytes = 8

func (w *wave) chunk() {
	name, size := string(w.head[:4]), int64(binary.LittleEndian.Uint32(w.head[4:]))
	w.want, w.take, w.skip = 8, w.chunk, size+size&1
	switch {
	case name == "fmt " && size >= formatBytes:
		w.want, w.take, w.skip = formatBytes, func() { w.format(size) }, 0
	case name == "data" && (size == 0 || size == math.MaxUint32): // whoever wrote it could not go back to say
		w.counting, w.skip = true, math.MaxInt64
	case name == "data":
		// A byte that only pads does not make a block.
		w.counting = true
	}
}

func (w *wave) format(size int64) {
	w.hertz = 0
	if binary.LittleEndian.Uint16(w.head) == FormatGSM610 {
		w.hertz = int64(binary.LittleEndian.Uint32(w.head[4:]))
	}
	w.want, w.take, w.skip = 8, w.chunk, size+size&1-formatBytes
}

func (w *wave) duration() (time.Duration, bool) {
	const slowest, fastest = 1000, 384000
	if w.hertz < slowest || w.hertz > fastest {
		return 0, false
	}
	samples := w.sound / waveBlockBytes * waveBlockSamples
	return time.Duration(samples/w.hertz)*time.Second + time.Duration(samples%w.hertz)*time.Second/time.Duration(w.hertz), true
}
