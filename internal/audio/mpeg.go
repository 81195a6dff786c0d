package audio

import (
	"bytes"
	"time"
)

// mpeg counts the frames of a recording. What its encoder says of the number of frames is not believed: many a file was cut,
// or put together of others. While frame follows frame only their headers are looked at. Where none follows, a next one is
// looked for, and believed once another one like it stands behind it.
type mpeg struct {
	skip    int64  // bytes that are not looked at
	head    []byte // what was not judged yet: part of a header, or, out of step, up to a frame and the header behind it
	current Frame  // of the last frame; zero before the first
	inStep  bool   // head begins where a frame ended
	sound   time.Duration
}

// lookBytes is the most that is held: a frame, and the larger of the headers behind it.
const lookBytes = maxFrameBytes + ID3HeaderBytes

func (m *mpeg) write(p []byte) {
	for len(p) > 0 {
		if m.skip > 0 {
			n := min(m.skip, int64(len(p)))
			m.skip -= n
			p = p[n:]
			continue
		}
		n := min(lookBytes-len(m.head), len(p))
		if m.inStep { // what is not needed is not copied
			n = min(max(ID3HeaderBytes-len(m.head), 1), len(p))
		}
		m.head = append(m.head, p[:n]...)
		p = p[n:]
		for m.step(false) {
		}
	}
}

// step judges what stands at the start of head, and reports whether there is more to judge. At the end of the file what is
// not there will not come.
func (m *mpeg) step(end bool) bool {
	if m.skip > 0 || len(m.head) < FrameHeaderBytes || !end && len(m.head) < ID3HeaderBytes {
		return false
	}
	if tag := ID3Bytes(m.head); tag > 0 {
		m.pass(tag)
		return true
	}
	frame, ok := ParseFrame(m.head)
	switch {
	case m.inStep && ok && frame.SameStream(m.current):
		m.count(frame)
		return true
	case !ok:
		m.inStep = false
		m.search(m.head[1:])
		return true
	}
	m.inStep = false
	if int64(len(m.head)) < frame.Bytes+FrameHeaderBytes && !end {
		return false
	}
	if m.confirmed(frame) {
		m.count(frame)
	} else {
		m.search(m.head[1:])
	}
	return true
}

// confirmed reports whether what looks like a frame is one: another one like it follows, or, of a file of one frame, nothing.
func (m *mpeg) confirmed(frame Frame) bool {
	if int64(len(m.head)) < frame.Bytes+FrameHeaderBytes {
		return int64(len(m.head)) == frame.Bytes && (m.current == Frame{} || frame.SameStream(m.current))
	}
	next, ok := ParseFrame(m.head[frame.Bytes:])
	return ok && next.SameStream(frame)
}

// count takes the frame at the start of head as one.
func (m *mpeg) count(frame Frame) {
	if !m.isIndex(frame) {
		m.sound += frame.Duration()
	}
	m.current, m.inStep = frame, true
	m.pass(frame.Bytes)
}

// isIndex looks at the first frame only, which is held as a whole.
func (m *mpeg) isIndex(frame Frame) bool { return m.current == Frame{} && frame.isIndex(m.head) }

// search goes on at the next byte that a header or a tag can begin with.
func (m *mpeg) search(rest []byte) {
	at := 0
	for at < len(rest) && rest[at] != 0xff && rest[at] != 'I' {
		at++
	}
	m.head = append(m.head[:0], rest[at:]...)
}

// pass leaves bytes out, those that are still to come too.
func (m *mpeg) pass(sizeBytes int64) {
	held := min(sizeBytes, int64(len(m.head)))
	m.skip = sizeBytes - held
	m.head = append(m.head[:0], m.head[held:]...)
}

// duration leaves the state as it is.
func (m *mpeg) duration() (time.Duration, bool) {
	rest := *m
	rest.head = bytes.Clone(m.head)
	for rest.step(true) {
	}
	return rest.sound, rest.sound > 0
}
