package media

import (
	"bytes"
	"encoding/binary"

	"github.com/wolkvox/backup/internal/audio"
)

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

// isGSM reports whether the file is a sequence of GSM 06.10 frames. Four bits are little: without the name it
// takes eight frames, or four in a file of whole frames. With the name it takes three quarters of the frames, wherever
// the first one begins, and a file of fewer than four frames is believed when it begins like a frame.
func isGSM(head []byte, sizeBytes int64, named bool) bool {
	frames, matching := gsmFrames(head)
	if matching == frames && (frames >= 8 || frames >= 4 && sizeBytes%audio.GSMFrameBytes == 0) {
		return true
	}
	if !named {
		return false
	}
	if frames < 4 {
		return matching == frames
	}
	for start := range min(audio.GSMFrameBytes, len(head)) {
		if frames, matching := gsmFrames(head[start:]); frames >= 3 && matching*4 >= frames*3 {
			return true
		}
	}
	return false
}

// gsmFrames counts the frames that begin in head, and those that begin with 0xD.
func gsmFrames(head []byte) (frames, matching int) {
	for at := 0; at < len(head); at += audio.GSMFrameBytes {
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
	tag := audio.ID3Bytes(head)
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

// mp3Frames counts the frames in a row from the start of head, at most limit. InSight is false where the
// count ended because head did.
func mp3Frames(head []byte, limit int) (frames int, inSight bool) {
	first, _ := audio.ParseFrame(head)
	for frames < limit {
		if len(head) < audio.FrameHeaderBytes {
			return frames, false
		}
		frame, ok := audio.ParseFrame(head)
		if !ok || !frame.SameStream(first) {
			return frames, true
		}
		frames++
		if frame.Bytes > int64(len(head)) {
			return frames, false
		}
		head = head[frame.Bytes:]
	}
	return frames, true
}
