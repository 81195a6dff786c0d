package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Rotate returns the authority with a new intermediate, which the current root signs; rootKey is that root's. What
// earlier intermediates issued stays good until it ends. The root of an authority of the earlier form cannot sign
// an intermediate, and makes way for a new one, as with [Authority.RotateRoot]; rootKey may then be nil.
func (a *Authority) Rotate(rootKey *ecdsa.PrivateKey, at time.Time) (*Authority, error) {
	if !a.HasIntermediate() {
		return a.RotateRoot(a.key, at)
	}
	if !at.Before(a.roots[0].NotAfter) {
		return nil, fmt.Errorf("rotate the authority: its root ended at %v: make a new one with rotate-root", a.roots[0].NotAfter)
	}
	rotated := &Authority{roots: unended(a.roots, at), cross: unended(a.cross, at), issuers: unended(a.issuers, at)}
	return rotated, rotated.addIssuer(rootKey, at)
}

// RotateRoot returns the authority with a new root and a new intermediate. The earlier roots stay trusted until they end.
// The last of them, whose key rootKey is, certifies the key of the new one, so that whoever trusts it takes what the new one
// issues, and can come to trust the new one. rootKey may be nil for an authority of the earlier form.
func (a *Authority) RotateRoot(rootKey *ecdsa.PrivateKey, at time.Time) (*Authority, error) {
	if !a.HasIntermediate() {
		rootKey = a.key
	}
	return newRoot(a, rootKey, at)
}

// newRoot makes an authority with a new root, after an earlier one with the current root's key, which may be nil.
func newRoot(earlier *Authority, earlierKey *ecdsa.PrivateKey, at time.Time) (*Authority, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	template := caTemplate("wolkvox backup authority", at.Add(AuthorityLifetime))
	template.MaxPathLen = 1
	root, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the root's certificate: %w", err)
	}
	a := &Authority{roots: []*x509.Certificate{root}, rootKey: key}
	if earlier != nil {
		cross, err := certify(root, key.Public(), earlier.roots[0], earlierKey)
		if err != nil {
			return nil, err
		}
		a.roots = append(a.roots, unended(earlier.roots, at)...)
		a.cross = append([]*x509.Certificate{cross}, unended(earlier.cross, at)...)
		a.issuers = unended(earlier.issuers, at)
	}
	return a, a.addIssuer(key, at)
}

// certify returns the certificate of a new root's key by an earlier root: "new with old" of RFC 4210, section 4.4. It has
// no limit of its path, for crypto/x509 counts it as one more intermediate although it has its issuer's name.
func certify(root *x509.Certificate, public crypto.PublicKey, earlier *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	if !key.PublicKey.Equal(earlier.PublicKey) {
		return nil, fmt.Errorf("certify the new root: %w", ErrRootKey)
	}
	template := caTemplate(earlier.Subject.CommonName, earlier.NotAfter)
	template.SubjectKeyId, template.AuthorityKeyId = root.SubjectKeyId, earlier.SubjectKeyId
	if root.NotAfter.Before(template.NotAfter) {
		template.NotAfter = root.NotAfter
	}
	cross, err := sign(template, earlier, public, key)
	if err != nil {
		return nil, fmt.Errorf("certify the new root: %w", err)
	}
	return cross, nil
}

// addIssuer makes an intermediate of the current root, whose key is rootKey, the one that issues.
func (a *Authority) addIssuer(rootKey *ecdsa.PrivateKey, at time.Time) error {
	root := a.roots[0]
	if !rootKey.PublicKey.Equal(root.PublicKey) {
		return fmt.Errorf("sign an intermediate: %w", ErrRootKey)
	}
	key, err := NewKey()
	if err != nil {
		return err
	}
	template := caTemplate("wolkvox backup intermediate authority", at.Add(IssuerLifetime))
	template.MaxPathLenZero = true
	if template.NotAfter.After(root.NotAfter) {
		template.NotAfter = root.NotAfter
	}
	issuer, err := sign(template, root, key.Public(), rootKey)
	if err != nil {
		return fmt.Errorf("make the intermediate's certificate: %w", err)
	}
	a.issuers, a.key = slices.Insert(a.issuers, 0, issuer), key
	return nil
}

// ErrRootKey says that a key is not that of the authority's root.
var ErrRootKey = errors.New("the key given is not that of the authority's root")

func caTemplate(name string, end time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"wolkvox"}, CommonName: name},
		NotBefore:             notBefore,
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
}

func unended(certs []*x509.Certificate, at time.Time) []*x509.Certificate {
	return slices.DeleteFunc(slices.Clone(certs), func(cert *x509.Certificate) bool { return Ended(cert, at) })
}
