package adminlog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/registry"
)

// memoryLog notes in which order things happen.
type memoryLog struct {
	steps    []string
	begun    map[uint64]registry.Act
	ended    []registry.Act
	beginErr error
	endErr   error
}

func (m *memoryLog) BeginAct(a registry.Act) (uint64, error) {
	if m.beginErr != nil {
		return 0, m.beginErr
	}
	m.steps = append(m.steps, "begin "+a.Act)
	if m.begun == nil {
		m.begun = make(map[uint64]registry.Act)
	}
	name := uint64(len(m.steps))
	m.begun[name] = a
	return name, nil
}

func (m *memoryLog) EndAct(name uint64, a registry.Act) error {
	if _, ok := m.begun[name]; !ok {
		return errors.New("no such act has begun")
	}
	if m.endErr != nil {
		return m.endErr
	}
	delete(m.begun, name)
	m.steps = append(m.steps, "end "+a.Act)
	m.ended = append(m.ended, a)
	return nil
}

func newRecorder(m *memoryLog) *Recorder {
	return &Recorder{Log: m, Logger: slog.New(slog.DiscardHandler)}
}

// operatorContext is the context of a call by the operator maria, with headers.
func operatorContext(t *testing.T, headers ...string) context.Context {
	t.Helper()
	now := time.Now()
	authority, err := identity.NewAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := authority.IssuePerson(key.Public(), identity.OperatorRole("maria"), now)
	if err != nil {
		t.Fatal(err)
	}
	ctx := peer.NewContext(t.Context(), &peer.Peer{AuthInfo: credentials.TLSInfo{
		State: tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{cert}}},
	}})
	return metadata.NewIncomingContext(ctx, metadata.Pairs(headers...))
}

// call has a recorder work on a unary call whose handler returns err.
func (m *memoryLog) call(ctx context.Context, full string, request proto.Message, err error) error {
	_, err = newRecorder(m).Unary(ctx, request, &grpc.UnaryServerInfo{FullMethod: full}, func(context.Context, any) (any, error) {
		m.steps = append(m.steps, "do")
		return nil, err
	})
	return err
}

func TestActs(t *testing.T) {
	t.Parallel()
	const maria = "wolkvox://role/operator/maria"
	for what, c := range map[string]struct {
		full    string
		request proto.Message
		headers []string
		err     error
		want    registry.Act // without its time
	}{
		"done": {
			backupv1.AdminService_CreateTenant_FullMethodName, &backupv1.CreateTenantRequest{Tenant: &backupv1.Tenant{Name: "acme", Quiet: durationpb.New(time.Minute)}}, nil, nil,
			registry.Act{Who: maria, Act: "CreateTenant", Subject: `{"tenant":{"name":"acme","quiet":"60s"}}`, Outcome: "OK", Tenant: "acme"},
		},
		"refused with a reason": {
			backupv1.AdminService_AddSource_FullMethodName, &backupv1.AddSourceRequest{Source: &backupv1.Source{Tenant: "acme", Name: "calls"}}, nil,
			wire.Error(codes.NotFound, wire.ReasonNoTenant, "there is none"),
			registry.Act{Who: maria, Act: "AddSource", Subject: `{"source":{"tenant":"acme","name":"calls"}}`, Outcome: "NO_TENANT", Tenant: "acme"},
		},
		"failed without one": {
			backupv1.AdminService_RequestRun_FullMethodName, &backupv1.RequestRunRequest{Tenant: "acme", Destination: "nas"}, nil, status.Error(codes.Internal, "no"),
			registry.Act{Who: maria, Act: "RequestRun", Subject: `{"tenant":"acme","destination":"nas"}`, Outcome: "Internal", Tenant: "acme"},
		},
		"with why": {
			backupv1.AdminService_RevokeAgent_FullMethodName, &backupv1.RevokeAgentRequest{Tenant: "acme", Agent: "a"}, []string{wire.ReasonHeader, "=?utf-8?q?dej=C3=B3?="}, nil,
			registry.Act{Who: maria, Act: "RevokeAgent", Subject: `{"tenant":"acme","agent":"a"}`, Reason: "dejó", Outcome: "OK", Tenant: "acme"},
		},
		"for all": {
			backupv1.AdminService_ExtendDeadlines_FullMethodName, &backupv1.ExtendDeadlinesRequest{Outage: 3}, []string{wire.ReasonHeader, "the outage"}, nil,
			registry.Act{Who: maria, Act: "ExtendDeadlines", Subject: `{"outage":"3"}`, Reason: "the outage", Outcome: "OK"},
		},
		"with a secret": {
			backupv1.AdminService_IssueCredential_FullMethodName, &backupv1.IssueCredentialRequest{Name: "ana", Tenant: "acme", CertificateRequest: []byte("x")}, nil, nil,
			registry.Act{Who: maria, Act: "IssueCredential", Subject: `{"tenant":"acme","name":"ana"}`, Outcome: "OK", Tenant: "acme"},
		},
	} {
		m := &memoryLog{}
		before := time.Now()
		if err := m.call(operatorContext(t, c.headers...), c.full, c.request, c.err); !errors.Is(err, c.err) {
			t.Errorf("%s: the call = %v, want %v", what, err, c.err)
		}
		if want := []string{"begin " + c.want.Act, "do", "end " + c.want.Act}; !slices.Equal(m.steps, want) {
			t.Fatalf("%s: %q, want %q", what, m.steps, want)
		}
		got := m.ended[0]
		if got.Time.Before(before) || got.Time.After(time.Now()) {
			t.Errorf("%s: at %v", what, got.Time)
		}
		got.Time = time.Time{}
		if got != c.want {
			t.Errorf("%s:\n%+v, want\n%+v", what, got, c.want)
		}
	}
}

func TestNothingIsDoneWithoutWhy(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		headers []string
		want    string
	}{
		"no reason":          {nil, wire.ReasonReasonWanted},
		"an empty one":       {[]string{wire.ReasonHeader, "  "}, wire.ReasonReasonWanted},
		"one too long":       {[]string{wire.ReasonHeader, strings.Repeat("x", wire.MaxReasonBytes+1)}, wire.ReasonBadRequest},
		"one with a line":    {[]string{wire.ReasonHeader, "=?utf-8?q?a=0Ab?="}, wire.ReasonBadRequest},
		"two of them":        {[]string{wire.ReasonHeader, "a", wire.ReasonHeader, "b"}, wire.ReasonBadRequest},
		"another header":     {[]string{"wolkvox-reasons", "a"}, wire.ReasonReasonWanted},
		"one that is enough": {[]string{wire.ReasonHeader, "x"}, ""},
	} {
		m := &memoryLog{}
		err := m.call(operatorContext(t, c.headers...), backupv1.AdminService_RetireTenant_FullMethodName, &backupv1.RetireTenantRequest{Tenant: "acme"}, nil)
		if wire.Reason(err) != c.want || (len(m.steps) == 0) != (c.want != "") {
			t.Errorf("%s: %v, %q, want %q", what, err, m.steps, c.want)
		}
	}
}

func TestWhatChangesNothingIsNotRecorded(t *testing.T) {
	t.Parallel()
	for full, request := range map[string]proto.Message{
		backupv1.AdminService_ListTenants_FullMethodName:     &backupv1.ListTenantsRequest{},
		backupv1.AdminService_ExtendDeadlines_FullMethodName: &backupv1.ExtendDeadlinesRequest{DryRun: true},
		backupv1.HeartbeatService_Heartbeat_FullMethodName:   &backupv1.HeartbeatRequest{},
	} {
		m := &memoryLog{}
		if err := m.call(operatorContext(t), full, request, nil); err != nil || !slices.Equal(m.steps, []string{"do"}) {
			t.Errorf("%s: %v, %q", full, err, m.steps)
		}
	}
}

func TestLogThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	full := backupv1.AdminService_CreateTenant_FullMethodName
	m := &memoryLog{beginErr: errors.New("the disk is full")}
	if err := m.call(operatorContext(t), full, &backupv1.CreateTenantRequest{}, nil); status.Code(err) != codes.Internal || len(m.steps) != 0 {
		t.Errorf("a log that cannot be begun: %v, %q, want nothing done", err, m.steps)
	}
	m = &memoryLog{endErr: errors.New("the disk is full")}
	if err := m.call(operatorContext(t), full, &backupv1.CreateTenantRequest{}, nil); err != nil || len(m.begun) != 1 {
		t.Errorf("a log that cannot be ended: %v, begun %v, want what was done to stay, and to be known as begun", err, m.begun)
	}
}

// Who the act concerns can be known only to whoever does it.
func TestConcern(t *testing.T) {
	t.Parallel()
	m := &memoryLog{}
	ctx := operatorContext(t, wire.ReasonHeader, "left")
	info := &grpc.UnaryServerInfo{FullMethod: backupv1.AdminService_RevokeCredential_FullMethodName}
	_, err := newRecorder(m).Unary(ctx, &backupv1.RevokeCredentialRequest{Serial: "ab"}, info, func(ctx context.Context, _ any) (any, error) {
		Concern(ctx, "acme")
		if got := Reason(ctx); got != "left" {
			t.Errorf("Reason = %q", got)
		}
		return nil, nil
	})
	if err != nil || len(m.ended) != 1 || m.ended[0].Tenant != "acme" {
		t.Errorf("%v, %+v", err, m.ended)
	}
	Concern(t.Context(), "nobody") // outside of an act: nothing
	if got := Reason(t.Context()); got != "" {
		t.Errorf("Reason outside of an act = %q", got)
	}
}

// oneMessage is a stream with one request, or with none.
type oneMessage struct {
	grpc.ServerStream
	ctx  context.Context
	none error
}

func (s oneMessage) Context() context.Context { return s.ctx }
func (s oneMessage) RecvMsg(any) error        { return s.none }

func TestStreams(t *testing.T) {
	t.Parallel()
	info := &grpc.StreamServerInfo{FullMethod: backupv1.AdminService_CreateBackup_FullMethodName, IsServerStream: true}
	gone := errors.New("gone")
	for what, c := range map[string]struct {
		none error
		want []string
	}{
		"with a request":    {nil, []string{"begin CreateBackup", "do", "end CreateBackup"}},
		"without a request": {gone, nil},
	} {
		m := &memoryLog{}
		err := newRecorder(m).Stream(nil, oneMessage{ctx: operatorContext(t), none: c.none}, info, func(_ any, stream grpc.ServerStream) error {
			for range 2 { // of which only the first begins the act
				if err := stream.RecvMsg(&backupv1.CreateBackupRequest{Recipient: "age1"}); err != nil {
					return err
				}
			}
			m.steps = append(m.steps, "do")
			Concern(stream.Context(), "acme")
			return nil
		})
		if !errors.Is(err, c.none) || !slices.Equal(m.steps, c.want) {
			t.Errorf("%s: %v, %q, want %q", what, err, m.steps, c.want)
		}
		if c.none == nil && (m.ended[0].Subject != `{"recipient":"age1"}` || m.ended[0].Tenant != "acme") {
			t.Errorf("%s: %+v", what, m.ended[0])
		}
	}
}

// Of all requests that are recorded, what is left out is known, and nothing that is kept sounds like a secret.
func TestNoSecretsInSubjects(t *testing.T) {
	t.Parallel()
	var left []string
	var walk func(m protoreflect.MessageDescriptor)
	walk = func(m protoreflect.MessageDescriptor) {
		for i := range m.Fields().Len() {
			field := m.Fields().Get(i)
			switch name := string(field.Name()); {
			case field.Kind() == protoreflect.BytesKind || secretFields[field.Name()] || field.IsMap():
				left = append(left, name)
			case field.Kind() == protoreflect.MessageKind:
				walk(field.Message())
			case strings.HasSuffix(name, "_file"), name == "host_key": // where a secret is, and what anybody may know
			case strings.Contains(name, "secret"), strings.Contains(name, "join"), strings.Contains(name, "key"), strings.Contains(name, "password"):
				t.Errorf("%s is kept", field.FullName())
			}
		}
	}
	methods := backupv1.File_wolkvox_backup_v1_admin_proto.Services().ByName("AdminService").Methods()
	for i := range methods.Len() {
		if m := methods.Get(i); authz.Of("/wolkvox.backup.v1.AdminService/" + string(m.Name())).Changes {
			walk(m.Input())
		}
	}
	if want := []string{"certificate_request", "public_key"}; !slices.Equal(left, want) {
		t.Errorf("left out of requests are %q, want %q", left, want)
	}
	subject, _, err := describe(&backupv1.CreateTokenResponse{Join: "wvx1.secret"})
	if err != nil || subject != "{}" {
		t.Errorf("describe = %s, %v", subject, err)
	}
	long, tenant, err := describe(&backupv1.RequestRunRequest{Tenant: "acme", Destination: strings.Repeat("x", 1<<20)})
	if err != nil || len(long) > maxSubjectBytes || tenant != "acme" || !strings.HasPrefix(long, `{"beginning":"{\"tenant\":\"acme\"`) {
		t.Errorf("describe of a long request = %d bytes, %q, %v", len(long), tenant, err)
	}
}
