package identity

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// ServerConfig is the server's side: TLS 1.3, a client's certificate is asked for and, where one is given, has to
// be the authority's. A caller without one has no role; whoever enrolls has none yet. now is called at each
// handshake, concurrently. Sessions are not resumed, so each connection proves its key.
func ServerConfig(cert tls.Certificate, authority *x509.Certificate, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{cert},
		ClientAuth:             tls.VerifyClientCertIfGiven,
		ClientCAs:              pool(authority),
		SessionTicketsDisabled: true,
		Time:                   now,
	}
}

// ClientConfig is the side of an agent or an operator: TLS 1.3 with a server whose certificate the authority issued
// for serverName, a DNS name or an IP address. now is called at each handshake, concurrently; an agent passes one
// that returns [JudgedTime].
func ClientConfig(credential Credential, serverName string, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{credential.Certificate},
		RootCAs:      pool(credential.Authority),
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
		DNSName:     serverName,
		Roots:       pool(authority),
		CurrentTime: at,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
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

// ErrNoCertificate says that a caller showed no certificate.
var ErrNoCertificate = errors.New("the caller showed no certificate")

// CertificateFromContext returns the verified certificate of the caller of a gRPC method, or [ErrNoCertificate].
func CertificateFromContext(ctx context.Context) (*x509.Certificate, error) {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return nil, ErrNoCertificate
	}
	info, ok := caller.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return nil, ErrNoCertificate
	}
	return info.State.VerifiedChains[0][0], nil
}

// RoleFromContext returns the role of the caller of a gRPC method. Errors are [ErrNoCertificate], or wrap [ErrRole].
func RoleFromContext(ctx context.Context) (Role, error) {
	cert, err := CertificateFromContext(ctx)
	if err != nil {
		return Role{}, err
	}
	return RoleOf(cert)
}

func pool(authority *x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(authority)
	return p
}
