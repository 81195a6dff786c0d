package control

import (
	"context"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// callers are transport credentials that ask the system which user of this machine has the other end of a connection. They
// encrypt nothing, and let in whoever could open the socket.
type callers struct{}

// caller is what is known of who calls.
type caller struct {
	credentials.CommonAuthInfo
	user string // of this machine; empty where the system does not say
}

// AuthType implements credentials.AuthInfo.
func (caller) AuthType() string { return "socket" }

// ServerHandshake implements credentials.TransportCredentials.
func (callers) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return conn, caller{credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}, peerUser(conn)}, nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (callers) ClientHandshake(_ context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return conn, caller{}, nil
}

// Info implements credentials.TransportCredentials.
func (callers) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "socket"}
}

// Clone implements credentials.TransportCredentials.
func (callers) Clone() credentials.TransportCredentials { return callers{} }

// OverrideServerName implements credentials.TransportCredentials.
func (callers) OverrideServerName(string) error { return nil }

// callerUser returns which user of this machine calls; empty where the system does not say.
func callerUser(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	info, _ := p.AuthInfo.(caller)
	return info.user
}
