package adminrpc

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/adminlog"
	"github.com/wolkvox/backup/server/internal/registry"
)

// maxCertificateRequestBytes bounds what is parsed.
const maxCertificateRequestBytes = 8 << 10

// Revoker refuses the revoked from now on and ends what they have open. It may be called concurrently.
type Revoker interface {
	// RevokeCertificate does so for one certificate.
	RevokeCertificate(serial string)
	// RevokeAgent does so for all certificates of an agent.
	RevokeAgent(tenant, agent string)
	// RevokeTenant does so for all certificates of a tenant's agents, clients, auditors and platforms.
	RevokeTenant(tenant string)
}

// LocalActs are what commands on the server's machine did. They may be called concurrently.
type LocalActs interface {
	// TakeIn has the registry know all of them.
	TakeIn(ctx context.Context) error
}

// IssueCredential gives a person or program a certificate for one role.
func (s *Service) IssueCredential(ctx context.Context, req *backupv1.IssueCredentialRequest) (*backupv1.IssueCredentialResponse, error) {
	role, err := parseRole(req)
	if err != nil {
		return nil, err
	}
	request, err := parseCertificateRequest(req.GetCertificateRequest())
	if err != nil {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "the certificate request of %s: %v", role, err)
	}
	issuer, err := identity.RoleFromContext(ctx)
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	if err := s.LocalActs.TakeIn(ctx); err != nil {
		return nil, s.failed(ctx, err)
	}
	at := time.Now()
	cert, err := s.Issuer.IssuePerson(request.PublicKey, role, at)
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	kept := registry.Credential{Role: role, Serial: identity.Serial(cert), IssuedAt: at.UTC(), End: cert.NotAfter, IssuedBy: issuer.String()}
	switch err := s.Registry.CreateCredential(kept, at); {
	case errors.Is(err, registry.ErrExists):
		return nil, wire.Error(codes.AlreadyExists, wire.ReasonCredentialExists,
			"%s has a credential already: choose another name, or revoke that one first; see `wolkvox-server credential list`", role)
	case err != nil:
		return nil, s.refused(ctx, err)
	}
	s.done(ctx, "issue credential", role.String())
	return &backupv1.IssueCredentialResponse{
		Certificates: s.Issuer.ChainOf(cert), Credential: credential(kept),
	}, nil
}

// ListCredentials lists the certificates of people and programs.
func (s *Service) ListCredentials(ctx context.Context, req *backupv1.ListCredentialsRequest) (*backupv1.ListCredentialsResponse, error) {
	if err := s.LocalActs.TakeIn(ctx); err != nil {
		return nil, s.failed(ctx, err)
	}
	all, err := s.Registry.Credentials(req.GetTenant())
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	res := &backupv1.ListCredentialsResponse{}
	for _, c := range all {
		res.Credentials = append(res.Credentials, credential(c))
	}
	return res, nil
}

// RevokeCredential refuses a certificate from now on.
func (s *Service) RevokeCredential(ctx context.Context, req *backupv1.RevokeCredentialRequest) (*backupv1.RevokeCredentialResponse, error) {
	if err := s.LocalActs.TakeIn(ctx); err != nil {
		return nil, s.failed(ctx, err)
	}
	revoked, err := s.Registry.RevokeCredential(req.GetSerial(), time.Now())
	if errors.Is(err, registry.ErrNotFound) {
		return nil, wire.Error(codes.NotFound, wire.ReasonNoCredential, "there is no credential with the serial number %q; see `wolkvox-server credential list`", req.GetSerial())
	}
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	s.Revoker.RevokeCertificate(revoked.Serial)
	adminlog.Concern(ctx, revoked.Role.Tenant)
	s.done(ctx, "revoke credential", revoked.Role.String())
	return &backupv1.RevokeCredentialResponse{Credential: credential(revoked)}, nil
}

// RevokeAgent refuses an agent's certificates from now on.
func (s *Service) RevokeAgent(ctx context.Context, req *backupv1.RevokeAgentRequest) (*backupv1.RevokeAgentResponse, error) {
	err := s.Registry.RevokeAgent(req.GetTenant(), req.GetAgent(), time.Now())
	if errors.Is(err, registry.ErrNotFound) {
		return nil, wire.Error(codes.NotFound, wire.ReasonNoAgent, "there is no agent %q of tenant %q; see `wolkvox-server agents`", req.GetAgent(), req.GetTenant())
	}
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	s.Revoker.RevokeAgent(req.GetTenant(), req.GetAgent())
	s.done(ctx, "revoke agent", req.GetTenant()+"/"+req.GetAgent())
	return &backupv1.RevokeAgentResponse{}, nil
}

var kinds = map[backupv1.RoleKind]identity.RoleKind{
	backupv1.RoleKind_ROLE_KIND_OPERATOR: identity.KindOperator,
	backupv1.RoleKind_ROLE_KIND_CLIENT:   identity.KindClient,
	backupv1.RoleKind_ROLE_KIND_AUDITOR:  identity.KindAuditor,
	backupv1.RoleKind_ROLE_KIND_PLATFORM: identity.KindPlatform,
}

// parseRole reads the role that is asked for. The error is a status.
func parseRole(req *backupv1.IssueCredentialRequest) (identity.Role, error) {
	role := identity.Role{Kind: kinds[req.GetKind()], Tenant: req.GetTenant(), Name: req.GetName()}
	switch {
	case role.Kind == "":
		return role, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "the kind of role %v is not one of operator, client, auditor and platform", req.GetKind())
	case (role.Kind == identity.KindOperator) != (role.Tenant == ""):
		return role, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "a client, an auditor and a platform belong to a tenant, and an operator to none")
	}
	if err := role.Check(); err != nil {
		return role, wire.Error(codes.InvalidArgument, wire.ReasonBadName, "the %s's name: %v", role.Kind, err)
	}
	return role, nil
}

// parseCertificateRequest reads a PKCS #10 request, of which only the key counts.
func parseCertificateRequest(der []byte) (*x509.CertificateRequest, error) {
	if len(der) > maxCertificateRequestBytes {
		return nil, errors.New("it is too long")
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, err
	}
	return request, errors.Join(request.CheckSignature(), identity.CheckKey(request.PublicKey))
}

func credential(c registry.Credential) *backupv1.Credential {
	m := &backupv1.Credential{
		Tenant: c.Role.Tenant, Name: c.Role.Name, Serial: c.Serial,
		IssueTime: wire.Time(c.IssuedAt), ExpireTime: wire.Time(c.End), IssuedBy: c.IssuedBy,
	}
	for kind, of := range kinds {
		if of == c.Role.Kind {
			m.Kind = kind
		}
	}
	if c.RevokedAt != nil {
		m.RevokeTime = wire.Time(*c.RevokedAt)
	}
	return m
}
