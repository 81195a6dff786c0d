// Package enroll lets agents in and keeps them in: EnrollmentService of the protocol, and the admission of the
// certificates that came of it. It judges the one-time secret and the caller's keys, has the registry redeem the token,
// issues the certificate, and hands the agent's request to whoever appends it to the log. It makes no tokens, writes no
// log, and does not judge which methods a role may call.
//
// The order is: redeem (which keeps the certificate that is going to be the answer), append, answer. A server that
// dies anywhere in between is asked again with the same secret and keys, and goes on where it stopped.
package enroll

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"
	"unicode"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
)

// Limits of a request, in bytes.
const (
	maxCertificateRequestBytes = 8 << 10
	maxTextBytes               = 255 // of a host name, a version and a platform
)

// retryAfter is when to come back after a failure on the server's side.
const retryAfter = 30 * time.Second

// Assigner appends to a log that an agent serves it from now on.
type Assigner interface {
	// Assign appends the entry that holds the request, unless the log's last one of its kind holds the same request, and
	// returns the server's key with which the log began. The agent named replaces is the one whose place is taken; it is empty
	// where none serves the destination. The entry is durable when the error is nil. An error that wraps
	// [registry.ErrEnded], or is a [*registry.AssignedError], is final; after any other the entry may or may not be in the
	// log, and the call is to be repeated. It may be called concurrently.
	Assign(ctx context.Context, origin ledger.Origin, request ledger.Request, replaces string) (ledger.Verifier, error)
}

// Service is EnrollmentService. Its methods may be called concurrently.
type Service struct {
	backupv1.UnimplementedEnrollmentServiceServer
	registry  *registry.Registry
	authority *identity.Authority
	assigner  Assigner
	log       *slog.Logger
	limits    *limits
}

// New returns the service over its parts.
func New(r *registry.Registry, authority *identity.Authority, assigner Assigner, log *slog.Logger) *Service {
	return &Service{registry: r, authority: authority, assigner: assigner, log: log, limits: newLimits()}
}

// Enroll redeems a one-time secret. The reasons of its errors are those that the protocol names.
func (s *Service) Enroll(ctx context.Context, request *backupv1.EnrollRequest) (*backupv1.EnrollResponse, error) {
	at := time.Now()
	if wait := s.limits.wait(addressOf(ctx), at); wait > 0 {
		return nil, wire.RetryError(codes.Unavailable, wire.ReasonTryLater, wait,
			"too many ask to be let in at the moment: the join string stays good, try again in %s", wait)
	}
	return s.enroll(ctx, request, at)
}

func (s *Service) enroll(ctx context.Context, request *backupv1.EnrollRequest, at time.Time) (*backupv1.EnrollResponse, error) {
	// Nothing is said to whoever does not hold a secret, and only its hash is looked for, so that the time which that
	// takes tells nothing.
	secretHash := sha256.Sum256(request.GetSecret())
	token, err := s.registry.Token(secretHash)
	if errors.Is(err, registry.ErrNotFound) {
		return nil, errTokenInvalid()
	}
	if err != nil {
		return nil, s.failed(ctx, "look up token", err)
	}
	origin := token.Origin
	a, err := readApplication(request, origin)
	if err != nil {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "enroll for %s: %v", origin, err)
	}
	if err := a.checkCaller(ctx, origin); err != nil {
		return nil, err
	}
	certificate, err := s.authority.IssueAgent(a.public, origin.Tenant(), a.agent, at)
	if err != nil {
		return nil, s.failed(ctx, "issue certificate", err)
	}
	redeemed, err := s.registry.Redeem(secretHash, registry.Applicant{
		Agent: registry.Agent{
			Tenant:         origin.Tenant(),
			Name:           a.agent,
			HostName:       request.GetHostName(),
			Version:        request.GetAgentVersion(),
			Platform:       request.GetPlatform(),
			KeyHash:        a.keyHash,
			CertificateEnd: certificate.NotAfter,
			EnrolledAt:     at.UTC(),
		},
		AgentKey:    a.request.AgentKey,
		RequestHash: a.hash(),
		Certificate: certificate.Raw,
	}, at)
	if err != nil {
		return nil, s.refused(ctx, token, err)
	}
	serverKey, err := s.assigner.Assign(ctx, origin, a.request, token.ForAgent)
	if err != nil {
		return nil, s.refused(ctx, token, err)
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "agent enrolled",
		slog.String("origin", string(origin)), slog.String("agent", a.agent), slog.String("host", request.GetHostName()))
	if certificate, err = x509.ParseCertificate(redeemed.Certificate); err != nil {
		return nil, s.failed(ctx, "read the certificate that was issued", err)
	}
	return &backupv1.EnrollResponse{
		Certificates: s.authority.ChainOf(certificate),
		ServerKey:    string(serverKey),
		ServerTime:   timestamppb.New(at),
	}, nil
}

// application is what a request says, once it is found to be in order.
type application struct {
	agent   string
	public  any // the key of the certificate, ECDSA on P-256
	keyHash [sha256.Size]byte
	request ledger.Request
}

// readApplication checks a request against the origin that its secret is bound to.
func readApplication(m *backupv1.EnrollRequest, origin ledger.Origin) (application, error) {
	csr, err := readCertificateRequest(m.GetCertificateRequest())
	if err != nil {
		return application{}, err
	}
	agent := csr.Subject.CommonName
	if err := ledger.CheckAgentName(agent); err != nil {
		return application{}, fmt.Errorf("the common name of the certificate request: %w", err)
	}
	request, err := ledger.ParseRequest(m.GetAssignRequest())
	if err != nil {
		return application{}, fmt.Errorf("the request to be assigned: %w", err)
	}
	if request.Origin != origin {
		return application{}, fmt.Errorf("the request to be assigned is for %s", request.Origin)
	}
	if name := request.AgentKey.Name(); name != origin.AgentKeyName(agent) {
		return application{}, fmt.Errorf("the request to be assigned is signed by %s, not by agent %s", name, agent)
	}
	for what, text := range map[string]string{"host name": m.GetHostName(), "version": m.GetAgentVersion(), "platform": m.GetPlatform()} {
		if len(text) > maxTextBytes || !isPrintable(text) {
			return application{}, fmt.Errorf("the %s is longer than %d bytes or not printable", what, maxTextBytes)
		}
	}
	return application{agent, csr.PublicKey, sha256.Sum256(csr.RawSubjectPublicKeyInfo), request}, nil
}

// readCertificateRequest reads a PKCS #10 certificate request that its own key, of the right kind, signed.
func readCertificateRequest(der []byte) (*x509.CertificateRequest, error) {
	if len(der) > maxCertificateRequestBytes {
		return nil, fmt.Errorf("the certificate request has %d bytes, more than %d", len(der), maxCertificateRequestBytes)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("the certificate request cannot be read: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("the certificate request is not signed by its own key: %w", err)
	}
	if err := identity.CheckKey(csr.PublicKey); err != nil {
		return nil, fmt.Errorf("the certificate request: %w", err)
	}
	return csr, nil
}

// hash is the same for the same name and keys. A certificate request is not the same bytes when it is made again.
func (a application) hash() [sha256.Size]byte {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(a.agent), a.keyHash[:], a.request.Note} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// checkCaller judges the certificate of a caller that has one already: it has to be that of the same agent of the
// same tenant, over the same key.
func (a application) checkCaller(ctx context.Context, origin ledger.Origin) error {
	cert, err := identity.CertificateFromContext(ctx)
	if errors.Is(err, identity.ErrNoCertificate) {
		return nil
	}
	if err != nil {
		return wire.Error(codes.PermissionDenied, wire.ReasonNotAllowed, "enroll for %s: %v", origin, err)
	}
	role, err := identity.RoleOf(cert)
	switch {
	case err != nil:
		return wire.Error(codes.PermissionDenied, wire.ReasonNotAllowed, "enroll for %s: %v", origin, err)
	case role.Kind != identity.KindAgent:
		return wire.Error(codes.PermissionDenied, wire.ReasonNotAllowed,
			"enroll for %s: the certificate is of %s, which is no agent", origin, role)
	case role.Tenant != origin.Tenant():
		return wire.Error(codes.PermissionDenied, wire.ReasonOtherTenant,
			"enroll for %s: this agent belongs to tenant %s: another tenant needs an agent of its own", origin, role.Tenant)
	case role.Name != a.agent || identity.KeyHash(cert) != a.keyHash:
		return wire.Error(codes.InvalidArgument, wire.ReasonBadRequest,
			"enroll for %s: the certificate request is not that of agent %s, which sent it", origin, role.Name)
	}
	return nil
}

// refused translates what the registry had against an applicant.
func (s *Service) refused(ctx context.Context, token registry.Token, err error) error {
	assigned, isAssigned := errors.AsType[*registry.AssignedError](err)
	switch {
	case isAssigned:
		return wire.Error(codes.AlreadyExists, wire.ReasonDestinationAssigned, "%v", assigned)
	case errors.Is(err, registry.ErrUsed), errors.Is(err, registry.ErrEnded):
		return errTokenInvalid()
	case errors.Is(err, registry.ErrExpired):
		return wire.Error(codes.Unauthenticated, wire.ReasonTokenExpired,
			"the join string for %s expired at %s: ask wolkvox for a new one", token.Origin, token.ExpireTime.Format(time.RFC3339))
	case errors.Is(err, registry.ErrRevoked):
		return wire.Error(codes.PermissionDenied, wire.ReasonRevoked,
			"enroll for %s: the agent of this name or key was revoked: enrol as a new agent, with new keys", token.Origin)
	case errors.Is(err, registry.ErrNameTaken):
		return wire.Error(codes.AlreadyExists, wire.ReasonNameTaken,
			"enroll for %s: another agent has this name with another key", token.Origin)
	}
	return s.failed(ctx, "redeem token or append assignment", err)
}

// failed logs what went wrong on the server's side, which is nobody else's matter, and asks to come back.
func (s *Service) failed(ctx context.Context, step string, err error) error {
	s.log.LogAttrs(ctx, slog.LevelError, "enrolling an agent stopped", slog.String("step", step), slog.Any("error", err))
	return wire.RetryError(codes.Unavailable, wire.ReasonTryLater, retryAfter,
		"the server cannot enroll an agent at the moment: the same join string stays good, try again in a while")
}

func errTokenInvalid() error {
	return wire.Error(codes.Unauthenticated, wire.ReasonTokenInvalid,
		"the join string is not known to this server, or was already used: ask wolkvox for a new one")
}

func isPrintable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
