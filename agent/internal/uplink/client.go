// Package uplink is the agent's side of the protocol with the server: the connection, one session per destination
// that keeps the agent's log equal to the server's, receipts on their way up, and heartbeats. It writes to the
// store and never to a destination, and it decides nothing about recordings.
package uplink

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// MaxMessageBytes is the largest message that is taken from the server; of one that came compressed, as it is afterwards.
const MaxMessageBytes = 4 << 20

// maxHeaderBytes is how much a server may say around its answers.
const maxHeaderBytes = 64 << 10

// callTimeout bounds every unary call.
const callTimeout = 30 * time.Second

// Dial prepares a connection to the server at address (host:port), through the proxy as [config.Config] names it.
// It returns at once; the first call connects.
func Dial(address, proxy string, config *tls.Config) (*grpc.ClientConn, error) {
	d, err := newDialer(proxy)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithContextDialer(func(ctx context.Context, target string) (net.Conn, error) { return d.dial(ctx, target) }),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.5, MaxDelay: 30 * time.Second}, MinConnectTimeout: 20 * time.Second}),
		grpc.WithInitialWindowSize(4<<20), grpc.WithInitialConnWindowSize(8<<20),
		grpc.WithMaxHeaderListSize(maxHeaderBytes),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessageBytes)),
	)
	if err != nil {
		return nil, fmt.Errorf("prepare the connection to %s: %w", address, err)
	}
	return conn, nil
}

// Client is a connection to the server and what is known of its time. It is safe for concurrent use.
type Client struct {
	Clock     *ServerClock
	ledger    backupv1.LedgerServiceClient
	content   backupv1.ContentServiceClient
	heartbeat backupv1.HeartbeatServiceClient
}

// NewClient speaks to the server over conn and keeps what it hears of the server's time in clock.
func NewClient(conn grpc.ClientConnInterface, clock *ServerClock) *Client {
	return &Client{
		Clock:     clock,
		ledger:    backupv1.NewLedgerServiceClient(conn),
		content:   backupv1.NewContentServiceClient(conn),
		heartbeat: backupv1.NewHeartbeatServiceClient(conn),
	}
}
