package smbdest

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
)

// message returns a message with its length before it.
func message(protocol string, command uint16, status, next uint32, sessionFlags uint16, tail int) []byte {
	m := make([]byte, lengthBytes+headerBytes+4+tail)
	binary.BigEndian.PutUint32(m, uint32(len(m)-lengthBytes))
	copy(m[lengthBytes:], protocol)
	binary.LittleEndian.PutUint32(m[lengthBytes+8:], status)
	binary.LittleEndian.PutUint16(m[lengthBytes+12:], command)
	binary.LittleEndian.PutUint32(m[lengthBytes+20:], next)
	binary.LittleEndian.PutUint16(m[lengthBytes+headerBytes+2:], sessionFlags)
	return m
}

// negotiated returns the server's choice of a dialect.
func negotiated(dialect uint16) []byte {
	m := message(plainMessage, 0, 0, 0, 3, 61)
	binary.LittleEndian.PutUint16(m[lengthBytes+headerBytes+4:], dialect)
	return m
}

const (
	plainMessage     = "\xfeSMB"
	encryptedMessage = "\xfdSMB"
)

// TestWatchedConn: what is seen does not depend on how the bytes are cut into reads.
func TestWatchedConn(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		stream  []byte
		guest   bool
		refused uint32
		err     error
	}{
		"a user":               {message(plainMessage, 1, 0, 0, 0, 100), false, 0, nil},
		"a guest":              {message(plainMessage, 1, 0, 0, 1, 5), true, 0, nil},
		"nobody":               {message(plainMessage, 1, 0, 0, 2, 0), true, 0, nil},
		"an encrypted user":    {message(plainMessage, 1, 0, 0, 4, 0), false, 0, nil},
		"not yet a guest":      {message(plainMessage, 1, statusMoreProcessing, 0, 1, 0), false, 0, nil},
		"another command":      {message(plainMessage, 5, 0, 0, 1, 0), false, 0, nil},
		"a refused user":       {message(plainMessage, 1, 0xC000006D, 0, 0, 0), false, 0xC000006D, nil},
		"a refused connection": {message(plainMessage, 0, 0xC00000D0, 0, 0, 0), false, 0xC00000D0, nil},
		"a refused file":       {message(plainMessage, 5, 0xC0000022, 0, 0, 0), false, 0, nil},
		"what is encrypted":    {message(encryptedMessage, 1, 0xC0000022, 7, 1, 300), false, 0, nil},
		"two, then a guest":    {append(append(message(plainMessage, 5, 0, 0, 0, 9), message(encryptedMessage, 0, 0, 0, 0, 999)...), message(plainMessage, 1, 0, 0, 1, 0)...), true, 0, nil},
		"several in one":       {message(plainMessage, 5, 0, 64, 0, 64), false, 0, errMessage},
		"SMB 1":                {message("\xffSMB", 1, 0, 0, 1, 0), false, 0, errMessage},
		"an empty one":         {[]byte{0, 0, 0, 0}, false, 0, errMessage},
		"too short a one":      {append([]byte{0, 0, 0, 60}, make([]byte, 60)...), false, 0, errMessage},
		"another protocol":     {[]byte("SSH-2.0-OpenSSH_9.2\r\n"), false, 0, errMessage},
	} {
		for _, piece := range []int{1, 3, 64, 68, 72, 4096} {
			var failed error
			mine, server := net.Pipe()
			go func() { server.Write(test.stream); server.Close() }()
			c := &watchedConn{Conn: mine, failed: func(err error) { failed = err }}
			n := 0
			buf := make([]byte, piece)
			var err error
			for err == nil {
				var m int
				m, err = c.Read(buf)
				n += m
			}
			mine.Close()
			if test.err == nil && (!errors.Is(err, io.EOF) || n != len(test.stream)) || test.err != nil && !errors.Is(err, test.err) || !errors.Is(failed, err) {
				t.Errorf("%s, in pieces of %d: %d of %d bytes, %v, told %v", what, piece, n, len(test.stream), err, failed)
			}
			if c.guest.Load() != test.guest || c.refused.Load() != test.refused {
				t.Errorf("%s, in pieces of %d: guest is %v, refused by %#x", what, piece, c.guest.Load(), c.refused.Load())
			}
		}
	}
}

// TestWatchedConnTells: the dialect, and whether what comes is encrypted.
func TestWatchedConnTells(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		stream    []byte
		dialect   uint32
		encrypted bool
	}{
		"nothing yet":       {nil, 0, false},
		"a dialect":         {negotiated(0x0311), 0x0311, false},
		"a session":         {append(negotiated(0x0302), message(plainMessage, 1, 0, 0, 0, 9)...), 0x0302, false},
		"a refusal":         {message(plainMessage, 0, 0xC00000D0, 0, 9, 9), 0, false},
		"too short a one":   {message(plainMessage, 0, 0, 0, 0, 1), 0, false},
		"what is encrypted": {append(negotiated(0x0311), message(encryptedMessage, 0, 0, 0, 0, 99)...), 0x0311, true},
	} {
		c := &watchedConn{}
		for _, b := range test.stream {
			if err := c.see([]byte{b}); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		if c.dialect.Load() != test.dialect || c.encrypted.Load() != test.encrypted {
			t.Errorf("%s: dialect %#x, encrypted %v", what, c.dialect.Load(), c.encrypted.Load())
		}
	}
}
