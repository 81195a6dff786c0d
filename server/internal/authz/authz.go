// Package authz is who may call what: the table of methods and the roles that may call them, and the interceptors that
// enforce it. What is not in the table is refused; so is whoever was revoked, from the moment of revoking on, and what a
// client or an auditor asks about another tenant. Which destination an agent may speak for is judged by the services, with
// package sequencer: it stands in the ledger, not in a certificate. What was revoked is kept by package registry.
package authz

import (
	"context"
	"crypto/x509"
	"log/slog"
	"path"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
)

// Admission judges the certificates of callers beyond their roles. It may be called concurrently.
type Admission interface {
	// Admit is called for every call of a method that wants a certificate, once the table allows it. An error refuses the
	// call and is its status.
	Admit(cert *x509.Certificate, role identity.Role, at time.Time) error
}

// Guard refuses calls that the table does not allow, and ends those of the revoked. Its fields are set before the first
// call; the zero value is ready. Its methods may be called concurrently.
type Guard struct {
	Logger    *slog.Logger // nil: silent
	Admission Admission    // nil: certificates are judged by nothing but the table and what was revoked

	handlers sync.WaitGroup // of streams
	revoked  revocations
}

// Unary is the interceptor of unary methods.
func (g *Guard) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, caller, leave, err := g.enter(ctx, info.FullMethod, time.Now())
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := caller.checkTenant(req); err != nil {
		g.refused(ctx, info.FullMethod, caller.role.String())
		return nil, err
	}
	res, err := handler(ctx, req)
	if revoked := revocation(ctx); err != nil && revoked != nil {
		return nil, revoked
	}
	return res, err // what was done is said also to somebody who was revoked by it
}

// Stream is the interceptor of streaming methods.
func (g *Guard) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, caller, leave, err := g.enter(stream.Context(), info.FullMethod, time.Now())
	if err != nil {
		return err
	}
	defer leave()
	guarded := &guardedStream{ServerStream: stream, ctx: ctx, caller: caller, refused: func() {
		g.refused(ctx, info.FullMethod, caller.role.String())
	}}
	// A handler can be stuck in a message to somebody who does not read, or from somebody who does not write. Such a stream
	// of the revoked ends without it; what it is stuck in ends with the stream.
	ended := make(chan error, 1)
	g.handlers.Go(func() { ended <- handler(srv, guarded) })
	select {
	case err = <-ended:
	case <-ctx.Done():
		if revocation(ctx) == nil {
			return <-ended
		}
		select {
		case err = <-ended:
		case <-time.After(stuckTimeout):
		}
	}
	if revoked := revocation(ctx); revoked != nil {
		return revoked
	}
	return err
}

// stuckTimeout is how long a handler has to notice that its caller was revoked.
const stuckTimeout = time.Second

// Wait returns when no handler of a stream runs any more. It is called once the server takes no more calls.
func (g *Guard) Wait() { g.handlers.Wait() }

// enter lets a call in, or refuses it. The context ends when the caller is revoked and with his certificate; leave is called
// when the call has ended.
func (g *Guard) enter(ctx context.Context, fullMethod string, at time.Time) (entered context.Context, c caller, leave func(), err error) {
	rule := Of(fullMethod)
	cert, err := identity.CertificateFromContext(ctx)
	if err == nil {
		var role identity.Role
		role, err = identity.RoleOf(cert)
		c = newCaller(role, rule)
	}
	if err != nil && rule.Callers == Anyone {
		return ctx, c, func() {}, nil
	}
	if err != nil {
		g.refused(ctx, fullMethod, err.Error())
		return nil, c, nil, wire.Error(codes.Unauthenticated, wire.ReasonNoCertificate, "%s wants a certificate with a role: %v", fullMethod, err)
	}
	entered, leave, err = g.revoked.enter(ctx, cert, c.role, rule.AfterEnd)
	if err == nil {
		if err = g.judge(fullMethod, rule, cert, c.role, at); err != nil {
			leave()
		}
	}
	if err != nil {
		g.refused(ctx, fullMethod, c.role.String())
		return nil, c, nil, err
	}
	return entered, c, leave, nil
}

// judge holds a caller that was not revoked against the rule.
func (g *Guard) judge(fullMethod string, rule Rule, cert *x509.Certificate, role identity.Role, at time.Time) error {
	if !rule.Callers.has(role.Kind) {
		return wire.Error(codes.PermissionDenied, wire.ReasonNotAllowed, "%s may not call %s, which is for %s", role, path.Base(fullMethod), rule.Callers)
	}
	if at.After(cert.NotAfter) && !rule.AfterEnd {
		return endedError(cert, role)
	}
	if g.Admission == nil || rule.Callers == Anyone { // whoever enrolls again may show what was replaced
		return nil
	}
	err := g.Admission.Admit(cert, role, at)
	if rule.Forgotten && wire.Reason(err) == wire.ReasonNotEnrolled {
		return nil
	}
	return err
}

func endedError(cert *x509.Certificate, role identity.Role) error {
	return wire.Error(codes.Unauthenticated, wire.ReasonNoCertificate, "the certificate of %s ended at %s", role, cert.NotAfter.Format(time.RFC3339))
}

func (g *Guard) refused(ctx context.Context, fullMethod, caller string) {
	if g.Logger != nil {
		g.Logger.LogAttrs(ctx, slog.LevelWarn, "call refused", slog.String("method", fullMethod), slog.String("caller", caller))
	}
}

// guardedStream is a stream of somebody who can be revoked, and who may be allowed to ask about one tenant only. Its
// handler alone uses it.
type guardedStream struct {
	grpc.ServerStream
	ctx     context.Context // ends when the caller is revoked
	caller  caller
	refused func()
	begun   bool // the first message was judged
}

// Context ends when the caller is revoked.
func (s *guardedStream) Context() context.Context { return s.ctx }

// SendMsg sends nothing to the revoked.
func (s *guardedStream) SendMsg(m any) error {
	if err := revocation(s.ctx); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(m)
}

// RecvMsg takes nothing from the revoked, and nothing about another tenant.
func (s *guardedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if err := revocation(s.ctx); err != nil {
		return err
	}
	if s.begun {
		return nil
	}
	s.begun = true
	err := s.caller.checkTenant(m)
	if err != nil {
		s.refused()
	}
	return err
}
