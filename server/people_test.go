package server_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server"
	"github.com/wolkvox/backup/server/internal/credential"
)

// with runs a command with another credential than the first operator's.
func (f *fixture) with(t *testing.T, path string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return f.do(t, append(args, "--credential", path)...)
}

func TestCredentialsOfPeople(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	f.must(t, "tenant add acme --time-zone UTC")
	f.must(t, "tenant add globex --time-zone UTC")
	f.must(t, "destination add acme nas --kind s3")
	f.must(t, "destination add globex nas --kind s3")
	ana, ben := f.path("client-acme-ana.pem"), f.path("auditor-acme-ben.pem")
	f.issue(t, "client acme ana")
	f.issue(t, "auditor acme ben")
	f.issue(t, "operator maria")
	if info, err := os.Stat(ana); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the credential file: %v, %v", info, err)
	}
	for _, c := range []struct {
		path, line string
		code       int
		wants      string // in what is written
	}{
		{ana, "destination list", 0, "acme"}, // what names no tenant is about the own one
		{ana, "agents", 0, "TENANT"},
		{ana, "nights acme nas", 0, "MANIFEST"},
		{ana, "ledger verify acme nas", 0, "none"},
		{ben, "ledger verify acme nas", 0, "none"},
		{ben, "admin-log", 0, "CreateDestination"},
		{ben, "admin-log acme", 0, "CreateDestination"},
		{ana, "admin-log", 1, "wolkvox://role/client/acme/ana may not call ReadAdminLog, which is for operators, the tenant's auditors (NOT_ALLOWED)"},
		{ana, "tenant list", 1, "(NOT_ALLOWED)"},
		{ana, "run acme nas", 1, "which is for operators (NOT_ALLOWED)"},
		{ana, "destination list --tenant globex", 1, "(OTHER_TENANT)"},
		{ben, "nights globex nas", 1, "(OTHER_TENANT)"},
		{ben, "admin-log nowhere", 1, "(OTHER_TENANT)"},
		{ben, "credential issue client acme eva --to " + f.path("eva.pem"), 1, "(NOT_ALLOWED)"},
		{f.path("operator-maria.pem"), "tenant list", 0, "globex"},
		{f.path("state", "operator.pem"), "admin-log nowhere", 1, "(NO_TENANT)"},
		{f.path("state", "operator.pem"), "credential list --tenant nowhere", 1, "(NO_TENANT)"},
		{f.path("state", "operator.pem"), "credential issue client nowhere eva --to " + f.path("eva.pem"), 1, "(NO_TENANT)"},
		{f.path("state", "operator.pem"), "credential issue client acme Eva --to " + f.path("eva.pem"), 1, "(BAD_NAME)"},
		{f.path("state", "operator.pem"), "credential issue client acme ana --to " + f.path("eva.pem"), 1, "(CREDENTIAL_EXISTS)"},
		{f.path("state", "operator.pem"), "credential issue client acme eva --to " + ana, 1, "is there already"},
		{f.path("state", "operator.pem"), "credential revoke 12ab --reason x", 1, "(NO_CREDENTIAL)"},
		{f.path("state", "operator.pem"), "credential revoke 12ab", 1, "(REASON_WANTED)"},
		{f.path("state", "operator.pem"), "agents revoke acme 0123456789abcdef --reason x", 1, "(NO_AGENT)"},
		{f.path("state", "operator.pem"), "agents revoke acme 0123456789abcdef", 1, "(REASON_WANTED)"},
	} {
		code, out, errs := f.with(t, c.path, strings.Fields(c.line)...)
		if code != c.code || !strings.Contains(out+errs, c.wants) {
			t.Errorf("%s with %s: status %d, %q%q, want %d, %q", c.line, filepath.Base(c.path), code, out, errs, c.code, c.wants)
		}
		if strings.Contains(out, "globex") && c.path != f.path("operator-maria.pem") {
			t.Errorf("%s with %s shows another tenant: %q", c.line, filepath.Base(c.path), out)
		}
	}
	if _, err := os.Stat(f.path("eva.pem")); err == nil {
		t.Error("a credential that was refused was written")
	}

	var names []string
	for i := range 4 {
		c := at(t, f.must(t, "credential list"), "credentials", i)
		names = append(names, at(t, c, "kind").(string)+" "+at(t, c, "name").(string)+" by "+at(t, c, "issued_by").(string))
	}
	const first = "wolkvox://role/operator/admin"
	if want := []string{"auditor ben by " + first, "client ana by " + first, "operator admin by local", "operator maria by " + first}; !slices.Equal(names, want) {
		t.Errorf("credential list = %q, want %q", names, want)
	}
}

// What is revoked is refused at once, on an open connection and on an open stream, and still after a restart.
func TestRevocation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	f.must(t, "tenant add acme --time-zone UTC")
	f.must(t, "destination add acme nas --kind s3")
	enrolled, origin := f.enroll(t, "acme", "nas")
	role, err := identity.RoleOf(enrolled.Certificate.Leaf)
	if err != nil {
		t.Fatal(err)
	}
	watch, err := backupv1.NewLedgerServiceClient(f.as(t, enrolled)).WatchLedger(t.Context(), &backupv1.WatchLedgerRequest{
		Origin: string(origin), ProcessId: make([]byte, 16), Position: &backupv1.LogPosition{},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // opened, and the log so far
		if _, err := watch.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	client := f.issue(t, "client acme ana")
	nights := backupv1.NewAdminServiceClient(f.as(t, client.Credential))
	ask := &backupv1.ListNightsRequest{Tenant: "acme", Destination: "nas"}
	if _, err := nights.ListNights(t.Context(), ask); err != nil {
		t.Fatal(err)
	}

	f.must(t, "agents revoke acme "+role.Name+" --reason stolen")
	if _, err := watch.Recv(); wire.Reason(err) != wire.ReasonRevoked {
		t.Errorf("the watch of the agent ended with %v, want REVOKED", err)
	}
	serial := identity.Serial(client.Certificate.Leaf)
	f.must(t, "credential revoke "+serial+" --reason left")
	if _, err := nights.ListNights(t.Context(), ask); wire.Reason(err) != wire.ReasonRevoked {
		t.Errorf("ListNights on the open connection = %v, want REVOKED", err)
	}
	f.stop()
	f.serve(t)
	if _, err := backupv1.NewAdminServiceClient(f.as(t, client.Credential)).ListNights(t.Context(), ask); wire.Reason(err) != wire.ReasonRevoked {
		t.Errorf("ListNights after a restart = %v, want REVOKED", err)
	}
	_, err = backupv1.NewHeartbeatServiceClient(f.as(t, enrolled)).Heartbeat(t.Context(), &backupv1.HeartbeatRequest{})
	if wire.Reason(err) != wire.ReasonRevoked {
		t.Errorf("Heartbeat after a restart = %v, want REVOKED", err)
	}
	if at(t, f.must(t, "agents"), "agents", 0, "revoke_time") == nil {
		t.Error("the list of agents does not say that it was revoked")
	}
	if at(t, f.must(t, "credential list --tenant acme"), "credentials", 0, "revoke_time") == nil {
		t.Error("the list of credentials does not say that it was revoked")
	}
	f.issue(t, "client acme ana-2") // the name of the revoked is free too
	f.must(t, "credential issue client acme ana --to "+f.path("again.pem"))
}

// What is made on the server's machine while the server runs, or does not, is known to it and can be revoked.
func TestLocalCredentials(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	create := func(name string) {
		t.Helper()
		if code, _, errs := f.do(t, "credential", "create", name, "--config", f.path("server.yaml"), "--to", f.path(name+".pem")); code != 0 {
			t.Fatalf("credential create %s: %q", name, errs)
		}
	}
	create("before")
	f.serve(t)
	create("while")
	// What was made in between counts, whatever is asked first.
	if code, _, errs := f.do(t, "credential", "issue", "operator", "while", "--to", f.path("second.pem")); code != 1 || !strings.Contains(errs, "(CREDENTIAL_EXISTS)") {
		t.Errorf("a second operator of that name: status %d, %q", code, errs)
	}
	create("unseen")
	unseen, err := credential.Load(f.path("unseen.pem"))
	if err != nil {
		t.Fatal(err)
	}
	f.must(t, "credential revoke "+identity.Serial(unseen.Certificate.Leaf)+" --reason test")
	for _, name := range []string{"before", "while"} {
		code, out, errs := f.with(t, f.path(name+".pem"), "tenant", "list")
		if code != 0 {
			t.Errorf("%s: status %d, %q%q", name, code, out, errs)
		}
	}
	serials := map[string]string{}
	for i := range 4 {
		c := at(t, f.must(t, "credential list"), "credentials", i)
		serials[at(t, c, "name").(string)] = at(t, c, "serial").(string)
	}
	for _, name := range []string{"before", "while"} {
		f.must(t, "credential revoke "+serials[name]+" --reason test")
		if code, _, errs := f.with(t, f.path(name+".pem"), "tenant", "list"); code != 1 || !strings.Contains(errs, "(REVOKED)") {
			t.Errorf("%s: status %d, %q", name, code, errs)
		}
	}
	if left, err := os.ReadDir(f.path("state", "acts")); err != nil || len(left) != 0 {
		t.Errorf("acts that were taken in are left: %v, %v", left, err)
	}

	// One of an earlier version is known once it was seen.
	earlier, err := server.NewCredential(f.load(t), "earlier", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	earlier.Server = f.address
	if err := earlier.Save(f.path("earlier.pem")); err != nil {
		t.Fatal(err)
	}
	serial := identity.Serial(earlier.Certificate.Leaf)
	if code, _, errs := f.with(t, f.path("earlier.pem"), "tenant", "list"); code != 0 {
		t.Errorf("earlier: status %d, %q", code, errs)
	}
	if c := f.must(t, "credential revoke "+serial+" --reason test"); at(t, c, "issued_by") != "unknown" || at(t, c, "name") != "earlier" {
		t.Errorf("the credential of an earlier version is %v", c)
	}
	if code, _, errs := f.with(t, f.path("earlier.pem"), "tenant", "list"); code != 1 || !strings.Contains(errs, "(REVOKED)") {
		t.Errorf("earlier: status %d, %q", code, errs)
	}

	// A file that could not be written makes no credential.
	if code, _, errs := f.do(t, "credential", "create", "lost", "--config", f.path("server.yaml"), "--to", f.path("nowhere", "lost.pem")); code != 1 {
		t.Errorf("credential create into no directory: status %d, %q", code, errs)
	}
	if list, _ := f.must(t, "credential list")["credentials"].([]any); len(list) != 5 {
		t.Errorf("%d credentials, want 5", len(list))
	}
}
