package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// ServerCredentials is the server's side: TLS 1.3, a client's certificate is asked for and, where one is given, has to be of
// one of the authority's roots. A caller without one has no role; whoever enrolls has none yet. An agent's certificate is
// taken until [RenewalGrace] after its end, for the sake of renewal; see [Ended]. certificate and now are called at
// each handshake, concurrently. Sessions are not resumed, so each connection proves its key.
func (a *Authority) ServerCredentials(certificate func() tls.Certificate, now func() time.Time) credentials.TransportCredentials {
	return &serverCredentials{credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			cert := certificate()
			return &cert, nil
		},
		// The client's certificate is verified below: crypto/tls would not take one that has ended.
		ClientAuth: tls.RequestClientCert,
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return nil
			}
			return a.verifyCaller(state.PeerCertificates, now())
		},
		SessionTicketsDisabled: true,
		Time:                   now,
	})}
}

// verifyCaller judges what a caller presented, its own certificate first.
func (a *Authority) verifyCaller(presented []*x509.Certificate, at time.Time) error {
	cert := presented[0]
	if role, err := RoleOf(cert); err == nil && role.Kind == KindAgent && Ended(cert, at) && !at.After(cert.NotAfter.Add(RenewalGrace)) {
		at = cert.NotAfter
	}
	_, err := cert.Verify(x509.VerifyOptions{
		Roots:         anchors(a.roots),
		Intermediates: pool(slices.Concat(presented[1:], a.issuers, a.cross)),
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

// serverCredentials tells of the callers whose certificates were verified.
type serverCredentials struct {
	credentials.TransportCredentials
}

// ServerHandshake lets a caller in. What it presented was verified meanwhile, and is therefore said to be as if crypto/tls
// had done so.
func (c *serverCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, auth, err := c.TransportCredentials.ServerHandshake(conn)
	if err != nil {
		return nil, nil, err
	}
	info, ok := auth.(credentials.TLSInfo)
	if !ok {
		return nil, nil, errors.Join(errors.New("the connection is not one of TLS"), conn.Close())
	}
	if presented := info.State.PeerCertificates; len(presented) > 0 {
		info.State.VerifiedChains = [][]*x509.Certificate{presented}
	}
	return conn, info, nil
}

// Clone returns a copy.
func (c *serverCredentials) Clone() credentials.TransportCredentials {
	return &serverCredentials{c.TransportCredentials.Clone()}
}

// ErrNoCertificate says that a caller showed no certificate.
var ErrNoCertificate = errors.New("the caller showed no certificate")

// CertificateFromContext returns the verified certificate of the caller of a gRPC method, or [ErrNoCertificate]. It may
// have ended; see [Ended].
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
