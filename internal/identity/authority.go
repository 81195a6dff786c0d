package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"
)

// Authority issues every certificate of one server's fleet: a root, which others know and which signs nothing but
// intermediates, and the intermediate that signs all else. An authority that an earlier version made has no
// intermediate: its root signs all. Authorities do not change, and their methods may be called concurrently.
type Authority struct {
	roots   []*x509.Certificate // that certificates are verified against, self-signed; the current one first
	cross   []*x509.Certificate // the keys of later roots, certified by earlier ones
	issuers []*x509.Certificate // the intermediates, the current one first; none in the earlier form
	key     *ecdsa.PrivateKey   // of the current issuer
	rootKey *ecdsa.PrivateKey   // of a root that was just made, for Save; nil once that is done
}

// An agent judges certificates at the server's time as it last heard it, which may lie long before a certificate
// was issued (a machine that was off, or one that never heard a server). So no certificate here begins later than
// this date, which is before the first release; what limits a certificate is its end.
var notBefore = time.Date(2020, time.January, 1, 0, 0, 0, 0, time.UTC)

// NewAuthority makes an authority with a new root, which ends [AuthorityLifetime] after at, and an intermediate.
func NewAuthority(at time.Time) (*Authority, error) {
	return newRoot(nil, nil, at)
}

// Certificate returns the current root's certificate, which join strings pin.
func (a *Authority) Certificate() *x509.Certificate { return a.roots[0] }

// Roots returns the certificates of all roots that are trusted, the current one first.
func (a *Authority) Roots() []*x509.Certificate { return slices.Clone(a.roots) }

// Issuer returns the certificate of the key that issues: the intermediate's, or the root's in the earlier form.
func (a *Authority) Issuer() *x509.Certificate {
	if len(a.issuers) > 0 {
		return a.issuers[0]
	}
	return a.roots[0]
}

// HasIntermediate reports whether an intermediate issues; it is false for an authority of the earlier form.
func (a *Authority) HasIntermediate() bool { return len(a.issuers) > 0 }

// RenewalIsDue reports whether less than a third of the issuer's life is left, so that [Authority.Rotate] is wanted.
func (a *Authority) RenewalIsDue(at time.Time) bool {
	if !a.HasIntermediate() {
		return a.roots[0].NotAfter.Sub(at) < AuthorityLifetime/3
	}
	return a.Issuer().NotAfter.Sub(at) < IssuerLifetime/3
}

// Pin returns the SHA-256 by which others know this authority, see [KeyHash].
func (a *Authority) Pin() [sha256.Size]byte { return KeyHash(a.roots[0]) }

// ChainOf returns, in DER, a certificate that the authority issued, followed by all that others need in order to
// verify it: its issuer, what certifies later roots by earlier ones, and the roots.
func (a *Authority) ChainOf(cert *x509.Certificate) [][]byte {
	chain := [][]byte{cert.Raw}
	for _, issuer := range a.issuers {
		if cert.CheckSignatureFrom(issuer) == nil {
			chain = append(chain, issuer.Raw)
			break
		}
	}
	for _, ca := range slices.Concat(a.cross, a.roots) {
		chain = append(chain, ca.Raw)
	}
	return chain
}

// IssueServer returns a server's certificate for its hosts: DNS names and IP addresses, without ports.
func (a *Authority) IssueServer(public crypto.PublicKey, hosts []string, at time.Time) (*x509.Certificate, error) {
	if len(hosts) == 0 {
		return nil, errors.New("issue the server's certificate: it needs at least one name or address by which agents call it")
	}
	if err := a.checkIssuer(at); err != nil {
		return nil, fmt.Errorf("issue the server's certificate: %w", err)
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{Organization: []string{"wolkvox"}, CommonName: "wolkvox-server"},
		NotAfter:    at.Add(ServerLifetime),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	cert, err := a.issue(template, public)
	if err != nil {
		return nil, fmt.Errorf("issue the server's certificate for %q: %w", hosts, err)
	}
	return cert, nil
}

// IssueAgent returns the certificate of a tenant's agent.
func (a *Authority) IssueAgent(public crypto.PublicKey, tenant, agent string, at time.Time) (*x509.Certificate, error) {
	if err := a.checkIssuer(at); err != nil {
		return nil, fmt.Errorf("issue the certificate of agent %s: %w", agent, err)
	}
	return a.issueRole(public, AgentRole(tenant, agent), at.Add(AgentLifetime))
}

// IssueOperator returns the certificate of an operator. The name is a label.
func (a *Authority) IssueOperator(public crypto.PublicKey, name string, at time.Time) (*x509.Certificate, error) {
	return a.issueRole(public, OperatorRole(name), at.Add(OperatorLifetime))
}

// IssuePerson returns the certificate of a role other than an agent's.
func (a *Authority) IssuePerson(public crypto.PublicKey, role Role, at time.Time) (*x509.Certificate, error) {
	if role.Kind == KindAgent {
		return nil, fmt.Errorf("issue a person's certificate: %s is an agent", role)
	}
	return a.issueRole(public, role, at.Add(OperatorLifetime))
}

func (a *Authority) issueRole(public crypto.PublicKey, role Role, notAfter time.Time) (*x509.Certificate, error) {
	uri, err := role.uri()
	if err != nil {
		return nil, fmt.Errorf("issue a certificate: %w", err)
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: role.Name},
		NotAfter:    notAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{uri},
	}
	if role.Tenant != "" {
		template.Subject.Organization = []string{role.Tenant}
	}
	cert, err := a.issue(template, public)
	if err != nil {
		return nil, fmt.Errorf("issue the certificate of %s: %w", role, err)
	}
	return cert, nil
}

// checkIssuer reports why nothing can be issued any more, with the remedy.
func (a *Authority) checkIssuer(at time.Time) error {
	if issuer := a.Issuer(); Ended(issuer, at) {
		return fmt.Errorf("the authority's issuing certificate ended at %s: run `wolkvox-server authority rotate` and start the server again",
			issuer.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// issue fills in what all certificates have in common and signs.
func (a *Authority) issue(template *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	if err := CheckKey(public); err != nil {
		return nil, err
	}
	issuer := a.Issuer()
	template.NotBefore = notBefore
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	if template.NotAfter.After(issuer.NotAfter) {
		template.NotAfter = issuer.NotAfter
	}
	return sign(template, issuer, public, a.key)
}

func sign(template, issuer *x509.Certificate, public crypto.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
