package enroll

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
)

// RenewCertificate gives an agent its next certificate. The reasons of its errors are those that the protocol names.
func (s *Service) RenewCertificate(ctx context.Context, request *backupv1.RenewCertificateRequest) (*backupv1.RenewCertificateResponse, error) {
	return s.renew(ctx, request, time.Now())
}

func (s *Service) renew(ctx context.Context, request *backupv1.RenewCertificateRequest, at time.Time) (*backupv1.RenewCertificateResponse, error) {
	shown, role, err := renewingAgent(ctx)
	if err != nil {
		return nil, err
	}
	if identity.Ended(shown, at.Add(-identity.RenewalGrace)) { // on a connection that was opened earlier
		return nil, wire.Error(codes.Unauthenticated, wire.ReasonNoCertificate, "renew the certificate: it ended at %s, too long ago",
			shown.NotAfter.Format(time.RFC3339))
	}
	csr, err := readCertificateRequest(request.GetCertificateRequest())
	if err == nil && csr.Subject.CommonName != role.Name {
		err = fmt.Errorf("the certificate request is of %.100q, not of agent %s", csr.Subject.CommonName, role.Name)
	}
	current := identity.KeyHash(shown)
	next := registry.NextCertificate{At: at}
	if err == nil {
		if next.KeyHash = sha256.Sum256(csr.RawSubjectPublicKeyInfo); next.KeyHash == current {
			err = errors.New("the certificate request is for the key of the present certificate, not for a new one")
		}
	}
	if err != nil {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "renew the certificate: %v", err)
	}
	if _, err := s.registry.Agent(role.Tenant, role.Name); errors.Is(err, registry.ErrNotFound) {
		return nil, errNotEnrolled(role)
	}
	if wait := s.limits.waitToRenew(role, at); wait > 0 {
		return nil, wire.RetryError(codes.Unavailable, wire.ReasonTryLater, wait, "agent %s renews its certificate too often: try again in %s", role.Name, wait)
	}
	certificate, err := s.authority.IssueAgent(csr.PublicKey, role.Tenant, role.Name, at)
	if err != nil {
		return nil, s.renewalFailed(ctx, role, err)
	}
	next.Certificate = certificate.Raw
	kept, err := s.registry.Renew(role.Tenant, role.Name, current, next, func(der []byte) bool { return s.isGood(der, at) })
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return nil, errNotEnrolled(role)
	case errors.Is(err, registry.ErrReplaced):
		return nil, errReplaced(role)
	case err != nil:
		return nil, s.renewalFailed(ctx, role, err)
	}
	if certificate, err = x509.ParseCertificate(kept.Certificate); err != nil {
		return nil, s.renewalFailed(ctx, role, err)
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "certificate renewed", slog.String("tenant", role.Tenant), slog.String("agent", role.Name),
		slog.Time("end", certificate.NotAfter))
	return &backupv1.RenewCertificateResponse{Certificates: s.authority.ChainOf(certificate), ServerTime: timestamppb.New(at)}, nil
}

// renewingAgent returns the certificate that the caller shows, and its role, which has to be an agent's.
func renewingAgent(ctx context.Context) (*x509.Certificate, identity.Role, error) {
	cert, err := identity.CertificateFromContext(ctx)
	if err != nil {
		return nil, identity.Role{}, wire.Error(codes.Unauthenticated, wire.ReasonNoCertificate, "renew the certificate: %v", err)
	}
	role, err := identity.RoleOf(cert)
	if err != nil {
		return nil, identity.Role{}, wire.Error(codes.Unauthenticated, wire.ReasonNoCertificate, "renew the certificate: %v", err)
	}
	if role.Kind != identity.KindAgent {
		return nil, identity.Role{}, wire.Error(codes.PermissionDenied, wire.ReasonNotAllowed, "renew the certificate: %s is no agent", role)
	}
	return cert, role, nil
}

// isGood reports whether a certificate that was issued before can be the answer again: it has not reached the time of its
// own renewal, and the intermediate that issued it is one that the authority still vouches for.
func (s *Service) isGood(der []byte, at time.Time) bool {
	cert, err := x509.ParseCertificate(der)
	return err == nil && at.Before(identity.RenewalTime(cert)) && cert.CheckSignatureFrom(s.authority.Issuer()) == nil
}

func (s *Service) renewalFailed(ctx context.Context, role identity.Role, err error) error {
	s.log.LogAttrs(ctx, slog.LevelError, "renewing a certificate stopped", slog.String("tenant", role.Tenant), slog.String("agent", role.Name),
		slog.Any("error", err))
	return wire.RetryError(codes.Unavailable, wire.ReasonTryLater, retryAfter, "the server cannot renew a certificate at the moment")
}
