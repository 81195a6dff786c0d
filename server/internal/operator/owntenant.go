package operator

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/server/internal/credential"
)

// tenantOfCaller is the tenant that a credential is bound to; empty for an operator's. Where a command names no tenant, it
// asks about all, and all that somebody of a tenant may ask about is the own one.
type tenantOfCaller string

func ownTenant(c credential.Credential) tenantOfCaller {
	role, err := identity.RoleOf(c.Certificate.Leaf)
	if err != nil {
		return "" // the server says what is wrong with it
	}
	return tenantOfCaller(role.Tenant)
}

func (t tenantOfCaller) fill(request any) {
	m, ok := request.(proto.Message)
	if !ok || t == "" {
		return
	}
	field := m.ProtoReflect().Descriptor().Fields().ByName("tenant")
	if field != nil && field.Kind() == protoreflect.StringKind && m.ProtoReflect().Get(field).String() == "" {
		m.ProtoReflect().Set(field, protoreflect.ValueOfString(string(t)))
	}
}

func (t tenantOfCaller) unary(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	t.fill(req)
	return invoke(ctx, method, req, reply, conn, options...)
}

func (t tenantOfCaller) stream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := open(ctx, desc, conn, method, options...)
	return filledStream{stream, t}, err
}

type filledStream struct {
	grpc.ClientStream
	tenant tenantOfCaller
}

// SendMsg sends a request that names the tenant.
func (s filledStream) SendMsg(m any) error {
	s.tenant.fill(m)
	return s.ClientStream.SendMsg(m)
}
