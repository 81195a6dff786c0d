package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"
)

// Credential is what a caller shows and trusts: its own certificate, followed by its issuers, with the key, and the
// authority's roots.
type Credential struct {
	Certificate tls.Certificate
	Authority   *x509.Certificate   // the root that the caller's server is known by
	Older       []*x509.Certificate // other roots that are trusted, until they end
}

// NewCredential joins its parts. Among the authority's certificates are the roots, of which the first is the one that
// the server is known by, and what leads from the caller's certificate to one of them. It refuses a key and a certificate
// that do not belong together, and a certificate that none of the roots stands behind.
func NewCredential(cert *x509.Certificate, key *ecdsa.PrivateKey, authority ...*x509.Certificate) (Credential, error) {
	if !key.PublicKey.Equal(cert.PublicKey) {
		return Credential{}, fmt.Errorf("key and certificate of %q do not belong together", cert.Subject.CommonName)
	}
	chain := tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
	var roots, intermediates []*x509.Certificate
	for _, ca := range authority {
		if isRoot(ca) {
			roots = append(roots, ca)
			continue
		}
		intermediates = append(intermediates, ca)
		chain.Certificate = append(chain.Certificate, ca.Raw)
	}
	if len(roots) == 0 {
		return Credential{}, fmt.Errorf("the authority's certificate is missing beside that of %q", cert.Subject.CommonName)
	}
	_, err := cert.Verify(x509.VerifyOptions{
		Roots: anchors(roots), Intermediates: pool(intermediates), CurrentTime: cert.NotAfter, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return Credential{}, fmt.Errorf("the certificate of %q is not the authority's: %w", cert.Subject.CommonName, err)
	}
	return Credential{chain, roots[0], roots[1:]}, nil
}

// NewOperator makes the credential of a new operator; the name is a label.
func (a *Authority) NewOperator(name string, at time.Time) (Credential, error) {
	key, err := NewKey()
	if err != nil {
		return Credential{}, err
	}
	cert, err := a.IssueOperator(key.Public(), name, at)
	if err != nil {
		return Credential{}, err
	}
	return a.NewCredential(cert, key)
}

// NewCredential makes the credential of whoever has a certificate that the authority issued.
func (a *Authority) NewCredential(cert *x509.Certificate, key *ecdsa.PrivateKey) (Credential, error) {
	certs, err := ParseCertificates(a.ChainOf(cert))
	if err != nil {
		return Credential{}, err
	}
	return NewCredential(cert, key, certs[1:]...)
}

// Roots returns the roots that are trusted.
func (c Credential) Roots() []*x509.Certificate {
	return append([]*x509.Certificate{c.Authority}, c.Older...)
}

// Renewed returns the credential with a new certificate for a key, as the server sent it in front of the authority's
// certificates. A root among these comes to be trusted where one that was trusted before certified its key, and then
// the server is known by the first of them; roots that ended are left out. The time at is one at which to judge.
func (c Credential) Renewed(sent []*x509.Certificate, key *ecdsa.PrivateKey, at time.Time) (Credential, error) {
	if len(sent) == 0 {
		return Credential{}, errors.New("the server sent no certificate")
	}
	trusted := slices.DeleteFunc(c.Roots(), func(root *x509.Certificate) bool { return Ended(root, at) })
	if len(trusted) == 0 {
		return Credential{}, errors.New("every root of the authority that is trusted here has ended")
	}
	authority := slices.DeleteFunc(slices.Clone(sent[1:]), isRoot)
	adopted := certified(slices.DeleteFunc(slices.Clone(sent[1:]), func(ca *x509.Certificate) bool { return !isRoot(ca) }), trusted, authority, at)
	for _, root := range trusted {
		if !slices.ContainsFunc(adopted, root.Equal) {
			adopted = append(adopted, root)
		}
	}
	return NewCredential(sent[0], key, append(authority, adopted...)...)
}

// certified returns those roots, in their order, that are trusted, or whose keys a trusted one certified: itself, or by roots
// in between whose keys it certified.
func certified(roots, trusted, cross []*x509.Certificate, at time.Time) []*x509.Certificate {
	roots = unended(roots, at)
	good := slices.Clone(trusted)
	for before := 0; before < len(good); {
		before = len(good)
		for _, root := range roots {
			certifies := func(c *x509.Certificate) bool { return certifiesRoot(c, root, good, at) }
			if !slices.ContainsFunc(good, root.Equal) && slices.ContainsFunc(cross, certifies) {
				good = append(good, root)
			}
		}
	}
	return slices.DeleteFunc(roots, func(root *x509.Certificate) bool { return !slices.ContainsFunc(good, root.Equal) })
}

// certifiesRoot reports whether one of the trusted roots itself signed a certificate for the key of another root, as certify
// makes it. An intermediate's is none, and what an intermediate signed is none: its key is on the server, and whoever steals
// that must not come to be a root.
func certifiesRoot(cross, root *x509.Certificate, trusted []*x509.Certificate, at time.Time) bool {
	isOne := cross.IsCA && cross.MaxPathLen < 0 && KeyHash(cross) == KeyHash(root) && !Ended(cross, at)
	return isOne && slices.ContainsFunc(trusted, func(t *x509.Certificate) bool { return cross.CheckSignatureFrom(t) == nil })
}

// Format returns the credential as PEM: the key, the certificate, its issuers, and the roots.
func (c Credential) Format() ([]byte, error) {
	key, ok := c.Certificate.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("its key is a %T", c.Certificate.PrivateKey)
	}
	ders := slices.Clone(c.Certificate.Certificate)
	for _, root := range c.Roots() {
		ders = append(ders, root.Raw)
	}
	return formatKeyAndCertificates(key, ders)
}

// ParseCredential is the inverse of [Credential.Format]. Where the key stands among the certificates does not matter.
func ParseCredential(data []byte) (Credential, error) {
	key, certs, err := parseKeyAndCertificates(data)
	if err != nil {
		return Credential{}, err
	}
	return NewCredential(certs[0], key, certs[1:]...)
}

// Save writes the credential, in one step and durably, to a file that only its owner can read.
func (c Credential) Save(path string) error {
	data, err := c.Format()
	if err != nil {
		return fmt.Errorf("write credential %s: %w", path, err)
	}
	return WritePrivate(path, data)
}

// LoadCredential reads what [Credential.Save] wrote. The error is [fs.ErrNotExist] where there is none.
func LoadCredential(path string) (Credential, error) {
	data, err := ReadPrivate(path)
	if err != nil {
		return Credential{}, err
	}
	c, err := ParseCredential(data)
	if err != nil {
		return Credential{}, fmt.Errorf("load credential %s: %w", path, err)
	}
	return c, nil
}

// LoadCredentialParts reads what an earlier version kept in dir as [KeyFile], [CertificateFile] and [SelfIssuedFile]. The
// error is [fs.ErrNotExist] where there is no certificate.
func LoadCredentialParts(dir string) (Credential, error) {
	cert, err := LoadCertificate(filepath.Join(dir, CertificateFile))
	if err != nil {
		return Credential{}, err
	}
	key, err := LoadKey(filepath.Join(dir, KeyFile))
	if err != nil {
		return Credential{}, err
	}
	authority, err := LoadCertificate(filepath.Join(dir, SelfIssuedFile))
	if err != nil {
		return Credential{}, err
	}
	c, err := NewCredential(cert, key, authority)
	if err != nil {
		return Credential{}, fmt.Errorf("load credential from %s: %w", dir, err)
	}
	return c, nil
}

// ServerCertificate returns the server's certificate, followed by the authority's, with the key, from [KeyFile]
// and [CertificateFile] in dir. It issues and saves a new certificate where there is none, where the hosts are
// others, where another authority or an earlier intermediate issued it, or where less than half of its life is left and a
// new one would end later.
func (a *Authority) ServerCertificate(dir string, hosts []string, at time.Time) (tls.Certificate, error) {
	keyPath, certPath := filepath.Join(dir, KeyFile), filepath.Join(dir, CertificateFile)
	key, err := LoadKey(keyPath)
	if errors.Is(err, fs.ErrNotExist) {
		if key, err = NewKey(); err == nil {
			err = SaveKey(keyPath, key)
		}
	}
	if err != nil {
		return tls.Certificate{}, err
	}
	cert, err := LoadCertificate(certPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return tls.Certificate{}, err
	}
	if cert == nil || !a.serves(cert, hosts, at) || !key.PublicKey.Equal(cert.PublicKey) {
		if cert, err = a.IssueServer(key.Public(), hosts, at); err != nil {
			return tls.Certificate{}, err
		}
		if err := SaveCertificate(certPath, cert.Raw); err != nil {
			return tls.Certificate{}, err
		}
	}
	return tls.Certificate{Certificate: a.ChainOf(cert), PrivateKey: key, Leaf: cert}, nil
}

// serves reports whether the server's certificate can stay in use.
func (a *Authority) serves(cert *x509.Certificate, hosts []string, at time.Time) bool {
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	wanted := slices.Clone(hosts)
	slices.Sort(names)
	slices.Sort(wanted)
	issuer := a.Issuer()
	return slices.Equal(names, wanted) && bytes.Equal(cert.AuthorityKeyId, issuer.SubjectKeyId) && cert.CheckSignatureFrom(issuer) == nil &&
		(cert.NotAfter.Sub(at) >= ServerLifetime/2 || !cert.NotAfter.Before(issuer.NotAfter))
}
