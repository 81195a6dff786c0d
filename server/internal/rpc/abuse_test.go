package rpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip" // which registers it for the whole process, as a dependency might
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/limits"
)

// refused wants an error by which a caller is told to come back.
func refused(t *testing.T, err error, reason string) {
	t.Helper()
	after, ok := wire.RetryAfter(err)
	if wire.Reason(err) != reason || status.Code(err) != codes.ResourceExhausted || !ok || after <= 0 {
		t.Errorf("%v, want %s with a time to come back", err, reason)
	}
}

func TestConnectionsOfOneCaller(t *testing.T) {
	t.Parallel()
	r := newRig(t, limits.Options{ConnectionsPerCaller: 2})
	other := r.as(agentB)
	r.Must(r.beat(other))
	oldest := r.read(r.as(agentA))
	<-r.ledger.began
	for range 2 {
		r.Must(r.beat(r.as(agentA)))
	}
	for err := error(nil); status.Code(err) != codes.Unavailable; {
		if _, err = oldest.Recv(); err != nil && status.Code(err) != codes.Unavailable {
			t.Fatalf("the oldest connection's stream ended with %v", err)
		}
	}
	if got := r.bounds.Refused()[limits.TooManyConnections]; got != 1 {
		t.Errorf("%d connections were closed, want 1", got)
	}
	r.Must(r.beat(other))
}

// closed reports whether the other side closes a connection over which nothing is sent.
func closed(t *testing.T, conn net.Conn) {
	t.Helper()
	if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("read %d bytes, %v, want the connection closed", n, err)
	}
}

func (r *rig) silent() net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.address)
	r.Must(err)
	r.t.Cleanup(func() { conn.Close() })
	return conn
}

func TestConnectionsOfOneAddress(t *testing.T) {
	t.Parallel()
	r := newRig(t, limits.Options{ConnectionsPerAddress: 4})
	var own []net.Conn
	for range 4 {
		own = append(own, r.silent())
	}
	closed(t, r.silent())
	if got := r.bounds.Refused()[limits.TooManyConnections]; got != 1 {
		t.Errorf("%d connections were refused, want 1", got)
	}
	own[0].Close()
	r.Must(r.beat(r.as(agentA), grpc.WaitForReady(true)))
}

func TestHandshakes(t *testing.T) {
	t.Parallel()
	r := newRig(t, limits.Options{HandshakesPerAddress: 3, HandshakeTimeout: 300 * time.Millisecond})
	var silent []net.Conn
	for range 3 {
		silent = append(silent, r.silent())
	}
	closed(t, r.silent())
	if got := r.bounds.Refused()[limits.TooManyHandshakes]; got != 1 {
		t.Errorf("%d connections were refused, want 1", got)
	}
	for _, conn := range silent { // once their time is over
		closed(t, conn)
	}
	r.Must(r.beat(r.as(agentA), grpc.WaitForReady(true)))
	if got := r.bounds.Open(); got != 1 {
		t.Errorf("%d connections are counted, want 1", got)
	}
}

func TestSlowReaders(t *testing.T) {
	t.Parallel()
	r := newRig(t, limits.Options{SendTimeout: 100 * time.Millisecond})
	slow := r.as(agentA)
	const streams = 5
	for range streams {
		r.read(slow)
	}
	for range streams { // nothing is held when all have ended
		<-r.ledger.ended
	}
	if got := r.bounds.Refused()[limits.SlowReader]; got < 1 {
		t.Error("no slow reader was counted")
	}
	r.Must(r.beat(r.as(agentB)))
	r.Must(r.beat(slow, grpc.WaitForReady(true)))
}

func TestStreamsOfOneCaller(t *testing.T) {
	t.Parallel()
	r := newRig(t, limits.Options{CallsPerCallerOfMethod: 3, CallsPerCaller: 5})
	conn := r.as(agentA)
	for range 3 {
		r.read(conn)
		<-r.ledger.began
	}
	_, err := r.read(r.as(agentA)).Recv() // over another connection
	refused(t, err, wire.ReasonTooManyCalls)
	r.Must(r.beat(conn))
	_, err = r.read(r.as(agentB)).Recv()
	r.Must(err)
}

func TestCallsInAShortTime(t *testing.T) {
	t.Parallel()
	r := newRig(t, limits.Options{CallsPerSecond: 1, CallsBurst: 3})
	conn := r.as(agentA)
	for range 3 {
		r.Must(r.beat(conn))
	}
	refused(t, r.beat(conn), wire.ReasonTooManyCalls)
	r.Must(r.beat(r.as(agentB)))
	nobody := backupv1.NewEnrollmentServiceClient(r.Dial(r.address, identity.Role{}))
	for i := range 4 {
		_, err := nobody.Enroll(t.Context(), &backupv1.EnrollRequest{})
		if code := status.Code(err); i < 3 && code != codes.Unimplemented || i == 3 && wire.Reason(err) != wire.ReasonTooManyCalls {
			t.Errorf("call %d without a certificate: %v", i, err)
		}
	}
}

// TestCompressed has gzip registered in this process. Without, gRPC refuses by itself.
func TestCompressed(t *testing.T) {
	t.Parallel()
	r := newRig(t, limits.Options{})
	conn := r.as(agentA)
	err := r.beat(conn, grpc.UseCompressor(gzip.Name))
	if wire.Reason(err) != wire.ReasonCompressed {
		t.Errorf("a compressed request: %v", err)
	}
	if _, err := r.read(conn, grpc.UseCompressor(gzip.Name)).Recv(); wire.Reason(err) != wire.ReasonCompressed {
		t.Errorf("a compressed request of a stream: %v", err)
	}
	bomb := &backupv1.HeartbeatRequest{AgentVersion: strings.Repeat("x", 64<<20)}
	_, err = backupv1.NewHeartbeatServiceClient(conn).Heartbeat(t.Context(), bomb, grpc.UseCompressor(gzip.Name))
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "decompression") {
		t.Errorf("a request of 64 MiB in a few kB: %v", err)
	}
	_, err = backupv1.NewHeartbeatServiceClient(conn).Heartbeat(t.Context(), &backupv1.HeartbeatRequest{AgentVersion: strings.Repeat("x", maxRequestBytes)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a request of more than 2 MiB: %v", err)
	}
	r.Must(r.beat(conn))
}

// framed begins HTTP/2 on a raw connection.
func (r *rig) framed() *http2.Framer {
	r.t.Helper()
	conn := r.raw()
	_, err := io.WriteString(conn, http2.ClientPreface)
	r.Must(err)
	framer := http2.NewFramer(conn, conn)
	r.Must(framer.WriteSettings())
	return framer
}

// end reads until the connection ends, and returns the last word that the server had.
func end(framer *http2.Framer) (word http2.ErrCode, stream bool) {
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return word, stream
		}
		switch f := frame.(type) {
		case *http2.GoAwayFrame:
			word = f.ErrCode
		case *http2.RSTStreamFrame:
			return f.ErrCode, true
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	r := newRig(t, limits.Options{})
	framer := r.framed()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for name, value := range map[string]string{":method": "POST", ":scheme": "https", ":path": "/grpc.health.v1.Health/Check", ":authority": "x", "content-type": "application/grpc"} {
		r.Must(encoder.WriteField(hpack.HeaderField{Name: name, Value: value}))
	}
	for range 100 { // few bytes on the line: the table of hpack repeats them
		r.Must(encoder.WriteField(hpack.HeaderField{Name: "x-large", Value: strings.Repeat("v", 2000)}))
	}
	r.Must(framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true}))
	if word, stream := end(framer); !stream || word == http2.ErrCodeNo {
		t.Errorf("headers of 200 kB: %v", word)
	}
	r.Must(r.beat(r.as(agentA)))
}

func TestPings(t *testing.T) {
	t.Parallel()
	r := newRig(t, limits.Options{})
	framer := r.framed()
	for range 10 {
		if framer.WritePing(false, [8]byte{}) != nil {
			break
		}
	}
	if word, _ := end(framer); word != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("many pings: %v", word)
	}
	r.Must(r.beat(r.as(agentA)))
}
