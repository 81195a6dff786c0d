package authz

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
)

// caller is who calls; the zero value is somebody without a role.
type caller struct {
	role  identity.Role
	bound bool // to requests about the own tenant
}

func newCaller(role identity.Role, rule Rule) caller {
	ofTenant := role.Kind == identity.KindClient || role.Kind == identity.KindAuditor || role.Kind == identity.KindPlatform
	return caller{role, rule.Callers != Anyone && ofTenant}
}

// checkTenant refuses what somebody who is bound to a tenant asks about anything but that tenant, which a request names in its
// field `tenant`. A request that names none, or has no such field, is about more than one. The error is a status.
func (c caller) checkTenant(request any) error {
	if !c.bound {
		return nil
	}
	if named, ok := tenantOf(request); ok && named == c.role.Tenant {
		return nil
	}
	return wire.Error(codes.PermissionDenied, wire.ReasonOtherTenant, "%s may only ask about the tenant %s, which the request has to name", c.role, c.role.Tenant)
}

func tenantOf(request any) (string, bool) {
	m, ok := request.(proto.Message)
	if !ok {
		return "", false
	}
	field := m.ProtoReflect().Descriptor().Fields().ByName("tenant")
	if field == nil || field.Kind() != protoreflect.StringKind || field.IsList() {
		return "", false
	}
	return m.ProtoReflect().Get(field).String(), true
}
