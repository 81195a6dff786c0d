package server

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/config"
	"github.com/wolkvox/backup/server/internal/credential"
	"github.com/wolkvox/backup/server/internal/localact"
	"github.com/wolkvox/backup/server/internal/registry"
)

// openAdminLog checks the admin log, ends the acts that an earlier server did not, and takes in what was done on this
// machine since. A log that was tampered with is said, and no reason not to serve: it goes on, and the place shows.
func openAdminLog(ctx context.Context, reg *registry.Registry, acts *localact.Taker, log *slog.Logger) error {
	if count, err := reg.VerifyAdminLog(); err != nil {
		log.LogAttrs(ctx, slog.LevelError, "the admin log was tampered with", slog.Int64("good_records", count), slog.Any("error", err))
	}
	begun, err := reg.RecoverActs()
	if err != nil {
		return err
	}
	if begun > 0 {
		log.LogAttrs(ctx, slog.LevelWarn, "acts with an unknown outcome, because the server stopped before they had ended", slog.Int("count", begun))
	}
	return acts.TakeIn(ctx)
}

// newGuard returns the guard that knows who was revoked. agents judges the certificates of agents.
func newGuard(reg *registry.Registry, agents authz.Admission, log *slog.Logger) (*authz.Guard, error) {
	guard := &authz.Guard{Logger: log, Admission: &admission{registry: reg, agents: agents}}
	credentials, err := reg.Credentials("")
	if err != nil {
		return nil, err
	}
	for _, c := range credentials {
		if c.RevokedAt != nil {
			guard.RevokeCertificate(c.Serial)
		}
	}
	revoked, err := reg.RevokedAgents()
	if err != nil {
		return nil, err
	}
	for _, a := range revoked {
		guard.RevokeAgent(a.Tenant, a.Name)
	}
	tenants, err := reg.Tenants()
	if err != nil {
		return nil, err
	}
	for _, t := range tenants {
		_, ended, err := reg.TenantEnded(t.Name)
		if err != nil {
			return nil, err
		}
		if ended {
			guard.RevokeTenant(t.Name)
		}
	}
	reg.Replaced = guard.Replaced
	return guard, nil
}

// unknownIssuer is who issued the certificates that the registry does not know: an earlier version of the program, or a
// server whose state was lost since.
const unknownIssuer = "unknown"

// admission has the registry know the certificates of people, which can be revoked only where they are known, and refuses
// none of them. Its methods may be called concurrently.
type admission struct {
	registry *registry.Registry
	agents   authz.Admission
	known    sync.Map // of serial numbers
}

// Admit implements [authz.Admission].
func (a *admission) Admit(cert *x509.Certificate, role identity.Role, at time.Time) error {
	if role.Kind == identity.KindAgent {
		return a.agents.Admit(cert, role, at)
	}
	serial := identity.Serial(cert)
	if _, known := a.known.Load(serial); known {
		return nil
	}
	c := registry.Credential{Role: role, Serial: serial, IssuedAt: at.UTC(), End: cert.NotAfter, IssuedBy: unknownIssuer}
	if err := a.registry.KnowCredential(c); err != nil {
		return status.Errorf(codes.Internal, "keep the credential of %s: %v", role, err)
	}
	a.known.Store(serial, nil)
	return nil
}

// CreateCredential makes the credential file of one more operator, and has the server know of it; the name is a label.
func CreateCredential(c config.Config, operator, reason, path string, at time.Time) (credential.Credential, error) {
	return createCredential(c, "credential create", operator, reason, path, at)
}

// createCredential is [CreateCredential] as part of an act.
func createCredential(c config.Config, act, operator, reason, path string, at time.Time) (credential.Credential, error) {
	made, err := NewCredential(c, operator, at)
	if err != nil {
		return credential.Credential{}, err
	}
	serial := identity.Serial(made.Certificate.Leaf)
	done, err := localact.NewAct(act, reason, "", at, map[string]string{"operator": operator, "serial": serial, "file": path})
	if err != nil {
		return credential.Credential{}, err
	}
	withdraw, err := localact.Leave(c.StateDir, localact.Act{Act: done, Credential: &registry.Credential{
		Role: identity.OperatorRole(operator), Serial: serial, IssuedAt: at.UTC(), End: made.Certificate.Leaf.NotAfter, IssuedBy: localact.Who,
	}})
	if err != nil {
		return credential.Credential{}, err
	}
	if err := made.Save(path); err != nil {
		if again := withdraw(); again != nil {
			err = fmt.Errorf("%w; and %w", err, again)
		}
		return credential.Credential{}, err
	}
	return made, nil
}
