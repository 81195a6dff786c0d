package identity

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// ClientConfig is the side of an agent or an operator: TLS 1.3 with a server whose certificate the authority issued
// for serverName, a DNS name or an IP address, whichever of the roots that the credential trusts stands behind it. now is called at each handshake, concurrently; an agent passes one
// that returns [JudgedTime].
func ClientConfig(credential Credential, serverName string, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{credential.Certificate},
		RootCAs:      anchors(credential.Roots()),
		ServerName:   serverName,
		Time:         now,
	}
}

// EnrollingConfig is the side of a caller that knows nothing of the authority but its pin: TLS 1.3 with a server
// that presents, after its own certificate, that of the pinned authority, which issued it for serverName. It
// shows the certificates given, of which there may be none. Where no presented certificate has the pin, the
// handshake fails with a [*PinError].
func EnrollingConfig(serverName string, pin [sha256.Size]byte, now func() time.Time, certificates ...tls.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: certificates,
		ServerName:   serverName,
		Time:         now,
		// The chain is verified below, against the authority that the pin singles out.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			return verifyPinned(state.PeerCertificates, serverName, pin, now())
		},
	}
}

// PinError says that a server presented no certificate of the pinned authority.
type PinError struct {
	Issuer string // who issued the certificate that it did present
}

// Error says whose certificate was seen instead.
func (e *PinError) Error() string {
	return fmt.Sprintf("the server's certificate was issued by %q, not by the pinned authority", e.Issuer)
}

func verifyPinned(presented []*x509.Certificate, serverName string, pin [sha256.Size]byte, at time.Time) error {
	if len(presented) == 0 {
		return errors.New("the server presented no certificate")
	}
	authority, err := FindAuthority(presented[1:], pin)
	if err != nil {
		return &PinError{Issuer: presented[0].Issuer.String()}
	}
	_, err = presented[0].Verify(x509.VerifyOptions{
		DNSName:       serverName,
		Roots:         anchors([]*x509.Certificate{authority}),
		Intermediates: pool(presented[1:]),
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return fmt.Errorf("verify the server's certificate: %w", err)
	}
	return nil
}

// FindAuthority returns the certificate of the pinned authority: the one whose key hash is the pin and which that
// key signed, so that whoever passes it on cannot have changed it.
func FindAuthority(certs []*x509.Certificate, pin [sha256.Size]byte) (*x509.Certificate, error) {
	for _, cert := range certs {
		if KeyHash(cert) == pin && cert.CheckSignatureFrom(cert) == nil {
			return cert, nil
		}
	}
	return nil, fmt.Errorf("none of %d certificates is that of the authority pinned as %x", len(certs), pin)
}

// anchors returns a pool of roots. The limit of the path in a root's own certificate is not applied, as RFC 5280, section
// 6.1.1 (d), has it of trust anchors: crypto/x509 does apply it, and counts a root's key that an earlier root certified
// as an intermediate, and the earlier form of the authority allows none.
func anchors(roots []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, root := range roots {
		anchor := *root
		anchor.MaxPathLen, anchor.MaxPathLenZero = -1, false
		p.AddCert(&anchor)
	}
	return p
}

func pool(certs []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, cert := range certs {
		p.AddCert(cert)
	}
	return p
}
