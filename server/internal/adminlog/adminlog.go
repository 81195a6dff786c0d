// Package adminlog has every call that changes something go into the admin log, with who, what, why and what came of it:
// as begun before it is done, as a record when it has ended. It also refuses calls that have to say why and do not. What
// changes something stands in the table of package authz, the log itself is kept by package registry, and whether the
// caller may call was judged before.
package adminlog

import (
	"context"
	"log/slog"
	"path"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/registry"
)

// Log is where acts are kept. It may be called concurrently; what it wrote is durable when it returns.
type Log interface {
	// BeginAct keeps that an act is about to be done, and returns the name to end it by.
	BeginAct(registry.Act) (name uint64, err error)
	// EndAct makes the act's record.
	EndAct(name uint64, a registry.Act) error
}

// Recorder records calls. Its fields are set before the first call and all required; its methods may be called
// concurrently.
type Recorder struct {
	Log    Log
	Logger *slog.Logger
}

// Unary is the interceptor of unary methods. It comes after the one that judges the caller.
func (r *Recorder) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, act, err := r.begin(ctx, info.FullMethod, req)
	if err != nil {
		return nil, err
	}
	res, err := handler(ctx, req)
	act.end(ctx, err)
	return res, err
}

// Stream is the interceptor of streaming methods. An act begins with the first message of the caller.
func (r *Recorder) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if !authz.Of(info.FullMethod).Changes {
		return handler(srv, stream)
	}
	recorded := &recordedStream{ServerStream: stream, ctx: stream.Context(), recorder: r, method: info.FullMethod}
	err := handler(srv, recorded)
	recorded.act.end(recorded.ctx, err)
	return err
}

// Concern says, from within a call, which tenant the act concerns, where its request does not name it.
func Concern(ctx context.Context, tenant string) {
	if a, ok := ctx.Value(actKey{}).(*act); ok {
		a.Tenant = tenant
	}
}

// Reason returns what the caller says why, and "" where nothing was said.
func Reason(ctx context.Context) string {
	if a, ok := ctx.Value(actKey{}).(*act); ok {
		return a.Reason
	}
	return ""
}

// act is one that is going on; nil for a call that changes nothing.
type act struct {
	registry.Act
	name     uint64
	recorder *Recorder
}

type actKey struct{}

// begin begins an act, where the call is one. The error is a status, and then nothing may be done.
func (r *Recorder) begin(ctx context.Context, fullMethod string, request any) (context.Context, *act, error) {
	rule := authz.Of(fullMethod)
	if !rule.Changes || isDryRun(request) {
		return ctx, nil, nil
	}
	reason, err := reasonOf(ctx)
	if err != nil {
		return ctx, nil, err
	}
	if rule.WantsReason && reason == "" {
		return ctx, nil, wire.Error(codes.InvalidArgument, wire.ReasonReasonWanted,
			"%s goes into the admin log, which wants to know why: say it with --reason, or with the header %s", path.Base(fullMethod), wire.ReasonHeader)
	}
	who, err := identity.RoleFromContext(ctx)
	if err != nil {
		return ctx, nil, wire.Error(codes.Unauthenticated, wire.ReasonNoCertificate, "%s wants a certificate with a role: %v", fullMethod, err)
	}
	subject, tenant, err := describe(request)
	if err != nil {
		return ctx, nil, r.unwritten(ctx, err)
	}
	a := &act{recorder: r, Act: registry.Act{
		Time: time.Now(), Who: who.String(), Act: path.Base(fullMethod), Subject: subject, Reason: reason, Tenant: tenant,
	}}
	if a.name, err = r.Log.BeginAct(a.Act); err != nil {
		return ctx, nil, r.unwritten(ctx, err)
	}
	return context.WithValue(ctx, actKey{}, a), a, nil
}

// end makes the act's record. Where that fails, what was done is done: it becomes a record with an unknown outcome at the
// next start of the server.
func (a *act) end(ctx context.Context, err error) {
	if a == nil {
		return
	}
	a.Outcome = outcome(err)
	if err := a.recorder.Log.EndAct(a.name, a.Act); err != nil {
		a.recorder.Logger.LogAttrs(ctx, slog.LevelError, "outcome not in the admin log",
			slog.String("act", a.Act.Act), slog.String("outcome", a.Outcome), slog.Any("error", err))
	}
}

func (r *Recorder) unwritten(ctx context.Context, err error) error {
	r.Logger.LogAttrs(ctx, slog.LevelError, "act refused, because the admin log cannot be written", slog.Any("error", err))
	return status.Errorf(codes.Internal, "nothing was done, because the admin log cannot be written: %v", err)
}

func outcome(err error) string {
	if err == nil {
		return registry.OutcomeOK
	}
	if reason := wire.Reason(err); reason != "" {
		return reason
	}
	return status.Code(err).String()
}

// recordedStream begins the act with the first message. Its handler alone uses it.
type recordedStream struct {
	grpc.ServerStream
	ctx      context.Context
	recorder *Recorder
	method   string
	begun    bool
	act      *act // nil before it has begun
}

// Context has the act, once it has begun.
func (s *recordedStream) Context() context.Context { return s.ctx }

// RecvMsg begins the act with the first message.
func (s *recordedStream) RecvMsg(m any) (err error) {
	if err := s.ServerStream.RecvMsg(m); err != nil || s.begun {
		return err
	}
	s.begun = true
	s.ctx, s.act, err = s.recorder.begin(s.ctx, s.method, m)
	return err
}
