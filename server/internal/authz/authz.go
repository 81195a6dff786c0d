// Package authz says who may call which method: one table from method to kind of caller, and the interceptors that
// enforce it. What is not in the table is refused. Which destination an agent may speak for is judged by the
// services, with package sequencer: it stands in the ledger, not in a certificate.
package authz

import (
	"context"
	"log/slog"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
)

// Access is who may call a method. The zero value is nobody.
type Access string

// The kinds of callers.
const (
	Nobody   Access = ""
	Anyone   Access = "anyone"   // also without a certificate
	Agent    Access = "agent"    // of any tenant; the service looks at the destination
	Operator Access = "operator" // of the fleet
)

// services is the table: the access to every method of a service. No method departs from its service.
var services = map[string]Access{
	backupv1.EnrollmentService_ServiceDesc.ServiceName: Anyone,
	backupv1.LedgerService_ServiceDesc.ServiceName:     Agent,
	backupv1.ContentService_ServiceDesc.ServiceName:    Agent,
	backupv1.HeartbeatService_ServiceDesc.ServiceName:  Agent,
	backupv1.AdminService_ServiceDesc.ServiceName:      Operator,
	"grpc.health.v1.Health":                            Anyone,
	"grpc.reflection.v1.ServerReflection":              Operator,
	"grpc.reflection.v1alpha.ServerReflection":         Operator,
}

// Of returns who may call a method, given as "/package.Service/Method".
func Of(fullMethod string) Access {
	service, _, _ := strings.Cut(strings.TrimPrefix(fullMethod, "/"), "/")
	return services[service]
}

// Guard refuses calls that the table does not allow.
type Guard struct {
	Logger *slog.Logger // nil: silent
}

// Unary is the interceptor of unary methods.
func (g Guard) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := g.check(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

// Stream is the interceptor of streaming methods.
func (g Guard) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := g.check(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return handler(srv, stream)
}

func (g Guard) check(ctx context.Context, fullMethod string) error {
	access := Of(fullMethod)
	if access == Anyone {
		return nil
	}
	role, err := identity.RoleFromContext(ctx)
	if err != nil {
		g.refused(ctx, fullMethod, err.Error())
		return wire.Error(codes.Unauthenticated, wire.ReasonNoCertificate, "%s wants a certificate with a role: %v", fullMethod, err)
	}
	if access != Nobody && Access(role.Kind) == access {
		return nil
	}
	g.refused(ctx, fullMethod, role.String())
	return wire.Error(codes.PermissionDenied, wire.ReasonNotAllowed, "%s may not call %s", role, fullMethod)
}

func (g Guard) refused(ctx context.Context, fullMethod, caller string) {
	if g.Logger != nil {
		g.Logger.LogAttrs(ctx, slog.LevelWarn, "call refused", slog.String("method", fullMethod), slog.String("caller", caller))
	}
}
