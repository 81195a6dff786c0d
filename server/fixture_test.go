package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/join"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server"
	"github.com/wolkvox/backup/server/internal/config"
	"github.com/wolkvox/backup/server/internal/credential"
	"github.com/wolkvox/backup/server/internal/operator"
)

// fixture is a server on this machine and its operator's command line.
type fixture struct {
	dir     string // holds server.yaml and state
	address string // HOST:PORT while it serves
	stop    func() // ends serving and waits for the end
}

// newFixture makes a server's configuration and has init work on it.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir()}
	f.configure(t, "")
	if code, _, errs := f.do(t, "init", "--config", f.path("server.yaml")); code != 0 {
		t.Fatalf("init: status %d, stderr %q", code, errs)
	}
	return f
}

// configure writes the configuration, with more lines.
func (f *fixture) configure(t *testing.T, more string) {
	t.Helper()
	text := fmt.Sprintf("state_dir: %s\nlisten: 127.0.0.1:0\nnames: [127.0.0.1, localhost]\nlog_level: error\n%s", f.path("state"), more)
	if err := os.WriteFile(f.path("server.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) path(below ...string) string {
	return filepath.Join(append([]string{f.dir}, below...)...)
}

// serve runs the serve command, with more flags, until the test ends, or stop is called.
func (f *fixture) serve(t *testing.T, flags ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var log bytes.Buffer
	done := make(chan int, 1)
	go func() {
		done <- operator.Main(ctx, program(), append([]string{"serve", "--config", f.path("server.yaml")}, flags...), &log, &log)
	}()
	f.stop = sync.OnceFunc(func() {
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("serve: status %d, log:\n%s", code, &log)
		}
	})
	t.Cleanup(f.stop)
	for {
		text, err := os.ReadFile(f.path("state", "address"))
		if err == nil {
			f.address = strings.TrimSpace(string(text))
			return
		}
		select {
		case code := <-done:
			t.Fatalf("serve ended at once: status %d, log:\n%s", code, &log)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func program() operator.Server {
	return operator.Server{Init: server.Init, CreateCredential: server.CreateCredential, Restore: server.Restore, Run: server.Run}
}

// do runs a command and returns its exit status and what it wrote; with the first operator's credential, unless args name
// another.
func (f *fixture) do(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	if f.address != "" {
		args = append([]string{"--credential", f.path("state", "operator.pem"), "--server", f.address}, args...)
	}
	var out, errs bytes.Buffer
	status = operator.Main(t.Context(), program(), args, &out, &errs)
	return status, out.String(), errs.String()
}

// must runs a command, given as words, that has to be good, and returns its JSON.
func (f *fixture) must(t *testing.T, line string) map[string]any {
	t.Helper()
	code, out, errs := f.do(t, append(strings.Fields(line), "--output", "json")...)
	if code != 0 {
		t.Fatalf("%s: status %d, stderr %q", line, code, errs)
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(out), &object); err != nil {
		t.Fatalf("%s: %v in %q", line, err, out)
	}
	return object
}

// credential returns the first operator's.
func (f *fixture) credential(t *testing.T) credential.Credential {
	t.Helper()
	c, err := credential.Load(f.path("state", "operator.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// issue has a credential made for a role, given as words, and returns it.
func (f *fixture) issue(t *testing.T, role string) credential.Credential {
	t.Helper()
	path := f.path(strings.ReplaceAll(role, " ", "-") + ".pem")
	f.must(t, "credential issue "+role+" --to "+path)
	c, err := credential.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// dial connects with a TLS configuration.
func (f *fixture) dial(t *testing.T, config *tls.Config) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+f.address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// as connects with a credential.
func (f *fixture) as(t *testing.T, c identity.Credential) *grpc.ClientConn {
	t.Helper()
	return f.dial(t, identity.ClientConfig(c, "127.0.0.1", time.Now))
}

// enroll makes an agent of a new name and has it enrolled with a new join string for a destination.
func (f *fixture) enroll(t *testing.T, tenant, destination string) (identity.Credential, ledger.Origin) {
	t.Helper()
	token, err := join.Parse(f.must(t, "token create "+tenant+" "+destination)["join"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if token.Server != f.address {
		t.Errorf("the join string says %q, want %q", token.Server, f.address)
	}
	var random [8]byte
	rand.Read(random[:])
	name := hex.EncodeToString(random[:])
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	conn := f.dial(t, identity.EnrollingConfig("127.0.0.1", token.Pin, time.Now))
	res, err := backupv1.NewEnrollmentServiceClient(conn).Enroll(t.Context(), &backupv1.EnrollRequest{
		Secret: token.Secret[:], CertificateRequest: certificateRequest(t, key, name), AssignRequest: assignRequest(t, token.Origin, name),
		HostName: "nas-1", AgentVersion: "v1", Platform: "linux/amd64",
	})
	if err != nil {
		t.Fatal(err)
	}
	var certs []*x509.Certificate
	for _, der := range res.GetCertificates() {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, cert)
	}
	c, err := identity.NewCredential(certs[0], key, certs[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	return c, token.Origin
}

func certificateRequest(t *testing.T, key *ecdsa.PrivateKey, name string) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func assignRequest(t *testing.T, origin ledger.Origin, name string) []byte {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ledger.NewSigningKey(origin.AgentKeyName(name), private)
	if err != nil {
		t.Fatal(err)
	}
	request, err := ledger.SignRequest(origin, key)
	if err != nil {
		t.Fatal(err)
	}
	return request.Note
}

// recordings makes a directory with files.
func recordings(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, contents := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(contents), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// listenElsewhere takes a port that a server could want.
func listenElsewhere(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// silent is the log of what no test looks at.
func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

// load reads the fixture's configuration.
func (f *fixture) load(t *testing.T) config.Config {
	t.Helper()
	c, err := config.Load(f.path("server.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
