package server_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/identity/identitytest"
	"github.com/wolkvox/backup/internal/join"
	"github.com/wolkvox/backup/internal/wire"
)

// beat calls the server as an agent.
func (f *fixture) beat(t *testing.T, c identity.Credential) error {
	t.Helper()
	_, err := backupv1.NewHeartbeatServiceClient(f.as(t, c)).Heartbeat(t.Context(), &backupv1.HeartbeatRequest{})
	return err
}

// renew is what an agent holds after renewal.
func (f *fixture) renew(t *testing.T, c identity.Credential) identity.Credential {
	t.Helper()
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	res, err := backupv1.NewEnrollmentServiceClient(f.as(t, c)).RenewCertificate(t.Context(), &backupv1.RenewCertificateRequest{
		CertificateRequest: certificateRequest(t, key, c.Certificate.Leaf.Subject.CommonName),
	})
	if err != nil {
		t.Fatal(err)
	}
	sent, err := identity.ParseCertificates(res.GetCertificates())
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := c.Renewed(sent, key, res.GetServerTime().AsTime())
	if err != nil {
		t.Fatal(err)
	}
	return renewed
}

// authority runs a command of the authority.
func (f *fixture) authority(t *testing.T, line string) map[string]any {
	t.Helper()
	return f.must(t, "authority "+line+" --config "+f.path("server.yaml"))
}

// TestAuthorityOverYears takes a server with an enrolled agent through all that a person does to the authority: the root
// goes away, the intermediate and then the root are rotated. The agent and the first operator go on throughout.
func TestAuthorityOverYears(t *testing.T) {
	t.Parallel()
	for what, earlier := range map[string]bool{"from the first version on": true, "from this version on": false} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			f := &fixture{dir: t.TempDir()}
			f.configure(t, "")
			if earlier {
				if err := os.MkdirAll(f.path("state", "identity"), 0o700); err != nil {
					t.Fatal(err)
				}
				identitytest.SaveSelfIssued(t, f.path("state", "identity"), time.Now())
			}
			if code, _, errs := f.do(t, "init", "--config", f.path("server.yaml")); code != 0 {
				t.Fatalf("init: status %d, stderr %q", code, errs)
			}
			f.serve(t)
			f.must(t, "tenant add acme --time-zone UTC")
			f.must(t, "destination add acme nas --kind rsync")
			f.must(t, "destination add acme tape --kind rsync")
			f.must(t, "destination add acme cloud --kind rsync")
			agent, _ := f.enroll(t, "acme", "nas")
			waiting, err := join.Parse(f.must(t, "token create acme tape")["join"].(string))
			if err != nil {
				t.Fatal(err)
			}
			first := f.authority(t, "show")["pin"]

			restart := func() {
				t.Helper()
				f.stop()
				f.serve(t)
				f.must(t, "tenant list")
				if err := f.beat(t, agent); err != nil {
					t.Fatalf("the agent after the restart: %v", err)
				}
			}
			away := filepath.Join(t.TempDir(), "root.key")
			if earlier {
				if code, _, errs := f.do(t, "authority", "export-root", "--to", away, "--config", f.path("server.yaml")); code != 1 || !strings.Contains(errs, "authority rotate") {
					t.Errorf("export-root: status %d, stderr %q, want the remedy", code, errs)
				}
				if pin := f.authority(t, "rotate")["pin"]; pin == first {
					t.Error("the root of the earlier form issued an intermediate")
				}
				restart()
			}
			f.authority(t, "export-root --to "+away)
			restart()
			if code, _, errs := f.do(t, "authority", "rotate", "--config", f.path("server.yaml")); code != 1 || !strings.Contains(errs, "--root-key") {
				t.Errorf("rotate without the root's key: status %d, stderr %q, want the remedy", code, errs)
			}
			f.authority(t, "rotate --root-key "+away)
			restart()
			before := f.authority(t, "show")["pin"]
			rotated := f.authority(t, "rotate-root --root-key "+away)
			if rotated["pin"] == before || rotated["older_root_expire_time"] == nil {
				t.Errorf("rotate-root: %v", rotated)
			}
			restart()

			renewed := f.renew(t, agent)
			if err := f.beat(t, agent); err != nil {
				t.Errorf("the agent before it shows the next certificate: %v", err)
			}
			if err := f.beat(t, renewed); err != nil {
				t.Errorf("the agent with the next certificate: %v", err)
			}
			if err := f.beat(t, agent); wire.Reason(err) != wire.ReasonRevoked || status.Code(err) != codes.PermissionDenied {
				t.Errorf("the agent with the certificate before: %v, want it refused", err)
			}
			authority, err := identity.LoadAuthority(f.path("state", "identity"))
			if err != nil {
				t.Fatal(err)
			}
			if !renewed.Authority.Equal(authority.Certificate()) {
				t.Error("the agent does not know the server by the new root")
			}
			if other, _ := f.enroll(t, "acme", "cloud"); !other.Authority.Equal(authority.Certificate()) {
				t.Error("a new join string pins an earlier root")
			}
			// A join string of before still finds its root.
			config := identity.EnrollingConfig("127.0.0.1", waiting.Pin, time.Now)
			if _, err := backupv1.NewEnrollmentServiceClient(f.dial(t, config)).Enroll(t.Context(), &backupv1.EnrollRequest{}); wire.Reason(err) != wire.ReasonTokenInvalid {
				t.Errorf("a call that pins the first root: %v, want it answered", err)
			}
		})
	}
}

// The certificate that a server shows is renewed while it runs; see also certificate_test.go.
func TestServerShowsItsChain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	config := identity.ClientConfig(f.credential(t).Credential, "127.0.0.1", time.Now)
	config.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", f.address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := len(conn.ConnectionState().PeerCertificates); got != 3 {
		t.Errorf("the server shows %d certificates, want its own, the intermediate's and the root's", got)
	}
}
