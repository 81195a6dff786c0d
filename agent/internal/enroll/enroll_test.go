package enroll

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/join"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
)

func TestEnrollAndLoad(t *testing.T) {
	t.Parallel()
	s, dir := newServer(t), filepath.Join(t.TempDir(), "state", "agent")
	if _, err := Load(dir); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("Load before = %v, want ErrNotEnrolled", err)
	}
	j := s.newJoin(t, "acme/nas")
	o := options(t, dir, j)
	o.Join = "\n  " + o.Join + " \n"
	result, err := Enroll(t.Context(), o)
	check(t, err)
	id, err := Load(dir)
	check(t, err)
	d, ok := id.Destinations["nas"]
	if !ok || len(id.Destinations) != 1 || d.Origin != j.Origin || d.ServerKey != serverKey(t, j.Origin) {
		t.Fatalf("Destinations = %v", id.Destinations)
	}
	if d.Key.Verifier().Name() != j.Origin.AgentKeyName(id.Agent) {
		t.Errorf("the key is named %s", d.Key.Verifier().Name())
	}
	want := Result{id.Agent, j.Origin, d.ServerKey.Fingerprint(), d.Key.Verifier().Fingerprint(), at.Add(identity.AgentLifetime), ""}
	if diff := cmp.Diff(want, result); diff != "" || ledger.CheckAgentName(id.Agent) != nil {
		t.Errorf("Result (-want +got):\n%s", diff)
	}
	if id.Tenant != "acme" || id.Server != s.address || !id.Credential.Authority.Equal(s.authority.Certificate()) {
		t.Errorf("tenant %s, server %s", id.Tenant, id.Server)
	}
	m := s.requests[0]
	if m.GetHostName() != "nas" || m.GetAgentVersion() != "1.0" || m.GetPlatform() != "linux/amd64" {
		t.Errorf("the request says %s, %s, %s", m.GetHostName(), m.GetAgentVersion(), m.GetPlatform())
	}
	for path := range contents(t, dir) {
		info, err := os.Stat(path)
		check(t, err)
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		if err == nil && strings.Contains(path, ".tmp-") {
			t.Errorf("%s was left", path)
		}
	}

	// The identity is good for calls to the server.
	config, err := id.TLSConfig(func() time.Time { return at })
	check(t, err)
	conn, err := dial(t.Context(), id.Server, config)
	check(t, err)
	defer conn.Close()
	if _, err = backupv1.NewEnrollmentServiceClient(conn).Enroll(t.Context(), m); err != nil {
		t.Errorf("a call with the identity: %v", err)
	}
	if got := s.roles[len(s.roles)-1]; got != identity.AgentRole("acme", id.Agent) {
		t.Errorf("the server takes the agent for %v", got)
	}
}

func TestAnAgentServesMore(t *testing.T) {
	t.Parallel()
	s, dir := newServer(t), t.TempDir()
	first, err := Enroll(t.Context(), options(t, dir, s.newJoin(t, "acme/nas")))
	check(t, err)
	s.mu.Lock()
	s.at = at.Add(time.Hour)
	s.mu.Unlock()
	second, err := Enroll(t.Context(), options(t, dir, s.newJoin(t, "acme/s3")))
	check(t, err)
	if first.Agent != second.Agent || first.AgentFingerprint == second.AgentFingerprint {
		t.Errorf("first %+v, second %+v: want one agent with two signing keys", first, second)
	}
	id, err := Load(dir)
	check(t, err)
	if len(id.Destinations) != 2 || !id.Credential.Certificate.Leaf.NotAfter.Equal(second.CertificateEnd) {
		t.Errorf("%d destinations, a certificate until %v", len(id.Destinations), id.Credential.Certificate.Leaf.NotAfter)
	}
	// The answer to the first join string is the first certificate, which is not to replace the later one.
	repeated := s.newJoin(t, "acme/nas")
	repeated.Secret = join.Secret(s.requests[0].GetSecret())
	again, err := Enroll(t.Context(), options(t, dir, repeated))
	check(t, err)
	if again.CertificateEnd != second.CertificateEnd || again.AgentFingerprint != first.AgentFingerprint {
		t.Errorf("again %+v, want the certificate of %+v and the key of %+v", again, second, first)
	}
	// No certificate is shown: one that ended would not even be talked to.
	if s.roles[1] != (identity.Role{}) {
		t.Errorf("the server saw %v, want no certificate", s.roles)
	}
}

func TestWhatWasCutOffGoesOnWithTheSameKeys(t *testing.T) {
	t.Parallel()
	s, dir := newServer(t), t.TempDir()
	o := options(t, dir, s.newJoin(t, "acme/nas"))
	s.lose = true
	if _, err := Enroll(t.Context(), o); err == nil {
		t.Fatal("the answer was to get lost")
	}
	if _, err := Load(dir); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("Load in between = %v, want ErrNotEnrolled", err)
	}
	before := contents(t, dir)
	result, err := Enroll(t.Context(), o)
	check(t, err)
	if len(s.answers) != 1 || len(s.requests) != 2 {
		t.Errorf("%d secrets were redeemed by %d requests", len(s.answers), len(s.requests))
	}
	key := filepath.Join(dir, identityDir, identity.KeyFile)
	if after := contents(t, dir); before[key] == "" || before[key] != after[key] {
		t.Error("the second attempt made another key")
	}

	// The machine stops after each of the files that the answer leads to.
	written := []string{
		filepath.Join(dir, identityDir, credentialFile),
		destinationPath(filepath.Join(dir, identityDir), "nas"),
	}
	for cut := range written {
		for _, path := range written[cut:] {
			check(t, restore(path, before[path]))
		}
		again, err := Enroll(t.Context(), o)
		check(t, err)
		id, err := Load(dir)
		check(t, err)
		if diff := cmp.Diff(result, again); diff != "" || len(id.Destinations) != 1 {
			t.Errorf("cut before %s (-first +again):\n%s", written[cut], diff)
		}
	}
}

func restore(path, data string) error {
	if data == "" {
		return os.Remove(path)
	}
	return os.WriteFile(path, []byte(data), 0o600)
}

func TestAfterARefusalAnotherTenantMayBeTried(t *testing.T) {
	t.Parallel()
	s, dir := newServer(t), t.TempDir()
	s.refuse = wire.Error(codes.Unauthenticated, wire.ReasonTokenInvalid, "no")
	if _, err := Enroll(t.Context(), options(t, dir, s.newJoin(t, "acme/nas"))); !errors.Is(err, ErrTokenInvalid) {
		t.Fatalf("Enroll = %v, want ErrTokenInvalid", err)
	}
	s.refuse = nil
	_, err := Enroll(t.Context(), options(t, dir, s.newJoin(t, "other/s3")))
	check(t, err)
	if id, err := Load(dir); err != nil || id.Tenant != "other" || len(id.Destinations) != 1 {
		t.Errorf("Load = %+v, %v, want the other tenant with one destination", id, err)
	}
}

func TestRefusalsAreExplained(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		refuse error
		want   error
		words  []string
	}{
		"used": {wire.Error(codes.Unauthenticated, wire.ReasonTokenInvalid, "x"), ErrTokenInvalid, []string{"once", "acme/nas"}},
		"expired": {wire.Error(codes.Unauthenticated, wire.ReasonTokenExpired, "x"), ErrTokenExpired,
			[]string{"01 Mar 2026 13:00", "acme/nas"}},
		"assigned": {wire.Error(codes.AlreadyExists, wire.ReasonDestinationAssigned, "destination acme/nas is already served by agent a1"),
			ErrAssigned, []string{"agent a1"}},
		"other tenant": {wire.Error(codes.PermissionDenied, wire.ReasonOtherTenant, "tenant x"), ErrOtherTenant, []string{"tenant x"}},
		"try later":    {wire.Error(codes.Unavailable, wire.ReasonTryLater, "stays good"), nil, []string{"stays good", "127.0.0.1"}},
		"foreign":      {errors.New("surprise"), nil, []string{"127.0.0.1", "surprise"}},
	} {
		s, dir := newServer(t), t.TempDir()
		s.refuse = test.refuse
		_, err := Enroll(t.Context(), options(t, dir, s.newJoin(t, "acme/nas")))
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", what, err, test.want)
			continue
		}
		for _, word := range test.words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %q does not say %q", what, err, word)
			}
		}
	}
}

func TestWrongServersAreExplained(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	other, err := identity.NewAuthority(at)
	check(t, err)
	intercepted, renamed := s.newJoin(t, "acme/nas"), s.newJoin(t, "acme/nas")
	intercepted.Server = s.serve(t, other, []string{"127.0.0.1"})
	renamed.Server = s.serve(t, s.authority, []string{"backup.wolkvox.com"})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	unreachable := s.newJoin(t, "acme/nas")
	unreachable.Server = closed.Addr().String()
	check(t, closed.Close())
	for what, test := range map[string]struct {
		join join.Join
		want error
		word string
	}{
		"intercepted": {intercepted, ErrIntercepted, `issued by "CN=wolkvox backup intermediate authority,O=wolkvox"`},
		"renamed":     {renamed, nil, "backup.wolkvox.com"},
		"unreachable": {unreachable, ErrUnreachable, unreachable.Server},
	} {
		dir := t.TempDir()
		_, err := Enroll(t.Context(), options(t, dir, test.join))
		if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.word) {
			t.Errorf("%s: %v, want %v with %s", what, err, test.want, test.word)
		}
		if _, err := Load(dir); !errors.Is(err, ErrNotEnrolled) {
			t.Errorf("%s: Load = %v, want ErrNotEnrolled", what, err)
		}
	}
	if len(s.requests) != 0 {
		t.Error("a secret was sent to a server that was not checked")
	}
}

func TestTheCallersTimeIsUp(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	o := options(t, t.TempDir(), s.newJoin(t, "acme/nas"))
	ctx, cancel := context.WithCancelCause(t.Context())
	o.Dial = func(_ context.Context, address string, config *tls.Config) (*grpc.ClientConn, error) {
		cancel(errors.New("the person gave up"))
		return dial(ctx, address, config)
	}
	if _, err := Enroll(ctx, o); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "gave up") {
		t.Errorf("Enroll = %v, want ErrUnreachable and why", err)
	}
}

func TestWrongAnswersAreRefused(t *testing.T) {
	t.Parallel()
	other, err := identity.NewAuthority(at)
	check(t, err)
	key, err := identity.NewKey()
	check(t, err)
	for what, change := range map[string]func(*fakeServer, *backupv1.EnrollResponse){
		"no certificates": func(_ *fakeServer, m *backupv1.EnrollResponse) { m.Certificates = nil },
		"no authority":    func(_ *fakeServer, m *backupv1.EnrollResponse) { m.Certificates = m.Certificates[:2] },
		"another authority": func(_ *fakeServer, m *backupv1.EnrollResponse) {
			m.Certificates[2] = other.Certificate().Raw
		},
		"a certificate of another key": func(s *fakeServer, m *backupv1.EnrollResponse) {
			cert, err := s.authority.IssueAgent(key.Public(), "acme", "0123456789abcdef", at)
			check(t, err)
			m.Certificates[0] = cert.Raw
		},
		"only the authority": func(_ *fakeServer, m *backupv1.EnrollResponse) { m.Certificates = m.Certificates[1:] },
		"no certificate":     func(_ *fakeServer, m *backupv1.EnrollResponse) { m.Certificates[0] = []byte("x") },
		"no server key":      func(_ *fakeServer, m *backupv1.EnrollResponse) { m.ServerKey = "" },
		"a key of another log": func(_ *fakeServer, m *backupv1.EnrollResponse) {
			m.ServerKey = string(serverKey(t, ledger.Origin(logPrefix+"acme/s3/"+strings.Repeat("0", 32))))
		},
	} {
		s, dir := newServer(t), t.TempDir()
		s.change = func(m *backupv1.EnrollResponse) { change(s, m) }
		if result, err := Enroll(t.Context(), options(t, dir, s.newJoin(t, "acme/nas"))); err == nil {
			t.Errorf("%s: Enroll = %+v", what, result)
		}
		if _, err := Load(dir); !errors.Is(err, ErrNotEnrolled) {
			t.Errorf("%s: Load = %v, want ErrNotEnrolled", what, err)
		}
	}
}

func TestJoinStringsOfOthersAreRefusedBeforeAsking(t *testing.T) {
	t.Parallel()
	s, dir := newServer(t), t.TempDir()
	_, err := Enroll(t.Context(), options(t, dir, s.newJoin(t, "acme/nas")))
	check(t, err)
	before, asked := contents(t, dir), len(s.requests)

	mistyped := options(t, dir, s.newJoin(t, "acme/s3"))
	mistyped.Join = mistyped.Join[:20] + "x" + mistyped.Join[20:]
	elsewhere := newServer(t).newJoin(t, "acme/s3")
	for what, test := range map[string]struct {
		options Options
		want    error
	}{
		"mistyped":     {mistyped, join.ErrMistyped},
		"other tenant": {options(t, dir, s.newJoin(t, "other/nas")), ErrOtherTenant},
		"other server": {options(t, dir, elsewhere), ErrOtherServer},
	} {
		if _, err := Enroll(t.Context(), test.options); err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", what, err, test.want)
		}
	}
	if diff := cmp.Diff(before, contents(t, dir)); diff != "" || len(s.requests) != asked {
		t.Errorf("%d requests were sent, files changed:\n%s", len(s.requests)-asked, diff)
	}
}

func TestLoadRefusesWhatDoesNotBelongTogether(t *testing.T) {
	t.Parallel()
	s, dir := newServer(t), t.TempDir()
	_, err := Enroll(t.Context(), options(t, dir, s.newJoin(t, "acme/nas")))
	check(t, err)
	agent, nas := filepath.Join(dir, identityDir, agentFile), destinationPath(filepath.Join(dir, identityDir), "nas")
	for what, change := range map[string]func() error{
		"another tenant": func() error { return replace(agent, `"acme"`, `"other"`) },
		"unknown field":  func() error { return replace(agent, `"tenant"`, `"tenants"`) },
		"later schema":   func() error { return replace(agent, `"schema": 1`, `"schema": 2`) },
		"another log":    func() error { return replace(nas, "/acme/nas/", "/acme/s3/") },
		"short seed":     func() error { return replace(nas, `"signing_key_seed": "`, `"signing_key_seed": "AAAA`) },
		"no credential":  func() error { return os.Remove(filepath.Join(dir, identityDir, credentialFile)) },
		"readable":       func() error { return os.Chmod(nas, 0o644) },
	} {
		before := contents(t, dir)
		check(t, change())
		_, err := Load(dir)
		if err == nil && (what != "readable" || runtime.GOOS != "windows") {
			t.Errorf("%s: Load found nothing wrong", what)
		}
		if what == "no credential" && !errors.Is(err, ErrNotEnrolled) {
			t.Errorf("%s: %v", what, err)
		}
		for path, data := range before {
			check(t, os.WriteFile(path, []byte(data), 0o600))
			check(t, os.Chmod(path, 0o600))
		}
		if _, err := Load(dir); err != nil {
			t.Fatalf("%s: put back: %v", what, err)
		}
	}
}

func replace(path, from, to string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !strings.Contains(string(data), from) {
		return errors.New(path + " does not hold " + from)
	}
	return os.WriteFile(path, []byte(strings.ReplaceAll(string(data), from, to)), 0o600)
}
