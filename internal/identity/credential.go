package identity

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Credential is what a caller shows and trusts: its own certificate with the key, and the authority.
type Credential struct {
	Certificate tls.Certificate
	Authority   *x509.Certificate
}

// NewCredential joins its parts, and refuses a key and a certificate that do not belong together, or a certificate
// that another authority issued.
func NewCredential(cert *x509.Certificate, key *ecdsa.PrivateKey, authority *x509.Certificate) (Credential, error) {
	if !key.PublicKey.Equal(cert.PublicKey) {
		return Credential{}, fmt.Errorf("key and certificate of %q do not belong together", cert.Subject.CommonName)
	}
	if err := cert.CheckSignatureFrom(authority); err != nil {
		return Credential{}, fmt.Errorf("the certificate of %q is not the authority's: %w", cert.Subject.CommonName, err)
	}
	chain := tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
	return Credential{chain, authority}, nil
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
	return NewCredential(cert, key, a.cert)
}

// Save writes the credential to dir as [KeyFile], [CertificateFile] and [AuthorityFile], durably, the key first.
func (c Credential) Save(dir string) error {
	key, ok := c.Certificate.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return fmt.Errorf("save credential to %s: its key is a %T", dir, c.Certificate.PrivateKey)
	}
	if err := SaveKey(filepath.Join(dir, KeyFile), key); err != nil {
		return err
	}
	if err := SaveCertificate(filepath.Join(dir, CertificateFile), c.Certificate.Certificate[0]); err != nil {
		return err
	}
	return SaveCertificate(filepath.Join(dir, AuthorityFile), c.Authority.Raw)
}

// LoadCredential reads what [Credential.Save] wrote.
func LoadCredential(dir string) (Credential, error) {
	key, err := LoadKey(filepath.Join(dir, KeyFile))
	if err != nil {
		return Credential{}, err
	}
	cert, err := LoadCertificate(filepath.Join(dir, CertificateFile))
	if err != nil {
		return Credential{}, err
	}
	authority, err := LoadCertificate(filepath.Join(dir, AuthorityFile))
	if err != nil {
		return Credential{}, err
	}
	credential, err := NewCredential(cert, key, authority)
	if err != nil {
		return Credential{}, fmt.Errorf("load credential from %s: %w", dir, err)
	}
	return credential, nil
}

// ServerCertificate returns the server's certificate, followed by the authority's, with the key, from [KeyFile]
// and [CertificateFile] in dir. It issues and saves a new certificate where there is none, where the hosts are
// others, where another authority issued it, or where less than half of its life is left and a new one would end
// later.
func (a *Authority) ServerCertificate(dir string, hosts []string, at time.Time) (tls.Certificate, error) {
	keyPath, certPath := filepath.Join(dir, KeyFile), filepath.Join(dir, CertificateFile)
	key, err := LoadKey(keyPath)
	if errors.Is(err, os.ErrNotExist) {
		if key, err = NewKey(); err == nil {
			err = SaveKey(keyPath, key)
		}
	}
	if err != nil {
		return tls.Certificate{}, err
	}
	cert, err := LoadCertificate(certPath)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
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
	return tls.Certificate{Certificate: [][]byte{cert.Raw, a.cert.Raw}, PrivateKey: key, Leaf: cert}, nil
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
	return slices.Equal(names, wanted) && cert.CheckSignatureFrom(a.cert) == nil &&
		(cert.NotAfter.Sub(at) >= ServerLifetime/2 || !cert.NotAfter.Before(a.cert.NotAfter))
}
