package smbdest

import (
	"encoding/binary"
	"errors"
	"net"
	"sync/atomic"
)

// watchedConn looks at the messages that the server sends, before the libraries see them (MS-SMB2 section 2.2). While the
// session is made it takes down what the libraries do not tell: whether it is a guest's, the status that refused it, and the
// dialect; later, whether messages are encrypted. A message that is no SMB 2 or 3 message, or several in one though one was
// asked for, ends the connection: the older library would panic.
type watchedConn struct {
	net.Conn
	failed func(error) // called when nothing more can be read

	guest   atomic.Bool
	refused atomic.Uint32 // the last status that refused to negotiate or to make a session; 0 for none

	dialect   atomic.Uint32 // as the server chose it (MS-SMB2 section 2.2.4); 0 before that
	encrypted atomic.Bool   // an encrypted message came

	// The message that is being read, by one goroutine: its length, with the four bytes before it, how much of it came, and
	// its beginning.
	length, came int
	begin        [headBytes]byte
}

// Offsets in a message, after the four bytes of its length.
const (
	lengthBytes = 4
	headerBytes = 64
	headBytes   = lengthBytes + headerBytes + 6 // with a session setup's flags, and a negotiation's dialect
)

const (
	commandNegotiate    = 0
	commandSessionSetup = 1

	statusMoreProcessing = 0xC0000016

	sessionIsGuest = 1 // MS-SMB2 section 2.2.6
	sessionIsNull  = 2
)

var errMessage = errors.New("what answers does not speak SMB 2 or 3")

// Read implements net.Conn.
func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if seen := c.see(p[:n]); seen != nil {
		n, err = 0, seen
	}
	if err != nil {
		c.failed(err)
	}
	return n, err
}

// see follows the messages through the next bytes.
func (c *watchedConn) see(p []byte) error {
	for len(p) > 0 {
		if c.came < headBytes {
			n := copy(c.begin[c.came:c.end(headBytes)], p)
			c.came, p = c.came+n, p[n:]
			if c.came == lengthBytes {
				c.length = lengthBytes + int(binary.BigEndian.Uint32(c.begin[:]))
				if c.begin[0] != 0 || c.length < lengthBytes+headerBytes {
					return errMessage
				}
			} else if c.came == c.end(headBytes) {
				if err := c.look(); err != nil {
					return err
				}
			}
		} else {
			n := min(c.length-c.came, len(p))
			c.came, p = c.came+n, p[n:]
		}
		if c.came == c.length {
			c.came, c.length = 0, 0
		}
	}
	return nil
}

// end is where the message ends, or upTo; before its length is known, where that ends.
func (c *watchedConn) end(upTo int) int {
	if c.came < lengthBytes {
		return lengthBytes
	}
	return min(c.length, upTo)
}

// look judges the beginning of a message.
func (c *watchedConn) look() error {
	message := c.begin[lengthBytes:c.came]
	switch {
	case string(message[:4]) == "\xfdSMB": // encrypted; what is within was made by the server
		c.encrypted.Store(true)
		return nil
	case string(message[:4]) != "\xfeSMB" || binary.LittleEndian.Uint32(message[20:]) != 0:
		return errMessage
	}
	status, command := binary.LittleEndian.Uint32(message[8:]), binary.LittleEndian.Uint16(message[12:])
	switch {
	case command != commandNegotiate && command != commandSessionSetup:
	case status == 0 && command == commandSessionSetup && len(message) >= headerBytes+4:
		if binary.LittleEndian.Uint16(message[headerBytes+2:])&(sessionIsGuest|sessionIsNull) != 0 {
			c.guest.Store(true)
		}
	case status == 0 && command == commandNegotiate && len(message) >= headerBytes+6:
		c.dialect.Store(uint32(binary.LittleEndian.Uint16(message[headerBytes+4:])))
	case status != 0 && status != statusMoreProcessing:
		c.refused.Store(status)
	}
	return nil
}
