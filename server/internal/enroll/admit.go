package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
)

const (
	// afterReplacing is how long a call with the certificate before is no sign of a clone: one that was on its way when the
	// agent changed to the next. It is refused all the same.
	afterReplacing = time.Minute
	// reportEvery is how often a cloned agent is reported while it goes on calling.
	reportEvery = time.Hour
)

// CloneReporter is told of agents that seem to run twice.
type CloneReporter interface {
	// Cloned says of a tenant's agent why it seems to. It is called at most once an hour for an agent, with its calls
	// waiting, and may be called concurrently for several.
	Cloned(tenant, agent, detail string)
}

// Admission judges at each call whether a certificate that TLS took is still its holder's. Its methods may be called
// concurrently.
type Admission struct {
	registry *registry.Registry
	serves   func(tenant, agent string) bool
	clones   CloneReporter
	log      *slog.Logger

	mu       sync.Mutex
	reported map[identity.Role]time.Time
}

// NewAdmission returns the admission by what a registry knows of agents. serves says whether an agent serves a destination of
// the tenant by its log: after a restore the registry may be the older one of the two.
func NewAdmission(r *registry.Registry, serves func(tenant, agent string) bool, clones CloneReporter, log *slog.Logger) *Admission {
	return &Admission{registry: r, serves: serves, clones: clones, log: log, reported: make(map[identity.Role]time.Time)}
}

// Admit returns nil where an agent shows the certificate that is in use, or the one that comes next, which is in use from
// then on. Errors are statuses: PERMISSION_DENIED REVOKED for a certificate that a later one replaced, which is reported as
// a clone, and NOT_ENROLLED for an agent that was not let in, as far as registry and logs know; UNAVAILABLE TRY_LATER. Of
// other roles it judges nothing.
func (a *Admission) Admit(cert *x509.Certificate, role identity.Role, at time.Time) error {
	if role.Kind != identity.KindAgent {
		return nil
	}
	shown := registry.Certificate{KeyHash: identity.KeyHash(cert), End: cert.NotAfter}
	err := a.registry.Admit(role.Tenant, role.Name, shown, at)
	if errors.Is(err, registry.ErrNotFound) && a.serves(role.Tenant, role.Name) {
		if err = a.registry.Readmit(role.Tenant, role.Name, shown, at); err == nil {
			err = a.registry.Admit(role.Tenant, role.Name, shown, at)
		}
	}
	replaced, isReplaced := errors.AsType[*registry.ReplacedError](err)
	switch {
	case err == nil:
		return nil
	case isReplaced:
		if at.Sub(replaced.At) > afterReplacing {
			a.report(role, cert, replaced, at)
		}
		return errReplaced(role)
	case errors.Is(err, registry.ErrNotFound):
		return errNotEnrolled(role)
	}
	a.log.LogAttrs(context.Background(), slog.LevelError, "admitting an agent stopped", slog.Any("error", err))
	return wire.RetryError(codes.Unavailable, wire.ReasonTryLater, retryAfter, "the server cannot judge certificates at the moment")
}

func errReplaced(role identity.Role) error {
	return wire.Error(codes.PermissionDenied, wire.ReasonRevoked, "the certificate of agent %s was replaced by a later one: "+
		"this agent runs twice, or was put back to an older state: stop all but one, and ask wolkvox for a join string for it", role.Name)
}

func errNotEnrolled(role identity.Role) error {
	return wire.Error(codes.PermissionDenied, wire.ReasonNotEnrolled, "the server does not know agent %s of tenant %s", role.Name, role.Tenant)
}

func (a *Admission) report(role identity.Role, cert *x509.Certificate, replaced *registry.ReplacedError, at time.Time) {
	a.mu.Lock()
	last, known := a.reported[role]
	due := !known || at.Sub(last) >= reportEvery
	if due {
		a.reported[role] = at
	}
	a.mu.Unlock()
	if !due {
		return
	}
	since := ""
	if !replaced.At.IsZero() {
		since = " at " + replaced.At.Format(time.RFC3339)
	}
	detail := fmt.Sprintf("agent %s shows certificate %x, which a later one of it replaced%s: it runs twice, or was put back to an older state",
		role.Name, cert.SerialNumber, since)
	a.clones.Cloned(role.Tenant, role.Name, detail)
}
