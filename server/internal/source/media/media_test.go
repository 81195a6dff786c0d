package media

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	backup "github.com/wolkvox/backup"
)

// gsmSilence is the frame that libgsm encodes silence into.
var gsmSilence = []byte{
	0xd8, 0x20, 0xa2, 0xe1, 0x5a, 0x50, 0x00, 0x49, 0x24, 0x92, 0x49, 0x24, 0x50, 0x00, 0x49, 0x24, 0x92,
	0x49, 0x24, 0x50, 0x00, 0x49, 0x24, 0x92, 0x49, 0x24, 0x50, 0x00, 0x49, 0x24, 0x92, 0x49, 0x24,
}

func gsm(frames int) []byte { return bytes.Repeat(gsmSilence, frames) }

// mp3 returns frames of zeroes below the given header, each of the size that the standard computes for it.
func mp3(header string, frameBytes, frames int) []byte {
	frame := make([]byte, frameBytes)
	copy(frame, header)
	return bytes.Repeat(frame, frames)
}

// Frame sizes as printed by any MP3 analyser for these headers.
const (
	mpeg1At128k44100  = "\xff\xfb\x90\x64" // 417 bytes
	mpeg2At24k22050   = "\xff\xf3\x30\xc4" // 78 bytes
	mpeg25At16k8000   = "\xff\xe3\x28\xc4" // 144 bytes
	mpeg1LayerII      = "\xff\xfd\x90\x64"
	mpeg1CRCAt64k4800 = "\xff\xfa\x54\xc0" // 192 bytes, with a checksum
)

func id3(tagBytes int) []byte {
	tag := make([]byte, 10+tagBytes)
	copy(tag, "ID3\x04\x00\x00")
	for i := range 4 {
		tag[6+i] = byte(tagBytes>>(7*(3-i))) & 0x7f
	}
	return tag
}

func wave(formatTag uint16, before string) []byte {
	b := []byte("RIFF\x00\x00\x00\x00WAVE" + before + "fmt \x14\x00\x00\x00")
	b = binary.LittleEndian.AppendUint16(b, formatTag)
	b = append(b, "\x01\x00\x40\x1f\x00\x00\x59\x06\x00\x00\x41\x00\x00\x00\x02\x00\x40\x01"...)
	return append(b, "data\x00\x00\x00\x00"...)
}

func noise(size int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestKind(t *testing.T) {
	t.Parallel()
	const gsmKind, wav49, mp3Kind, chat, other = backup.KindGSM, backup.KindWAV49, backup.KindMP3, backup.KindChat, backup.KindOther
	hebrew := []byte(strings.Repeat("שלום לכולם ", 40))
	tests := []struct {
		about, name string
		contents    []byte
		want        backup.MediaKind
	}{
		{"empty gsm", "a/b.gsm", nil, gsmKind},
		{"empty wav49", "b.WAV49", nil, wav49},
		{"empty mp3", "b.MP3", nil, mp3Kind},
		{"empty chat", "chat.html", nil, chat},
		{"empty", "b", nil, other},
		{"empty, folder with a dot", "a.gsm/b", nil, other},

		{"gsm", "call.gsm", gsm(50), gsmKind},
		{"gsm under another name", "call.mp3", gsm(50), gsmKind},
		{"gsm without extension, cut", "call", gsm(50)[:50*33-7], gsmKind},
		{"four whole gsm frames", "call", gsm(4), gsmKind},
		{"four gsm frames and a bit, no name", "call", gsm(4)[:4*33-1], other},
		{"one gsm frame, named", "call.gsm", gsm(1), gsmKind},
		{"one gsm frame, not named", "call.dat", gsm(1), other},
		{"gsm behind noise", "call.gsm", join(noise(50), gsm(100)), gsmKind},
		{"gsm with a damaged frame", "call.gsm", join(make([]byte, 33), gsm(40)), gsmKind},
		{"noise called gsm", "call.gsm", noise(5000), other},
		{"zeroes called gsm", "call.gsm", make([]byte, 5000), other},

		{"wav49", "call.wav", wave(0x31, ""), wav49},
		{"wav49 called gsm", "call.gsm", wave(0x31, ""), wav49},
		{"wav49 behind another chunk", "call", wave(0x31, "LIST\x03\x00\x00\x00abc\x00"), wav49},
		{"pcm", "call.wav49", wave(1, ""), other},
		{"riff without format", "call.wav49", []byte("RIFF\x00\x00\x00\x00WAVEdata\xff\xff\xff\xff"), other},
		{"riff with a chunk of the largest size", "call", []byte("RIFF\x00\x00\x00\x00WAVExxxx\xff\xff\xff\xffabcdefgh"), other},

		{"mp3", "call.mp3", mp3(mpeg1At128k44100, 417, 20), mp3Kind},
		{"mp3 called gsm", "call.gsm", mp3(mpeg1At128k44100, 417, 20), mp3Kind},
		{"mp3 with checksums", "call", mp3(mpeg1CRCAt64k4800, 192, 20), mp3Kind},
		{"mpeg 2", "call", mp3(mpeg2At24k22050, 78, 3), mp3Kind},
		{"mpeg 2.5", "call", mp3(mpeg25At16k8000, 144, 3), mp3Kind},
		{"one mp3 frame, named", "call.mp3", mp3(mpeg1At128k44100, 417, 1), mp3Kind},
		{"one mp3 frame, cut, named", "call.mp3", mp3(mpeg1At128k44100, 417, 1)[:100], mp3Kind},
		{"one mp3 frame, not named", "call.dat", mp3(mpeg1At128k44100, 417, 1), other},
		{"one mp3 header, then none", "call.mp3", mp3(mpeg1At128k44100, 400, 1000)[:600], other},
		{"layer II", "call.mp3", mp3(mpeg1LayerII, 417, 20), other},
		{"id3 and frames", "call", join(id3(300), mp3(mpeg1At128k44100, 417, 20)), mp3Kind},
		{"id3, padding and frames", "call", join(id3(300), make([]byte, 2000), mp3(mpeg25At16k8000, 144, 3)), mp3Kind},
		{"id3 larger than the head", "call", join(id3(200000), mp3(mpeg1At128k44100, 417, 2)), mp3Kind},
		{"id3 larger than the file", "call", id3(200000)[:500], other},
		{"id3 larger than the file, named", "call.mp3", id3(200000)[:500], mp3Kind},
		{"id3 and something else", "call", join(id3(300), noise(500)), other},
		{"mp3 behind garbage", "call", join(noise(1000), mp3(mpeg1At128k44100, 417, 20)), mp3Kind},
		{"two mp3 frames behind garbage", "call", join(noise(1000), mp3(mpeg1At128k44100, 417, 2), noise(500)), other},
		{"two mp3 frames behind garbage, named", "call.mp3", join(noise(1000), mp3(mpeg1At128k44100, 417, 2), noise(500)), mp3Kind},
		{"noise called mp3", "call.mp3", noise(100000), other},

		{"json", "export.dat", []byte(`{"messages": []}`), chat},
		{"json behind a byte order mark", "x.dat", []byte("\ufeff [ {\"from\":\"ana\"} ]"), chat},
		{"html", "export", []byte("<!DOCTYPE html><p>hola"), chat},
		{"html called mp3", "call.mp3", []byte("\n<html><p>hola"), chat},
		{"xml", "x.dat", []byte("<?xml version='1.0'?><chat/>"), chat},
		{"text", "chat.txt", []byte("Ana: ¿cómo está?\r\n"), chat},
		{"text without extension", "573001112233", []byte("Ana: hola\n"), chat},
		{"text called csv", "index.csv", []byte("a;b;c\n"), other},
		{"text called gsm", "call.gsm", []byte("no recording\n"), other},
		{"script that begins like markup", "x.dat", []byte("< 3"), other},
		{"hebrew text", "chat.txt", hebrew, chat},
		{"hebrew text called gsm", "chat.gsm", hebrew, other},
		{"long text whose head ends within a character", "chat", []byte("x" + strings.Repeat("é", HeadBytes)), chat},
		{"latin-1 text, named", "chat.txt", []byte("Ana: \xbfc\xf3mo est\xe1?\r\n"), chat},
		{"latin-1 text, not named", "chat", []byte("Ana: \xbfc\xf3mo est\xe1?\r\n"), other},
		{"utf-16 text, named", "chat.txt", []byte("\xff\xfeA\x00n\x00a\x00"), chat},
		{"binary called text", "chat.txt", noise(500), other},
		{"noise", "x", noise(100000), other},
		{"program", "x", []byte("\x7fELF\x02\x01\x01\x00"), other},
	}
	for _, test := range tests {
		head := test.contents[:min(len(test.contents), HeadBytes)]
		if got := Kind(test.name, head, int64(len(test.contents))); got != test.want {
			t.Errorf("%s: Kind(%q) = %v, want %v", test.about, test.name, got, test.want)
		}
	}
}

func FuzzKind(f *testing.F) {
	f.Add("a.gsm", gsm(3), int64(99))
	f.Add("a.mp3", join(id3(5), mp3(mpeg2At24k22050, 78, 2)), int64(1000))
	f.Add("a.wav", wave(0x31, ""), int64(1000))
	f.Add("a.txt", []byte("\ufeff{é"), int64(-1))
	f.Fuzz(func(t *testing.T, name string, head []byte, sizeBytes int64) {
		kind := Kind(name, head, sizeBytes)
		if _, err := backup.ParseMediaKind(kind.String()); err != nil {
			t.Errorf("Kind(%q, %x, %d) = %v", name, head, sizeBytes, kind)
		}
	})
}
