package media

import (
	"bytes"
	"encoding/binary"
)

// formatGSM610 is WAVE_FORMAT_GSM610 (RFC 2361, appendix A): what Asterisk calls wav49.
const formatGSM610 = 0x0031

// isRIFF reports whether a RIFF file of form WAVE begins here.
func isRIFF(head []byte) bool {
	return len(head) >= 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WAVE"
}

// waveFormat returns the format tag of the "fmt " chunk, or 0 where none is in sight.
func waveFormat(head []byte) uint16 {
	for at := int64(12); at+10 <= int64(len(head)); {
		size := int64(binary.LittleEndian.Uint32(head[at+4:]))
		if string(head[at:at+4]) == "fmt " && size >= 2 {
			return binary.LittleEndian.Uint16(head[at+8:])
		}
		at += 8 + size + size&1
	}
	return 0
}

// A GSM 06.10 frame has 33 bytes in the form that Asterisk and libgsm store, and its first four bits are 0xD
// (RFC 3551, section 4.5.8.1).
const gsmFrameBytes = 33

// isGSM reports whether the file is a sequence of GSM 06.10 frames. Four bits are little: without the name it
// takes eight frames, or four in a file of whole frames. With the name it takes three quarters of the frames, wherever
// the first one begins, and a file of fewer than four frames is believed when it begins like a frame.
func isGSM(head []byte, sizeBytes int64, named bool) bool {
	frames, matching := gsmFrames(head)
	if matching == frames && (frames >= 8 || frames >= 4 && sizeBytes%gsmFrameBytes == 0) {
		return true
	}
	if !named {
		return false
	}
	if frames < 4 {
		return matching == frames
	}
	for start := range min(gsmFrameBytes, len(head)) {
		if frames, matching := gsmFrames(head[start:]); frames >= 3 && matching*4 >= frames*3 {
			return true
		}
	}
	return false
}

// gsmFrames counts the frames that begin in head, and those that begin with 0xD.
func gsmFrames(head []byte) (frames, matching int) {
	for at := 0; at < len(head); at += gsmFrameBytes {
		frames++
		if head[at]>>4 == 0xd {
			matching++
		}
	}
	return frames, matching
}

// beginsMP3 reports whether the file is MPEG audio layer III from its start, or from behind an ID3v2 tag and
// padding. One frame is enough where a tag or the name says the same and no more is in sight.
func beginsMP3(head []byte, sizeBytes int64, named bool) bool {
	tag := id3Bytes(head)
	if tag >= int64(len(head)) {
		return named || tag < sizeBytes // the tag, perhaps with a picture, is all that is in sight
	}
	frames, inSight := mp3Frames(bytes.TrimLeft(head[tag:], "\x00"), 2)
	return frames == 2 || frames == 1 && !inSight && (named || tag > 0)
}

// holdsMP3 reports whether MPEG audio layer III begins somewhere in head. It asks for three frames in a row, as
// which random bytes appear once in many billions of files, and with the name for two.
func holdsMP3(head []byte, named bool) bool {
	want := 3
	if named {
		want = 2
	}
	for {
		sync := bytes.IndexByte(head, 0xff)
		if sync < 0 {
			return false
		}
		if frames, _ := mp3Frames(head[sync:], want); frames == want {
			return true
		}
		head = head[sync+1:]
	}
}

// id3Bytes returns the length of the ID3v2 tag at the start, or 0 (id3.org, ID3v2.4.0 structure, section 3.1).
func id3Bytes(head []byte) int64 {
	if len(head) < 10 || string(head[:3]) != "ID3" || head[3] < 2 || head[3] > 4 || head[4] == 0xff {
		return 0
	}
	size := int64(0)
	for _, b := range head[6:10] {
		if b >= 0x80 {
			return 0
		}
		size = size<<7 | int64(b)
	}
	const header, footer = 10, 10
	if head[5]&0x10 != 0 {
		return header + size + footer
	}
	return header + size
}

// mp3Frames counts the frames in a row from the start of head, at most limit. InSight is false where the
// count ended because head did.
func mp3Frames(head []byte, limit int) (frames int, inSight bool) {
	first := head
	for frames < limit {
		if len(head) < 4 {
			return frames, false
		}
		size := mp3FrameBytes(head)
		if size == 0 || !sameStream(first, head) {
			return frames, true
		}
		frames++
		if size > int64(len(head)) {
			return frames, false
		}
		head = head[size:]
	}
	return frames, true
}

// sameStream reports whether two frame headers have the same version, layer and sampling rate.
func sameStream(a, b []byte) bool { return a[1]&0xfe == b[1]&0xfe && a[2]&0x0c == b[2]&0x0c }

// mp3FrameBytes returns the length of the layer III frame whose header begins head (ISO/IEC 11172-3, 2.4.1.3, and
// 13818-3; "MPEG 2.5" halves the rates once more), or 0 where there is none or its bit rate is free.
func mp3FrameBytes(head []byte) int64 {
	if len(head) < 4 || head[0] != 0xff || head[1]&0xe0 != 0xe0 {
		return 0
	}
	version, layer := head[1]>>3&3, head[1]>>1&3
	rate, sampling, emphasis := head[2]>>4, head[2]>>2&3, head[3]&3
	const reservedVersion, layerIII = 1, 1
	if version == reservedVersion || layer != layerIII || rate == 0 || rate == 15 || sampling == 3 || emphasis == 2 {
		return 0
	}
	kilobits := [...]int64{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}[rate]
	hertz := [...]int64{44100, 48000, 32000}[sampling]
	samplesByEight := int64(72)
	switch version {
	case 3: // MPEG 1
		kilobits = [...]int64{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}[rate]
		samplesByEight = 144
	case 2: // MPEG 2
		hertz /= 2
	case 0: // MPEG 2.5
		hertz /= 4
	}
	padding := int64(head[2] >> 1 & 1)
	return samplesByEight*kilobits*1000/hertz + padding
}
