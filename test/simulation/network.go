package simulation

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
)

// network is the way between agents and the server's process that runs. Calls go straight to the services, through a
// copy of every message. It is safe for concurrent use.
type network struct {
	mu      sync.Mutex
	process *served // nil while no server answers
	calls   sync.WaitGroup
}

// served is what one process of the server serves.
type served struct {
	ctx     context.Context // ends with the process
	methods map[string]method
	unary   grpc.UnaryServerInterceptor
	stream  grpc.StreamServerInterceptor
	calls   sync.WaitGroup
}

type method struct {
	service any
	unary   *grpc.MethodDesc
	stream  *grpc.StreamDesc
}

// RegisterService implements grpc.ServiceRegistrar.
func (s *served) RegisterService(desc *grpc.ServiceDesc, service any) {
	for i := range desc.Methods {
		s.methods["/"+desc.ServiceName+"/"+desc.Methods[i].MethodName] = method{service: service, unary: &desc.Methods[i]}
	}
	for i := range desc.Streams {
		s.methods["/"+desc.ServiceName+"/"+desc.Streams[i].StreamName] = method{service: service, stream: &desc.Streams[i]}
	}
}

// serve lets calls reach a new process of the server; nil lets them reach none.
func (n *network) serve(s *served) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.process = s
}

func (n *network) server() *served {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process == nil || n.process.ctx.Err() != nil {
		return nil
	}
	return n.process
}

// link is one machine's way to the server.
type link struct {
	network *network
	peer    *peer.Peer

	forked func() // told that a receipt was answered with FORK

	mu      sync.Mutex
	cut     chan struct{} // closed when the connection breaks
	down    bool
	mishaps []mishap
	muted   time.Time // until when no receipts arrive
	deaf    time.Time // until when nothing that the server says on a watch arrives
}

// mishap is what befalls one of the next calls.
type mishap struct {
	kind  mishapKind
	after int // calls before it
	delay time.Duration
}

type mishapKind int

const (
	noMishap   mishapKind = iota
	lostBefore            // the request does not arrive
	lostAfter             // the answer does not arrive; a stream breaks after its first messages
	doubled               // the request arrives twice
	late                  // the request arrives when the caller has given up
	corrupted             // a byte of contents is another one
	mishapKinds
)

func newLink(n *network, tenant, agent string, forked func()) *link {
	role := identity.AgentRole(tenant, agent)
	uri, err := url.Parse(role.String())
	if err != nil {
		panic(err)
	}
	cert := &x509.Certificate{URIs: []*url.URL{uri}, SerialNumber: big.NewInt(1), NotAfter: time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)}
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}, VerifiedChains: [][]*x509.Certificate{{cert}}}
	return &link{network: n, forked: forked, peer: &peer.Peer{AuthInfo: credentials.TLSInfo{State: state}}, cut: make(chan struct{})}
}

// setDown cuts the connection, or lets a new one be made.
func (l *link) setDown(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if down && !l.down {
		close(l.cut)
	}
	if !down && l.down {
		l.cut = make(chan struct{})
	}
	l.down = down
}

// meet adds what befalls one of the next calls.
func (l *link) meet(m mishap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mishaps = append(l.mishaps, m)
}

// mute loses all receipts for a while.
func (l *link) mute(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.muted = time.Now().Add(d)
}

func (l *link) isMuted(method string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.HasSuffix(method, "/SubmitReceipts") && time.Now().Before(l.muted)
}

// deafen holds back for a while what the server says on watches.
func (l *link) deafen(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = time.Now().Add(d)
}

func (l *link) deafFor() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Until(l.deaf)
}

// heal forgets what was still to come.
func (l *link) heal() {
	l.mu.Lock()
	l.mishaps, l.muted, l.deaf = nil, time.Time{}, time.Time{}
	l.mu.Unlock()
	l.setDown(false)
}

// next returns what befalls the call that is being made.
func (l *link) next() (m mishap, cut <-chan struct{}, down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.mishaps {
		if l.mishaps[i].after > 0 {
			l.mishaps[i].after--
			continue
		}
		if m.kind == noMishap {
			m = l.mishaps[i]
			l.mishaps[i].kind = noMishap
		}
	}
	return m, l.cut, l.down
}

var errBroken = status.Error(codes.Unavailable, "the connection broke")

// latency is how long a message is on its way.
const latency = 20 * time.Millisecond

// rest waits, or returns the end of ctx.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

// Invoke implements grpc.ClientConnInterface.
func (l *link) Invoke(ctx context.Context, name string, args, reply any, _ ...grpc.CallOption) error {
	m, cut, down := l.next()
	if err := rest(ctx, latency); err != nil {
		return err
	}
	process := l.network.server()
	if down || process == nil || m.kind == lostBefore || l.isMuted(name) {
		return errBroken
	}
	request := proto.Clone(args.(proto.Message))
	base := process.ctx
	call := func() (proto.Message, error) { return process.call(base, l.peer, name, request) }
	if m.kind == late {
		l.network.calls.Go(func() {
			if rest(base, m.delay) == nil {
				_, _ = call()
			}
		})
		return errBroken
	}
	type answer struct {
		message proto.Message
		err     error
	}
	answers := make(chan answer, 1)
	process.calls.Go(func() {
		message, err := call()
		if m.kind == doubled {
			_, _ = call()
		}
		answers <- answer{message, err}
	})
	select {
	case a := <-answers:
		switch {
		case m.kind == lostAfter || base.Err() != nil:
			return errBroken
		case a.err != nil:
			return a.err
		}
		if r, ok := a.message.(*backupv1.SubmitReceiptsResponse); ok && slices.Contains(r.GetVerdicts(), backupv1.Verdict_VERDICT_FORK) {
			l.forked()
		}
		proto.Merge(reply.(proto.Message), a.message)
		return nil
	case <-cut:
		return errBroken
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

// call answers one unary call.
func (s *served) call(ctx context.Context, caller *peer.Peer, name string, request proto.Message) (proto.Message, error) {
	m, ok := s.methods[name]
	if !ok || m.unary == nil {
		return nil, status.Errorf(codes.Unimplemented, "no method %s", name)
	}
	ctx = peer.NewContext(ctx, caller)
	answer, err := m.unary.Handler(m.service, ctx, func(into any) error {
		proto.Merge(into.(proto.Message), request)
		return nil
	}, s.unary)
	if err != nil {
		return nil, asStatus(err)
	}
	return proto.Clone(answer.(proto.Message)), nil
}

func asStatus(err error) error {
	if s, ok := status.FromError(err); ok {
		return s.Err()
	}
	return status.FromContextError(err).Err()
}

// NewStream implements grpc.ClientConnInterface.
func (l *link) NewStream(ctx context.Context, desc *grpc.StreamDesc, name string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	m, cut, down := l.next()
	if err := rest(ctx, latency); err != nil {
		return nil, err
	}
	process := l.network.server()
	if down || process == nil || m.kind == lostBefore {
		return nil, errBroken
	}
	handler, ok := process.methods[name]
	if !ok || handler.stream == nil {
		return nil, status.Errorf(codes.Unimplemented, "no method %s", name)
	}
	serverContext, end := context.WithCancelCause(peer.NewContext(process.ctx, l.peer))
	s := &stream{ctx: ctx, link: l, watch: strings.HasSuffix(name, "/WatchLedger"), process: process.ctx, server: serverContext, end: end, cut: cut, mishap: m,
		up: make(chan proto.Message, 8), down: make(chan proto.Message, 8), over: make(chan struct{})}
	if m.kind == lostAfter {
		s.left = 1 + int(m.delay/time.Second)%5
	}
	answer := func() {
		info := &grpc.StreamServerInfo{FullMethod: name, IsServerStream: desc.ServerStreams, IsClientStream: desc.ClientStreams}
		s.err = process.stream(handler.service, &serverStream{s}, info, handler.stream.Handler)
		close(s.over)
	}
	if m.kind == late && s.watch {
		// The request stays on its way while the caller's process may end and another one begin.
		l.network.calls.Go(func() {
			defer end(nil)
			if rest(process.ctx, m.delay) == nil {
				time.AfterFunc(latency, func() { end(errBroken) })
				answer()
			}
		})
		s.broken = true
		return s, nil
	}
	process.calls.Go(func() {
		defer end(nil)
		answer()
	})
	process.calls.Go(func() { // the server learns that the caller has gone
		select {
		case <-ctx.Done():
		case <-cut:
		case <-serverContext.Done():
		}
		end(context.Canceled)
	})
	return s, nil
}
