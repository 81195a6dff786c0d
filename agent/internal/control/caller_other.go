//go:build !linux

package control

import "net"

// peerUser returns nothing: Windows does not say who has the other end of a Unix socket.
func peerUser(net.Conn) string { return "" }
