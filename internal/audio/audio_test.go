package audio

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup"
)

// Headers, with the length of their frames as any analyser prints it.
const (
	mpeg1At128k44100 = "\xff\xfb\x90\x64" // 417 bytes, 1152 samples
	mpeg1At64k44100  = "\xff\xfb\x50\x64" // 208
	mpeg2At24k22050  = "\xff\xf3\x30\xc4" // 78 bytes, 576 samples, mono
	mpeg25At16k8000  = "\xff\xe3\x28\xc4" // 144 bytes, 576 samples, mono
)

// frames returns so many frames below a header, with nothing else in them.
func frames(header string, frameBytes, count int) []byte {
	return bytes.Repeat([]byte(header+strings.Repeat("\x00", frameBytes-len(header))), count)
}

// index returns a frame that holds no sound but what an encoder says: here that there are far more frames.
func index(header string, frameBytes, at int, name string) []byte {
	frame := frames(header, frameBytes, 1)
	copy(frame[at:], name+"\x00\x00\x00\x01\x00\xff\xff\xff")
	return frame
}

func id3(tagBytes int) []byte {
	tag := append([]byte("ID3\x04\x00\x00"), byte(tagBytes>>21&0x7f), byte(tagBytes>>14&0x7f), byte(tagBytes>>7&0x7f), byte(tagBytes&0x7f))
	return append(tag, bytes.Repeat([]byte(mpeg1At128k44100), tagBytes/4+1)[:tagBytes]...)
}

func chunk(name string, size uint32, data []byte) []byte {
	return append(binary.LittleEndian.AppendUint32([]byte(name), size), data...)
}

// wav returns a RIFF file whose data chunk says that it has so many bytes.
func wav(format uint16, hertz, says uint32, blocks int) []byte {
	about := binary.LittleEndian.AppendUint16(nil, format)
	about = binary.LittleEndian.AppendUint16(about, 1)
	about = binary.LittleEndian.AppendUint32(about, hertz)
	about = append(about, make([]byte, 12)...)
	return join([]byte("RIFF\x00\x00\x00\x00WAVE"), chunk("odd ", 3, make([]byte, 4)), chunk("fmt ", 20, about),
		chunk("fact", 4, []byte{255, 255, 255, 255}), chunk("data", says, make([]byte, blocks*65)))
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// noise has no byte that a header begins with.
func noise(n int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.IntN(255))
	}
	return b
}

var recordings = []struct {
	about string
	kind  backup.MediaKind
	bytes []byte
	want  time.Duration // -1 for not known
}{
	{"gsm", backup.KindGSM, make([]byte, 33*50), time.Second},
	{"gsm, cut", backup.KindGSM, make([]byte, 33*50+32), time.Second},
	{"gsm, empty", backup.KindGSM, nil, 0},
	{"wav49", backup.KindWAV49, wav(0x31, 8000, 65*50, 50), 2 * time.Second},
	{"wav49, cut", backup.KindWAV49, wav(0x31, 8000, 65*5000, 50), 2 * time.Second},
	{"wav49 of unknown length", backup.KindWAV49, wav(0x31, 8000, 0, 50), 2 * time.Second},
	{"wav49 of the greatest length", backup.KindWAV49, wav(0x31, 8000, math.MaxUint32, 50), 2 * time.Second},
	{"wav49 with tags behind", backup.KindWAV49, join(wav(0x31, 8000, 65*50, 50), chunk("LIST", 6500, make([]byte, 6500))), 2 * time.Second},
	{"wav49 at another rate", backup.KindWAV49, wav(0x31, 16000, 65*50, 50), time.Second},
	{"wave of another format", backup.KindWAV49, wav(1, 8000, 65*50, 50), -1},
	{"wave of no rate", backup.KindWAV49, wav(0x31, 0, 65*50, 50), -1},
	{"no wave", backup.KindWAV49, noise(5000), -1},
	{"mpeg 1", backup.KindMP3, frames(mpeg1At128k44100, 417, 100), 100 * 1152 * time.Second / 44100},
	{"mpeg 2", backup.KindMP3, frames(mpeg2At24k22050, 78, 100), 100 * 576 * time.Second / 22050},
	{"mpeg 2.5", backup.KindMP3, frames(mpeg25At16k8000, 144, 100), 100 * 576 * time.Second / 8000},
	{"variable rate", backup.KindMP3, join(frames(mpeg1At128k44100, 417, 30), frames(mpeg1At64k44100, 208, 70)), 100 * 1152 * time.Second / 44100},
	{"one frame", backup.KindMP3, frames(mpeg1At128k44100, 417, 1), 1152 * time.Second / 44100},
	{"a tag full of headers", backup.KindMP3, join(id3(100000), frames(mpeg1At128k44100, 417, 100)), 100 * 1152 * time.Second / 44100},
	{"a tag in the middle", backup.KindMP3, join(frames(mpeg1At128k44100, 417, 50), id3(1001), frames(mpeg1At128k44100, 417, 50)), 100 * 1152 * time.Second / 44100},
	{"a tag at the end", backup.KindMP3, join(frames(mpeg1At128k44100, 417, 100), []byte("TAG"), make([]byte, 125)), 100 * 1152 * time.Second / 44100},
	{"Xing that lies", backup.KindMP3, join(index(mpeg1At128k44100, 417, 36, "Xing"), frames(mpeg1At128k44100, 417, 100)), 100 * 1152 * time.Second / 44100},
	{"Info, mono", backup.KindMP3, join(index(mpeg2At24k22050, 78, 13, "Info"), frames(mpeg2At24k22050, 78, 100)), 100 * 576 * time.Second / 22050},
	{"VBRI", backup.KindMP3, join(index(mpeg1At128k44100, 417, 36, "VBRI"), frames(mpeg1At128k44100, 417, 100)), 100 * 1152 * time.Second / 44100},
	{"noise before", backup.KindMP3, join(noise(5000), frames(mpeg1At128k44100, 417, 100)), 100 * 1152 * time.Second / 44100},
	{"noise between", backup.KindMP3, join(frames(mpeg1At128k44100, 417, 50), noise(5000), frames(mpeg1At128k44100, 417, 50)), 100 * 1152 * time.Second / 44100},
	{"a header in the noise", backup.KindMP3, join([]byte(mpeg25At16k8000), noise(3000), frames(mpeg1At128k44100, 417, 100)), 100 * 1152 * time.Second / 44100},
	{"two recordings in a row", backup.KindMP3, join(frames(mpeg1At128k44100, 417, 100), frames(mpeg25At16k8000, 144, 100)), 100*1152*time.Second/44100 + 100*576*time.Second/8000},
	{"no mp3", backup.KindMP3, noise(100000), -1},
	{"nothing of an mp3", backup.KindMP3, nil, -1},
	{"a conversation", backup.KindChat, []byte("hola"), 0},
	{"anything", backup.KindOther, noise(100), 0},
	{"of no kind", 0, noise(100), -1},
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for _, r := range recordings {
		for _, pieceBytes := range []int{1, 2, 7, 416, 4096, 1 << 20} {
			m := NewMeter(r.kind)
			for rest := r.bytes; len(rest) > 0; {
				n, err := m.Write(rest[:min(pieceBytes, len(rest))])
				if err != nil {
					t.Fatalf("%s: Write: %v", r.about, err)
				}
				rest = rest[n:]
			}
			got, known := m.Duration()
			if !known {
				got = -1
			}
			const rounding = time.Microsecond
			if (got - r.want).Abs() > rounding {
				t.Errorf("%s, in pieces of %d bytes: it takes %v, want %v", r.about, pieceBytes, got, r.want)
			}
		}
	}
}

func TestParseFrame(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]int64{
		mpeg1At128k44100: 417, "\xff\xfb\x92\x64": 418, mpeg2At24k22050: 78, mpeg25At16k8000: 144, "\xff\xfa\x54\x64": 192,
		"\xff\xfd\x90\x64": 0, "\xff\xeb\x90\x64": 0, "\xff\xfb\x00\x64": 0, "\xff\xfb\xf0\x64": 0, "\xff\xfb\x9c\x64": 0,
		"\xff\xfb\x90\x66": 0, "\xfe\xfb\x90\x64": 0, "\xff\x1b\x90\x64": 0, "\xff\xfb\x90": 0,
	} {
		if f, ok := ParseFrame([]byte(header)); f.Bytes != want || ok != (want > 0) {
			t.Errorf("ParseFrame(%x) = %+v, %t; its length is %d", header, f, ok, want)
		}
	}
	for b := range 1 << 24 { // all headers
		f, ok := ParseFrame([]byte{0xff, byte(b >> 16), byte(b >> 8), byte(b)})
		if ok && (f.Bytes < FrameHeaderBytes || f.Bytes > maxFrameBytes || f.Duration() <= 0) {
			t.Fatalf("the frame of the header ff%06x is %+v", b, f)
		}
	}
}

// Whatever the bytes are, how they are cut changes nothing, little of them is held, and time has its bounds.
func FuzzMeter(f *testing.F) {
	for _, r := range recordings {
		if len(r.bytes) < 10000 {
			f.Add(uint8(r.kind), r.bytes, uint16(100))
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte, pieceBytes uint16) {
		whole, pieces := NewMeter(backup.MediaKind(kind)), NewMeter(backup.MediaKind(kind))
		whole.Write(data)
		for rest := data; len(rest) > 0; {
			n, _ := pieces.Write(rest[:min(int(pieceBytes)+1, len(rest))])
			rest = rest[n:]
			if m, ok := pieces.part.(*mpeg); ok && cap(m.head) > 4*lookBytes {
				t.Fatalf("%d bytes are held", cap(m.head))
			}
		}
		want, known := whole.Duration()
		if got, ok := pieces.Duration(); got != want || ok != known {
			t.Errorf("in pieces it takes %v, %t; at once %v, %t", got, ok, want, known)
		}
		again, _ := whole.Duration()
		// No form has more than 40 ms in 21 bytes.
		if again != want || want < 0 || want > time.Duration(len(data)/20+1)*400*time.Millisecond {
			t.Errorf("%d bytes take %v, then %v", len(data), want, again)
		}
	})
}
