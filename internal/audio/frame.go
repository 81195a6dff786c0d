package audio

import "time"

// FrameHeaderBytes is the length of the header of an MPEG audio frame.
const FrameHeaderBytes = 4

// Frame is what the header of a frame of MPEG audio layer III says.
type Frame struct {
	Bytes   int64 // of the frame, header included
	Samples int64 // of each channel
	Hertz   int64 // samples in a second
	stream  uint16
	mono    bool
}

// SameStream reports whether two frames have the same version and sampling rate, as those of one recording have.
func (f Frame) SameStream(g Frame) bool { return f.stream == g.stream }

// Duration returns how long the frame sounds.
func (f Frame) Duration() time.Duration {
	return time.Duration(f.Samples) * time.Second / time.Duration(f.Hertz)
}

// ParseFrame reads the header that begins head (ISO/IEC 11172-3, 2.4.1.3, and 13818-3; "MPEG 2.5" halves the rates once
// more). It returns false where there is none of layer III, or its bit rate is free.
func ParseFrame(head []byte) (Frame, bool) {
	if len(head) < FrameHeaderBytes || head[0] != 0xff || head[1]&0xe0 != 0xe0 {
		return Frame{}, false
	}
	version, layer := head[1]>>3&3, head[1]>>1&3
	rate, sampling, emphasis := head[2]>>4, head[2]>>2&3, head[3]&3
	const reservedVersion, layerIII = 1, 1
	if version == reservedVersion || layer != layerIII || rate == 0 || rate == 15 || sampling == 3 || emphasis == 2 {
		return Frame{}, false
	}
	kilobits := [...]int64{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}[rate]
	f := Frame{
		Hertz: [...]int64{44100, 48000, 32000}[sampling], Samples: 576,
		stream: uint16(head[1]&0xfe)<<8 | uint16(head[2]&0x0c), mono: head[3]>>6 == 3,
	}
	switch version {
	case 3: // MPEG 1
		kilobits = [...]int64{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}[rate]
		f.Samples = 1152
	case 2: // MPEG 2
		f.Hertz /= 2
	case 0: // MPEG 2.5
		f.Hertz /= 4
	}
	padding := int64(head[2] >> 1 & 1)
	f.Bytes = f.Samples/8*kilobits*1000/f.Hertz + padding
	return f, true
}

// maxFrameBytes is above the length of any frame: 160 kbit/s at 8 kHz, padded.
const maxFrameBytes = 1441

// ID3HeaderBytes is the length of the header of an ID3v2 tag.
const ID3HeaderBytes = 10

// ID3Bytes returns the length of the ID3v2 tag that begins head, or 0 where there is none (id3.org, ID3v2.4.0 structure,
// section 3.1).
func ID3Bytes(head []byte) int64 {
	if len(head) < ID3HeaderBytes || string(head[:3]) != "ID3" || head[3] < 2 || head[3] > 4 || head[4] == 0xff {
		return 0
	}
	size := int64(0)
	for _, b := range head[6:10] {
		if b >= 0x80 {
			return 0
		}
		size = size<<7 | int64(b)
	}
	const footer = 10
	if head[5]&0x10 != 0 {
		return ID3HeaderBytes + size + footer
	}
	return ID3HeaderBytes + size
}

// isIndex reports whether a frame holds no sound, but what an encoder says of the whole: Xing and Info stand behind the side
// information, VBRI at a place of its own.
func (f Frame) isIndex(bytes []byte) bool {
	side := 17
	switch mpeg1 := f.Samples == 1152; {
	case mpeg1 && !f.mono:
		side = 32
	case !mpeg1 && f.mono:
		side = 9
	}
	at := func(offset int, name string) bool {
		return len(bytes) >= offset+len(name) && string(bytes[offset:offset+len(name)]) == name
	}
	return at(FrameHeaderBytes+side, "Xing") || at(FrameHeaderBytes+side, "Info") || at(FrameHeaderBytes+32, "VBRI")
}
