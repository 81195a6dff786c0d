package recordings

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
)

// Kind is what a recording is.
type Kind int

// The kinds.
const (
	GSM      Kind = 1 // GSM 06.10 in frames of 33 bytes, as Asterisk and libgsm store it
	WAV49    Kind = 2 // GSM 06.10 in RIFF, two frames in 65 bytes
	MP3      Kind = 3 // MPEG-2 layer III, mono, 16 kHz, 32 kbit/s
	ChatJSON Kind = 4
	ChatText Kind = 5
)

func (k Kind) suffix() string {
	return map[Kind]string{GSM: ".gsm", WAV49: ".WAV", MP3: ".mp3", ChatJSON: ".json", ChatText: ".txt"}[k]
}

// audio is a format in frames of one size.
type audio struct {
	frameBytes int64
	minFrames  int64
	frames     mask                      // of as many frames as are made at a time
	header     func(frames int64) []byte // what stands before the first frame; nil for nothing
}

// chunkFrames is how many frames are made at a time: a few hundred, and whole words.
const chunkFrames = 256

// formats returns how sounds are made. What it returns is only read.
func formats() map[Kind]audio {
	return map[Kind]audio{
		// A frame begins with the four bits 0xD (RFC 3551, section 4.5.8.1).
		GSM: newAudio(newMask(append([]field{{4, 0, 0xd}}, gsmFields()...), false), 8, nil),
		// Two frames of 260 bits share 65 bytes.
		WAV49: newAudio(newMask(append(gsmFields(), gsmFields()...), true), 2, wav49Header),
		MP3:   newAudio(newMP3Mask(), 4, nil),
	}
}

func newAudio(frame mask, minFrames int64, header func(int64) []byte) audio {
	chunk := mask{bytes.Repeat(frame.and, chunkFrames), bytes.Repeat(frame.or, chunkFrames)}
	return audio{int64(len(frame.and)), minFrames, chunk, header}
}

// write writes as many frames as it takes for sizeBytes.
func (a audio) write(w io.Writer, random *rand.ChaCha8, sizeBytes int64) error {
	frames := max((sizeBytes+a.frameBytes-1)/a.frameBytes, a.minFrames)
	if a.header != nil {
		frames = min(frames+frames%2, (math.MaxUint32-1024)/a.frameBytes&^1) // RIFF wants chunks of even, 32-bit sizes
		if _, err := w.Write(a.header(frames)); err != nil {
			return err
		}
	}
	chunk := make([]byte, min(frames, chunkFrames)*a.frameBytes)
	for frames > 0 {
		part := chunk[:min(frames, chunkFrames)*a.frameBytes]
		if _, err := random.Read(part); err != nil {
			return err
		}
		a.frames.apply(part)
		if _, err := w.Write(part); err != nil {
			return err
		}
		frames -= chunkFrames
	}
	return nil
}

// mask says which bits of a frame have to be as they are; the others are random. A byte is random & and | or.
type mask struct{ and, or []byte }

// apply sets the bits of b, which is not longer than the mask. By words it is several times as fast as by bytes.
func (m mask) apply(b []byte) {
	const word = 8
	whole := len(b) / word * word
	for i := 0; i < whole; i += word {
		v := binary.LittleEndian.Uint64(b[i:])&binary.LittleEndian.Uint64(m.and[i:]) | binary.LittleEndian.Uint64(m.or[i:])
		binary.LittleEndian.PutUint64(b[i:], v)
	}
	for i := whole; i < len(b); i++ {
		b[i] = b[i]&m.and[i] | m.or[i]
	}
}

// field is a run of bits of a frame: those in and are random, those in or are set.
type field struct{ bits, and, or int }

// The parameters of GSM 06.10 (ETSI EN 300 961, table 1.1): eight log-area ratios, then four subframes of lag, gain,
// grid position, block amplitude and 13 pulses. Ratios are near zero and amplitudes low, so that the filter is stable
// and the noise not loud; lags are in their range of 40 to 120.
func gsmFields() []field {
	fields := []field{
		{6, 0x07, 0x20}, {6, 0x07, 0x20}, {5, 0x03, 0x10}, {5, 0x03, 0x10}, {4, 0x01, 0x08}, {4, 0x01, 0x08}, {3, 0x01, 0x04}, {3, 0x01, 0x04},
	}
	for range 4 {
		fields = append(fields, field{7, 0x1f, 0x40}, field{2, 0x03, 0}, field{2, 0x03, 0}, field{6, 0x1f, 0})
		for range 13 {
			fields = append(fields, field{3, 0x07, 0})
		}
	}
	return fields
}

// newMask lays fields out one after the other: the highest bit first, or, as WAV49 wants it, the lowest.
func newMask(fields []field, lowestFirst bool) mask {
	bits := 0
	for _, f := range fields {
		bits += f.bits
	}
	m := mask{make([]byte, bits/8), make([]byte, bits/8)}
	at := 0
	for _, f := range fields {
		for i := range f.bits {
			from, to := f.bits-1-i, 7-at%8
			if lowestFirst {
				from, to = i, at%8
			}
			m.and[at/8] |= byte(f.and >> from & 1 << to)
			m.or[at/8] |= byte(f.or >> from & 1 << to)
			at++
		}
	}
	return m
}

// wav49Header is what stands before the frames in a RIFF file of WAVE_FORMAT_GSM610 (RFC 2361, appendix A).
func wav49Header(frames int64) []byte {
	const blockBytes, blockSamples, hertz = 65, 320, 8000
	data := uint32(frames * blockBytes)
	b := append([]byte("RIFF"), make([]byte, 0, 64)...)
	b = binary.LittleEndian.AppendUint32(b, 52+data)
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 20)
	b = binary.LittleEndian.AppendUint16(b, 0x31) // WAVE_FORMAT_GSM610
	b = binary.LittleEndian.AppendUint16(b, 1)    // channel
	b = binary.LittleEndian.AppendUint32(b, hertz)
	b = binary.LittleEndian.AppendUint32(b, hertz/blockSamples*blockBytes)
	b = binary.LittleEndian.AppendUint16(b, blockBytes)
	b = binary.LittleEndian.AppendUint16(b, 0) // bits per sample: none, it is compressed
	b = binary.LittleEndian.AppendUint16(b, 2) // bytes of what follows
	b = binary.LittleEndian.AppendUint16(b, blockSamples)
	b = append(b, "fact"...)
	b = binary.LittleEndian.AppendUint32(b, 4)
	b = binary.LittleEndian.AppendUint32(b, uint32(frames*blockSamples))
	b = append(b, "data"...)
	return binary.LittleEndian.AppendUint32(b, data)
}

// newMP3Mask returns a frame of layer III (ISO/IEC 13818-3): 144 bytes of 32 kbit/s at 16 kHz, with side information
// that says that no bits belong to the sound, which makes it silence. All the rest is ancillary data: random, but never a
// byte that a frame could begin with.
func newMP3Mask() mask {
	const frameBytes, headerBytes, sideBytes = 144, 4, 9
	m := mask{make([]byte, frameBytes), make([]byte, frameBytes)}
	copy(m.or, "\xff\xf3\x48\xc4")
	for i := headerBytes + sideBytes; i < frameBytes; i++ {
		m.and[i] = 0x7f
	}
	return m
}
