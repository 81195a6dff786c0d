package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/wolkvox/backup/internal/ledger"
)

// RoleKind is a kind of caller.
type RoleKind string

// The kinds of callers that certificates are issued for.
const (
	KindAgent    RoleKind = "agent"    // one machine of one tenant
	KindClient   RoleKind = "client"   // a person or program of one tenant, who sees how its copies are
	KindAuditor  RoleKind = "auditor"  // a person or program that checks one tenant's ledgers and what was done
	KindOperator RoleKind = "operator" // a person or program that runs the fleet
	KindPlatform RoleKind = "platform" // a program that announces one tenant's recordings
)

// Role is who a certificate's holder is. In a certificate it is the only subject alternative name, a URI:
//
//	wolkvox://role/agent/TENANT/AGENT
//	wolkvox://role/client/TENANT/NAME
//	wolkvox://role/auditor/TENANT/NAME
//	wolkvox://role/platform/TENANT/NAME
//	wolkvox://role/operator/NAME
//
// TENANT and NAME are labels, AGENT is an agent name (proto/README.md, section 1.1). Roles compare with ==.
type Role struct {
	Kind   RoleKind
	Tenant string // empty for an operator
	Name   string
}

const rolePrefix = "wolkvox://role/"

// ErrRole says that a certificate carries no role, or one that is not known here. Such a caller is nobody.
var ErrRole = errors.New("the certificate carries no role that is known here")

// AgentRole returns the role of a tenant's agent.
func AgentRole(tenant, agent string) Role { return Role{KindAgent, tenant, agent} }

// ClientRole returns the role of the client of that name at a tenant.
func ClientRole(tenant, name string) Role { return Role{KindClient, tenant, name} }

// AuditorRole returns the role of the auditor of that name at a tenant.
func AuditorRole(tenant, name string) Role { return Role{KindAuditor, tenant, name} }

// PlatformRole returns the role of the recording platform of that name at a tenant.
func PlatformRole(tenant, name string) Role { return Role{KindPlatform, tenant, name} }

// OperatorRole returns the role of the operator of that name.
func OperatorRole(name string) Role { return Role{Kind: KindOperator, Name: name} }

// Check reports why r is no role, nil if it is one.
func (r Role) Check() error {
	switch r.Kind {
	case KindAgent:
		return errors.Join(ledger.CheckLabel(r.Tenant), ledger.CheckAgentName(r.Name))
	case KindClient, KindAuditor, KindPlatform:
		return errors.Join(ledger.CheckLabel(r.Tenant), ledger.CheckLabel(r.Name))
	case KindOperator:
		if r.Tenant != "" {
			return fmt.Errorf("an operator has no tenant, not %q", r.Tenant)
		}
		return ledger.CheckLabel(r.Name)
	}
	return fmt.Errorf("unknown kind of role %q", r.Kind)
}

// String returns the role's URI. It means something only for a role that passes [Role.Check].
func (r Role) String() string {
	if r.Kind != KindOperator {
		return rolePrefix + string(r.Kind) + "/" + r.Tenant + "/" + r.Name
	}
	return rolePrefix + string(r.Kind) + "/" + r.Name
}

// ParseRole is the inverse of [Role.String]. Anything but the exact form is an error that wraps [ErrRole].
func ParseRole(s string) (Role, error) {
	rest, ok := strings.CutPrefix(s, rolePrefix)
	kind, rest, _ := strings.Cut(rest, "/")
	role := Role{Kind: RoleKind(kind), Name: rest}
	if role.Kind != KindOperator {
		role.Tenant, role.Name, _ = strings.Cut(rest, "/")
	}
	if !ok || role.Check() != nil || role.String() != s {
		return Role{}, fmt.Errorf("read role %.200q: %w", s, ErrRole)
	}
	return role, nil
}

// MarshalText returns the role's URI; the error is that of [Role.Check].
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), r.Check() }

// UnmarshalText is the inverse of [Role.MarshalText]; errors wrap [ErrRole].
func (r *Role) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRole(string(text))
	return err
}

// Serial returns a certificate's serial number as people write it: in lower-case hexadecimal.
func Serial(cert *x509.Certificate) string { return fmt.Sprintf("%x", cert.SerialNumber) }

// RoleOf returns the role that a certificate carries. It does not verify the certificate. Errors wrap [ErrRole].
func RoleOf(cert *x509.Certificate) (Role, error) {
	names := len(cert.DNSNames) + len(cert.IPAddresses) + len(cert.EmailAddresses) + len(cert.URIs)
	if names != 1 || len(cert.URIs) != 1 {
		return Role{}, fmt.Errorf("read the role of %q, which has %d names: %w", cert.Subject.CommonName, names, ErrRole)
	}
	return ParseRole(cert.URIs[0].String())
}

func (r Role) uri() (*url.URL, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	return url.Parse(r.String())
}
