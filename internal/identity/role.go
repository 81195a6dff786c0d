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
	KindOperator RoleKind = "operator" // a person or program that runs the fleet
)

// Role is who a certificate's holder is. In a certificate it is the only subject alternative name, a URI:
//
//	wolkvox://role/agent/TENANT/AGENT
//	wolkvox://role/operator/NAME
//
// TENANT and NAME are labels, AGENT is an agent name (proto/README.md, section 1.1). Roles compare with ==.
type Role struct {
	Kind   RoleKind
	Tenant string // of an agent; empty for an operator
	Name   string
}

const rolePrefix = "wolkvox://role/"

// ErrRole says that a certificate carries no role, or one that is not known here. Such a caller is nobody.
var ErrRole = errors.New("the certificate carries no role that is known here")

// AgentRole returns the role of a tenant's agent.
func AgentRole(tenant, agent string) Role { return Role{KindAgent, tenant, agent} }

// OperatorRole returns the role of the operator of that name.
func OperatorRole(name string) Role { return Role{Kind: KindOperator, Name: name} }

// Check reports why r is no role, nil if it is one.
func (r Role) Check() error {
	switch r.Kind {
	case KindAgent:
		return errors.Join(ledger.CheckLabel(r.Tenant), ledger.CheckAgentName(r.Name))
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
	if r.Kind == KindAgent {
		return rolePrefix + string(r.Kind) + "/" + r.Tenant + "/" + r.Name
	}
	return rolePrefix + string(r.Kind) + "/" + r.Name
}

// ParseRole is the inverse of [Role.String]. Anything but the exact form is an error that wraps [ErrRole].
func ParseRole(s string) (Role, error) {
	rest, ok := strings.CutPrefix(s, rolePrefix)
	kind, rest, _ := strings.Cut(rest, "/")
	role := Role{Kind: RoleKind(kind), Name: rest}
	if role.Kind == KindAgent {
		role.Tenant, role.Name, _ = strings.Cut(rest, "/")
	}
	if !ok || role.Check() != nil || role.String() != s {
		return Role{}, fmt.Errorf("read role %.200q: %w", s, ErrRole)
	}
	return role, nil
}

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
