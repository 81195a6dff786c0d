// Package identity is who is who on the wire: keys, X.509 certificates, the roles that they carry, and the TLS
// configurations made of them. There is one authority per server; agents and operators are known by certificates
// that it issued, and the authority itself by the SHA-256 of its root's public key, its pin.
//
// It does not decide what a role may do, keeps no list of who was let in, and reads no clock: every caller says
// at what time certificates are judged.
package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"time"
)

// How long certificates live. None outlives the authority that issued it.
const (
	AuthorityLifetime = 10 * 365 * 24 * time.Hour // of its root
	IssuerLifetime    = 2 * 365 * 24 * time.Hour  // of its intermediate
	ServerLifetime    = 180 * 24 * time.Hour
	OperatorLifetime  = 365 * 24 * time.Hour
	AgentLifetime     = 90 * 24 * time.Hour

	// RenewalGrace is how long after its end an agent's certificate still gets its holder the next one, and nothing else.
	RenewalGrace = 30 * 24 * time.Hour
)

// RenewalTime returns when an agent renews its certificate: at two thirds of its life.
func RenewalTime(cert *x509.Certificate) time.Time { return cert.NotAfter.Add(-AgentLifetime / 3) }

// Ended reports whether a certificate has ended at the instant at. TLS lets in agents whose certificate ended less than
// [RenewalGrace] ago, and a connection may outlive the certificate that it was opened with.
func Ended(cert *x509.Certificate, at time.Time) bool { return at.After(cert.NotAfter) }

// NewKey makes an ECDSA key on P-256, the only kind of key that certificates have here.
func NewKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make an ECDSA key: %w", err)
	}
	return key, nil
}

// KeyHash returns the SHA-256 of a certificate's SubjectPublicKeyInfo in DER (RFC 7469 §2.4). It names the key
// whatever certificates it gets; of an authority it is the pin, which people see as 64 hexadecimal characters.
func KeyHash(cert *x509.Certificate) [sha256.Size]byte {
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}

// JudgedTime is the time at which an agent judges certificates: the server's time as last heard, carried on by the
// time elapsed since then (a monotonic difference; 0 where it was heard by an earlier process), or the date of the
// program's build where that is later. It is never zero, for which TLS would take this machine's clock, nor before
// certificates begin. The machine's own clock has no part in it, so a wrong one stops nothing.
func JudgedTime(lastServerTime, buildDate time.Time, elapsed time.Duration) time.Time {
	if !lastServerTime.IsZero() {
		lastServerTime = lastServerTime.Add(max(0, elapsed))
	}
	judged := notBefore
	for _, at := range []time.Time{lastServerTime, buildDate} {
		if at.After(judged) {
			judged = at
		}
	}
	return judged
}
