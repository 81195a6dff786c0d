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
	"path/filepath"
	"time"
)

// Authority issues every certificate of one server's fleet. Its methods may be called concurrently.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// An agent judges certificates at the server's time as it last heard it, which may lie long before a certificate
// was issued (a machine that was off, or one that never heard a server). So no certificate here begins later than
// this date, which is before the first release; what limits a certificate is its end.
var notBefore = time.Date(2020, time.January, 1, 0, 0, 0, 0, time.UTC)

// NewAuthority makes an authority with a new key whose certificate ends [AuthorityLifetime] after at.
func NewAuthority(at time.Time) (*Authority, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"wolkvox"}, CommonName: "wolkvox backup authority"},
		NotBefore:             notBefore,
		NotAfter:              at.Add(AuthorityLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	cert, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the authority's certificate: %w", err)
	}
	return &Authority{cert, key}, nil
}

// LoadAuthority reads the authority that [Authority.Save] wrote to dir.
func LoadAuthority(dir string) (*Authority, error) {
	cert, err := LoadCertificate(filepath.Join(dir, AuthorityFile))
	if err != nil {
		return nil, err
	}
	key, err := LoadKey(filepath.Join(dir, AuthorityKeyFile))
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("load the authority from %s: key and certificate do not belong together", dir)
	}
	return &Authority{cert, key}, nil
}

// Save writes the authority to dir as [AuthorityKeyFile] and [AuthorityFile], durably, the key first.
func (a *Authority) Save(dir string) error {
	if err := SaveKey(filepath.Join(dir, AuthorityKeyFile), a.key); err != nil {
		return err
	}
	return SaveCertificate(filepath.Join(dir, AuthorityFile), a.cert.Raw)
}

// Certificate returns the authority's own certificate.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Pin returns the SHA-256 by which others know this authority, see [KeyHash].
func (a *Authority) Pin() [sha256.Size]byte { return KeyHash(a.cert) }

// IssueServer returns a server's certificate for its hosts: DNS names and IP addresses, without ports.
func (a *Authority) IssueServer(public crypto.PublicKey, hosts []string, at time.Time) (*x509.Certificate, error) {
	if len(hosts) == 0 {
		return nil, errors.New("issue the server's certificate: it needs at least one name or address by which agents call it")
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

// issue fills in what all certificates have in common and signs.
func (a *Authority) issue(template *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	if err := CheckKey(public); err != nil {
		return nil, err
	}
	template.NotBefore = notBefore
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	return sign(template, a.cert, public, a.key)
}

func sign(template, issuer *x509.Certificate, public crypto.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
