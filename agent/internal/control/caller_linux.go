package control

import (
	"net"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

// peerUser returns the name of the user who has the other end of a Unix socket (unix(7), SO_PEERCRED), or the number where it has
// no name.
func peerUser(conn net.Conn) string {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return ""
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return ""
	}
	var credentials *unix.Ucred
	if raw.Control(func(fd uintptr) { credentials, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }) != nil || err != nil {
		return ""
	}
	id := strconv.FormatUint(uint64(credentials.Uid), 10)
	if known, err := user.LookupId(id); err == nil {
		return known.Username
	}
	return id
}
