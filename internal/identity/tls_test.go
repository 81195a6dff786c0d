package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

var at = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func clock(t time.Time) func() time.Time { return func() time.Time { return t } }

func fixed(cert tls.Certificate) func() tls.Certificate {
	return func() tls.Certificate { return cert }
}

func newAuthority(t *testing.T) *Authority {
	t.Helper()
	a, err := NewAuthority(at)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *Authority) newServer(t *testing.T, hosts ...string) tls.Certificate {
	t.Helper()
	cert, err := a.ServerCertificate(t.TempDir(), hosts, at)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (a *Authority) newAgent(t *testing.T, tenant string) Credential {
	t.Helper()
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.IssueAgent(key.Public(), tenant, agentName, at)
	if err != nil {
		t.Fatal(err)
	}
	credential, err := a.NewCredential(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return credential
}

// handshake connects over loopback. It returns what the client saw, what the server saw, and the role that the
// server took the caller for.
func handshake(t *testing.T, server credentials.TransportCredentials, client *tls.Config) (clientErr, serverErr error, role Role, roleErr error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			serverErr = err
			return
		}
		defer conn.Close()
		accepted, info, err := server.ServerHandshake(conn)
		if err != nil {
			serverErr = err
			return
		}
		ctx := peer.NewContext(context.Background(), &peer.Peer{AuthInfo: info})
		role, roleErr = RoleFromContext(ctx)
		_, serverErr = accepted.Write([]byte("hello"))
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client = client.Clone()
	client.NextProtos = []string{"h2"} // as gRPC wants it
	called := tls.Client(conn, client)
	if clientErr = called.HandshakeContext(t.Context()); clientErr == nil {
		// In TLS 1.3 the server judges the client's certificate after the client's handshake is over.
		_, clientErr = called.Read(make([]byte, 5))
	}
	conn.Close()
	<-done
	return clientErr, serverErr, role, roleErr
}

func TestMutualTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	operator, err := a.NewOperator("first", at)
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"backup.wolkvox.com", "127.0.0.1", "::1"}
	server := a.ServerCredentials(fixed(a.newServer(t, hosts...)), clock(at))
	for _, host := range hosts {
		for _, test := range []struct {
			client *tls.Config
			role   Role
			err    error
		}{
			{ClientConfig(a.newAgent(t, "acme"), host, clock(at)), AgentRole("acme", agentName), nil},
			{ClientConfig(operator, host, clock(at)), OperatorRole("first"), nil},
			{EnrollingConfig(host, a.Pin(), clock(at)), Role{}, ErrNoCertificate},
			{EnrollingConfig(host, a.Pin(), clock(at), operator.Certificate), OperatorRole("first"), nil},
		} {
			clientErr, serverErr, role, roleErr := handshake(t, server, test.client)
			if clientErr != nil || serverErr != nil || role != test.role || !errors.Is(roleErr, test.err) {
				t.Errorf("%s as %v: client %v, server %v, role %v, %v", host, test.role, clientErr, serverErr, role, roleErr)
			}
		}
	}
}

func TestServerRefusesClients(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t), newAuthority(t)
	cert := a.newServer(t, "localhost")
	foreign := other.newAgent(t, "acme")
	foreign.Authority = a.Certificate()
	for what, test := range map[string]struct {
		client *tls.Config
		at     time.Time
	}{
		"of another authority":     {ClientConfig(foreign, "localhost", clock(at)), at},
		"with a certificate ended": {ClientConfig(a.newAgent(t, "acme"), "localhost", clock(at)), at.Add(AgentLifetime + RenewalGrace + time.Second)},
		"with the server's own":    {EnrollingConfig("localhost", a.Pin(), clock(at), cert), at},
		"over TLS 1.2":             {&tls.Config{RootCAs: anchors(a.roots), ServerName: "localhost", MaxVersion: tls.VersionTLS12, Time: clock(at)}, at},
	} {
		clientErr, serverErr, role, _ := handshake(t, a.ServerCredentials(fixed(cert), clock(test.at)), test.client)
		if clientErr == nil || serverErr == nil || role != (Role{}) {
			t.Errorf("a client %s: client %v, server %v, role %v, want both to fail", what, clientErr, serverErr, role)
		}
	}
}

// A certificate that TLS takes is nobody's as long as it carries no role.
func TestAuthorityIsNoCaller(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	own := tls.Certificate{Certificate: [][]byte{a.Issuer().Raw}, PrivateKey: a.key}
	server := a.ServerCredentials(fixed(a.newServer(t, "localhost")), clock(at))
	_, _, role, err := handshake(t, server, EnrollingConfig("localhost", a.Pin(), clock(at), own))
	if role != (Role{}) || !errors.Is(err, ErrRole) {
		t.Errorf("the authority's own certificate has the role %v, %v, want ErrRole", role, err)
	}
}

func TestClientsRefuseServers(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t), newAuthority(t)
	agent := a.newAgent(t, "acme")
	agentAsServer := agent.Certificate
	agentAsServer.Certificate = a.ChainOf(agentAsServer.Leaf)
	bare := a.newServer(t, "localhost")
	bare.Certificate = bare.Certificate[:2]
	forged := other.newServer(t, "localhost")
	forged.Certificate[2] = a.Certificate().Raw
	for what, test := range map[string]struct {
		server tls.Certificate
		at     time.Time
		isPin  bool // whether the enrolling client says that the pin is missing
		agent  bool // whether the enrolled client connects all the same
	}{
		"of another authority":                    {server: other.newServer(t, "localhost"), at: at, isPin: true},
		"that shows the authority but has it not": {server: forged, at: at},
		"that does not show the authority":        {server: bare, at: at, isPin: true, agent: true},
		"that is an agent":                        {server: agentAsServer, at: at},
		"of another name":                         {server: a.newServer(t, "backup.wolkvox.com", "127.0.0.1"), at: at},
		"whose certificate ended":                 {server: a.newServer(t, "localhost"), at: at.Add(ServerLifetime + time.Second)},
	} {
		server := a.ServerCredentials(fixed(test.server), clock(at))
		clientErr, _, _, _ := handshake(t, server, EnrollingConfig("localhost", a.Pin(), clock(test.at)))
		pin, isPin := errors.AsType[*PinError](clientErr)
		if clientErr == nil || isPin != test.isPin {
			t.Errorf("enrolling with a server %s: %v, want an error, of the pin: %t", what, clientErr, test.isPin)
		}
		if isPin && !strings.Contains(pin.Issuer, "wolkvox backup intermediate authority") {
			t.Errorf("enrolling with a server %s: the issuer is %q", what, pin.Issuer)
		}
		if clientErr, _, _, _ = handshake(t, server, ClientConfig(agent, "localhost", clock(test.at))); (clientErr == nil) != test.agent {
			t.Errorf("an agent with a server %s: %v, want it to connect: %t", what, clientErr, test.agent)
		}
	}
}

// Whoever stands between cannot pass on an authority's certificate that it changed.
func TestFindAuthorityWantsItsOwnSignature(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t), newAuthority(t)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "forged"}, NotBefore: notBefore, NotAfter: at.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	forged, err := sign(template, other.Certificate(), a.rootKey.Public(), other.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	if KeyHash(forged) != a.Pin() {
		t.Fatal("the forged certificate has not the authority's key")
	}
	if cert, err := FindAuthority([]*x509.Certificate{forged, other.roots[0]}, a.Pin()); err == nil {
		t.Errorf("FindAuthority = %v, want an error", cert.Subject)
	}
	if cert, err := FindAuthority([]*x509.Certificate{forged, other.roots[0], a.roots[0]}, a.Pin()); err != nil || cert != a.roots[0] {
		t.Errorf("FindAuthority = %v, %v, want the authority", cert, err)
	}
}

func TestJudgedTime(t *testing.T) {
	t.Parallel()
	build := at
	for _, test := range []struct {
		heard   time.Time
		elapsed time.Duration
		want    time.Time
	}{
		{time.Time{}, 0, build},
		{time.Time{}, time.Hour, build},
		{build.Add(-time.Hour), 0, build},
		{build.Add(-time.Hour), 2 * time.Hour, build.Add(time.Hour)},
		{build.Add(time.Hour), 0, build.Add(time.Hour)},
		{build.Add(time.Hour), -time.Hour, build.Add(time.Hour)},
	} {
		if got := JudgedTime(test.heard, build, test.elapsed); !got.Equal(test.want) {
			t.Errorf("JudgedTime(%v, build, %v) = %v, want %v", test.heard, test.elapsed, got, test.want)
		}
	}
	// TLS would take this machine's clock for the zero time.
	if got := JudgedTime(time.Time{}, time.Time{}, 0); !got.Equal(notBefore) {
		t.Errorf("a program that knows neither the server's time nor its own date judges at %v, want %v", got, notBefore)
	}
}

// An agent that was built, or last heard its server, before a certificate was issued must still take it.
func TestCertificatesHoldForWhoIsBehind(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	server := a.ServerCredentials(fixed(a.newServer(t, "localhost")), clock(at))
	client := EnrollingConfig("localhost", a.Pin(), clock(at.AddDate(-3, 0, 0)))
	if clientErr, serverErr, _, _ := handshake(t, server, client); clientErr != nil || serverErr != nil {
		t.Errorf("a client three years behind: %v, server %v", clientErr, serverErr)
	}
}
