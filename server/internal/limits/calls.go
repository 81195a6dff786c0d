package limits

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup/internal/wire"
)

// comeBack is when a call that was one too many may come again.
const comeBack = 5 * time.Second

// callers are those that call now, or did so a short while ago.
type callers struct {
	limits *Limits

	mu     sync.Mutex // guards what follows
	byName map[string]*caller
	swept  time.Time
}

// caller is one of them.
type caller struct {
	rate     *rate.Limiter
	calls    int
	byMethod map[string]int // streams
	last     time.Time
}

// Unary is the interceptor of unary methods.
func (l *Limits) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	done, err := l.begin(ctx, info.FullMethod, 0)
	if err != nil {
		return nil, err
	}
	defer done()
	return handler(ctx, req)
}

// Stream returns the interceptor of streaming methods. own has the methods that limit how many streams of theirs a caller
// has, with reasons of their own: these are not counted by method here.
func (l *Limits) Stream(own ...string) grpc.StreamServerInterceptor {
	most := map[string]int{}
	for _, method := range own {
		most[method] = l.options.CallsPerCaller
	}
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		limit, known := most[info.FullMethod]
		if !known {
			limit = l.options.CallsPerCallerOfMethod
		}
		done, err := l.begin(stream.Context(), info.FullMethod, limit)
		if err != nil {
			return err
		}
		defer done()
		return handler(srv, &impatient{stream, l, info.FullMethod})
	}
}

// begin admits a call; done has to be called at its end. most is how many of this method the caller may have open; 0 is
// without a limit of the method.
func (l *Limits) begin(ctx context.Context, method string, most int) (done func(), err error) {
	if compressed(ctx) {
		return nil, wire.Error(codes.Unimplemented, wire.ReasonCompressed, "%s: compressed messages are not taken", method)
	}
	name := callerOf(ctx)
	c, ok := l.callers.enter(name, method, most, time.Now())
	if !ok {
		l.count(TooManyCalls)
		return nil, wire.RetryError(codes.ResourceExhausted, wire.ReasonTooManyCalls, comeBack, "%s calls %s more often than it may: end a call first, or come back later", name, method)
	}
	return func() { l.callers.leave(c, method, most) }, nil
}

func (s *callers) enter(name, method string, most int, at time.Time) (*caller, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(at)
	c := s.byName[name]
	if c == nil {
		o := &s.limits.options
		c = &caller{rate: rate.NewLimiter(rate.Limit(o.CallsPerSecond), o.CallsBurst), byMethod: map[string]int{}}
		s.byName[name] = c
	}
	c.last = at
	if !c.rate.AllowN(at, 1) || c.calls >= s.limits.options.CallsPerCaller || most > 0 && c.byMethod[method] >= most {
		return nil, false
	}
	c.calls++
	if most > 0 {
		c.byMethod[method]++
	}
	return c, true
}

func (s *callers) leave(c *caller, method string, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.calls--
	if most > 0 {
		if c.byMethod[method]--; c.byMethod[method] == 0 {
			delete(c.byMethod, method)
		}
	}
}

// sweep forgets, once a minute, whoever has not called for that long and may call as often as ever. s.mu is held.
func (s *callers) sweep(at time.Time) {
	if at.Sub(s.swept) < time.Minute {
		return
	}
	s.swept = at
	for name, c := range s.byName {
		if c.calls == 0 && at.Sub(c.last) > time.Minute {
			delete(s.byName, name)
		}
	}
}

// compressed reports whether the messages of a call are compressed. Nothing here is worth compressing, and what is not
// taken needs no bound of its ratio.
func compressed(ctx context.Context) bool {
	stream, ok := grpc.ServerTransportStreamFromContext(ctx).(interface{ RecvCompress() string })
	if !ok {
		return false
	}
	encoding := stream.RecvCompress()
	return encoding != "" && encoding != "identity"
}

// impatient is a stream whose caller has to take what it is sent.
type impatient struct {
	grpc.ServerStream
	limits *Limits
	method string
}

// SendMsg implements grpc.ServerStream. Where the message before is not taken in time the connection is closed: gRPC keeps
// what a stream was given for as long as the connection lives, even when the call is over.
func (s *impatient) SendMsg(m any) error {
	timer := time.AfterFunc(s.limits.options.SendTimeout, func() {
		s.limits.count(SlowReader)
		s.limits.options.Logger.LogAttrs(s.Context(), slog.LevelWarn, "a caller does not take what it asked for: its connection is closed",
			slog.String("caller", callerOf(s.Context())), slog.String("method", s.method))
		s.limits.connections.closeOf(s.Context())
	})
	defer timer.Stop()
	return s.ServerStream.SendMsg(m)
}
