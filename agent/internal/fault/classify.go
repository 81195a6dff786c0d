package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"os"
	"syscall"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/internal/wire"
)

const codeReserve = "RESERVE"

// found is what the destination's contents say, which says more than any code of a system: in this order.
func found() []struct {
	is  error
	row row
} {
	return []struct {
		is  error
		row row
	}{
		{dest.ErrConflict, row{code: "CONFLICT", class: ClassIntegrity, topic: topicConflict, item: true}},
		{dest.ErrReadBack, row{code: "READ_BACK", class: ClassIntegrity, topic: topicReadBack}},
		{dest.ErrForeignMarker, row{code: "FOREIGN_MARKER", class: ClassDestConfig, topic: topicForeignMarker}},
		{dest.ErrNoMarker, row{code: "NO_MARKER", class: ClassDestLost, topic: topicNoMarker}},
		{dest.ErrMarker, row{code: "MARKER", class: ClassDestConfig, topic: topicMarker}},
		{dest.ErrName, row{code: "NAME", class: ClassName}},
	}
}

// classify returns what is known of an error.
func classify(err error) row {
	if code, ok := errors.AsType[*dest.CodeError](err); ok && code.Space == dest.SpaceWolkvox && code.Name == wire.ReasonReadBack {
		r, _ := ofWolkvox(code.Name, code.Number) // the disk is wolkvox', and nobody else's matter
		return r
	}
	for _, f := range found() {
		if errors.Is(err, f.is) {
			return f.row
		}
	}
	if errors.As(err, new(*ShortageError)) {
		return row{code: codeReserve, class: ClassCapacity, topic: topicShortage}
	}
	var vague *row
	for part := range parts(err) {
		r, known := codeOf(part)
		if known && !r.vague {
			return r
		}
		if known && vague == nil {
			vague = &r
		}
	}
	// What Go itself says comes before a code that says little: a broken connection is one, whatever the tool's status.
	for part := range parts(err) {
		if r, known := goError(part); known {
			return r
		}
	}
	switch {
	case vague != nil:
		return *vague
	case errors.Is(err, dest.ErrUnreachable):
		return row{code: "UNREACHABLE", class: ClassDestLost}
	case errors.Is(err, dest.ErrUnsuitable):
		return row{code: "UNSUITABLE", class: ClassDestConfig, topic: topicUnsupported}
	}
	return row{code: "UNKNOWN", class: ClassOther}
}

// parts yields err and all that it wraps, outermost first, the cause of a [dest.UnreachableError] too.
func parts(err error) iter.Seq[error] {
	return func(yield func(error) bool) { walk(err, yield) }
}

func walk(err error, yield func(error) bool) bool {
	if err == nil {
		return true
	}
	if !yield(err) {
		return false
	}
	if unreachable, ok := err.(*dest.UnreachableError); ok {
		return walk(unreachable.Cause, yield)
	}
	switch wrapper := err.(type) {
	case interface{ Unwrap() error }:
		return walk(wrapper.Unwrap(), yield)
	case interface{ Unwrap() []error }:
		for _, part := range wrapper.Unwrap() {
			if !walk(part, yield) {
				return false
			}
		}
	}
	return true
}

// codeOf returns what one error says by its own code, without looking at what it wraps.
func codeOf(err error) (row, bool) {
	switch e := err.(type) {
	case syscall.Errno:
		return ofNative(e), true
	case *dest.CodeError:
		return ofCode(e)
	}
	return row{}, false
}

// ofCode returns the meaning of a peer's or a tool's code.
func ofCode(e *dest.CodeError) (row, bool) {
	var r row
	var known bool
	switch e.Space {
	case dest.SpaceErrno:
		return ofErrno("linux", uint64(e.Number)), true
	case dest.SpaceNTStatus:
		r, known = ofNTStatus(uint32(e.Number))
	case dest.SpaceSFTP:
		r, known = sftpRows()[e.Number]
	case dest.SpaceSSH:
		r, known = sshRows()[e.Number]
	case dest.SpaceRsync:
		r, known = rsyncRows()[e.Number]
	case dest.SpaceS3:
		r, known = ofS3(e.Name, e.Number)
	case dest.SpaceAzure:
		r, known = ofAzure(e.Name, e.Number)
	case dest.SpaceWolkvox:
		r, known = ofWolkvox(e.Name, e.Number)
	case dest.SpaceDriver:
		r, known = driverRows()[e.Name]
		r.code = e.Name
	}
	if known {
		return r, true
	}
	code := e.Name
	if code == "" {
		code = fmt.Sprintf("%s %d", e.Space, e.Number)
	}
	return row{code: code, class: ClassOther, vague: true}, true
}

// ofErrno returns the meaning of a system's own error code: Windows' codes, or Linux' numbers.
func ofErrno(goos string, number uint64) row {
	rows, name := linuxRows(), "ERRNO %d"
	if goos == "windows" {
		rows, name = windowsRows(), "WINDOWS %d"
	}
	if r, known := rows[number]; known {
		return r
	}
	return row{code: fmt.Sprintf(name, number), class: ClassOther, vague: true}
}

// goError returns the meaning of errors that Go's own packages make without a code of the system.
func goError(err error) (row, bool) {
	if dns, ok := err.(*net.DNSError); ok {
		return row{code: "DNS", class: ClassDestLost, party: dnsParty(dns), topic: topicDNS}, true
	}
	switch err {
	case context.DeadlineExceeded, os.ErrDeadlineExceeded:
		return row{code: "TIMEOUT", class: ClassNetwork, topic: topicTimeout}, true
	case io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed:
		return row{code: "CONNECTION_LOST", class: ClassNetwork}, true
	case fs.ErrPermission:
		return row{code: "PERMISSION", class: ClassPermission}, true
	case errors.ErrUnsupported:
		return row{code: "UNSUPPORTED", class: ClassDestConfig, topic: topicUnsupported}, true
	}
	return row{}, false
}

// dnsParty is the client where there is no such name, and the network where nobody answered.
func dnsParty(err *net.DNSError) string {
	if err.IsNotFound {
		return PartyClient
	}
	return PartyNetwork
}
