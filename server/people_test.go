package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server"
	"github.com/wolkvox/backup/server/internal/credential"
	"github.com/wolkvox/backup/server/internal/localact"
	"github.com/wolkvox/backup/server/internal/registry"
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

// adminLog returns the lines of the admin log, as JSON.
func (f *fixture) adminLog(t *testing.T, args ...string) []string {
	t.Helper()
	code, out, errs := f.do(t, append([]string{"admin-log", "--output", "json"}, args...)...)
	if code != 0 {
		t.Fatalf("admin-log: status %d, stderr %q", code, errs)
	}
	return slices.Collect(strings.Lines(out))
}

func TestAdminLog(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	f.must(t, "tenant add acme --time-zone UTC")
	if code, _, errs := f.do(t, "tenant", "add", "acme", "--time-zone", "UTC", "--reason", "otra vez, señor"); code != 1 {
		t.Errorf("a second acme: %q", errs)
	}
	f.must(t, "tenant add globex --time-zone UTC")
	f.must(t, "destination add acme nas --kind s3")
	token := f.must(t, "token create acme nas")["join"].(string)
	client := f.issue(t, "client acme ana")
	serial := identity.Serial(client.Certificate.Leaf)
	f.must(t, "credential revoke "+serial+" --reason left")
	f.must(t, "tenant list") // changes nothing
	if code, _, errs := f.do(t, "credential", "create", "luisa", "--config", f.path("server.yaml"), "--to", f.path("luisa.pem"), "--reason", "on duty"); code != 0 {
		t.Fatalf("credential create: %q", errs)
	}

	type entry struct{ Who, Act, Reason, Outcome, Tenant string }
	const admin = "wolkvox://role/operator/admin"
	want := []entry{
		{"local", "init", "", "OK", ""},
		{admin, "CreateTenant", "", "OK", "acme"},
		{admin, "CreateTenant", "otra vez, señor", "TENANT_EXISTS", "acme"},
		{admin, "CreateTenant", "", "OK", "globex"},
		{admin, "CreateDestination", "", "OK", "acme"},
		{admin, "CreateToken", "", "OK", "acme"},
		{admin, "IssueCredential", "", "OK", "acme"},
		{admin, "RevokeCredential", "left", "OK", "acme"},
		{"local", "credential create", "on duty", "OK", ""},
	}
	previous := strings.Repeat("0", 64)
	lines := f.adminLog(t)
	if len(lines) != len(want) {
		t.Fatalf("the log has %d records, want %d:\n%s", len(lines), len(want), strings.Join(lines, ""))
	}
	for i, line := range lines {
		var got struct {
			entry
			Number            int
			Previous, Subject string
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		if got.entry != want[i] || got.Number != i+1 || got.Previous != previous {
			t.Errorf("record %d is %swant %+v after %s", i+1, line, want[i], previous)
		}
		sum := sha256.Sum256([]byte(strings.TrimSuffix(line, "\n"))) // as anyone can
		previous = hex.EncodeToString(sum[:])
		if strings.Contains(line, token) || strings.Contains(line, "certificate_request") {
			t.Errorf("record %d holds a secret: %s", i+1, line)
		}
	}
	if got := f.adminLog(t, "globex"); len(got) != 1 {
		t.Errorf("globex has %q", got)
	}
	if got := f.adminLog(t, "--after", "8"); len(got) != 1 || !strings.Contains(got[0], "luisa") {
		t.Errorf("after 8 comes %q", got)
	}
	f.stop()
	f.serve(t)
	if again := f.adminLog(t); !slices.Equal(again, lines) {
		t.Errorf("after a restart the log is %q", again)
	}
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

func TestAuthorityCommandsAreRecorded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, c := range []struct {
		line string
		code int
	}{
		{"authority show", 0},
		{"authority rotate --reason yearly", 0},
		{"authority export-root --to " + f.path("root.key"), 0},
		{"authority rotate-root", 1}, // the root's key is not there any more
		{"authority rotate-root --root-key " + f.path("root.key") + " --reason moved", 0},
	} {
		if code, _, errs := f.do(t, append(strings.Fields(c.line), "--config", f.path("server.yaml"))...); code != c.code {
			t.Fatalf("%s: status %d, %q", c.line, code, errs)
		}
	}
	f.serve(t)
	var acts []string
	for _, line := range f.adminLog(t) {
		var record struct{ Who, Act, Reason string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		acts = append(acts, record.Who+" "+record.Act+" "+record.Reason)
	}
	if want := []string{"local init ", "local authority rotate yearly", "local authority export-root ", "local authority rotate-root moved"}; !slices.Equal(acts, want) {
		t.Errorf("the admin log has %q, want %q", acts, want)
	}
}

func TestLocalActsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for name, text := range map[string]string{"0-bad.json": "{", "1-other.json": `{"schema":1,"act":{"who":"wolkvox://role/operator/x","act":"y"}}`, "2-more.json": `{"schema":1,"more":1}`,
		"3-time.json": `{"schema":1,"act":{"time":"9999-12-31T23:59:59-01:00","who":"local","act":"y"}}`,
		"4-role.json": `{"schema":1,"act":{"who":"local","act":"y"},"credential":{"serial":"1","issued_by":"local"}}`,
		"5-rest.json": `{"schema":1,"act":{"who":"local","act":"y"}}{}`} {
		if err := os.WriteFile(f.path("state", "acts", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	reg, err := registry.Open(f.path("state", "registry"), silent())
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	taker := &localact.Taker{StateDir: f.path("state"), Registry: reg, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	for range 2 {
		if err := taker.TakeIn(t.Context()); err != nil {
			t.Error(err)
		}
	}
	count, err := reg.VerifyAdminLog()
	if left, _ := os.ReadDir(f.path("state", "acts")); err != nil || count != 1 || len(left) != 6 {
		t.Errorf("%d records, %v, and %d files are left, want the record of init and all that cannot be read", count, err, len(left))
	}
	for _, name := range []string{"0-bad", "1-other", "2-more", "3-time", "4-role", "5-rest"} {
		if !strings.Contains(log.String(), name) {
			t.Errorf("%s is not named in %q", name, log.String())
		}
	}
}

// A log that was tampered with is named when the server starts, which serves nevertheless; what had begun when it was
// killed is in the log.
func TestAdminLogAtTheStart(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	for _, name := range []string{"a", "b", "c"} {
		f.must(t, "tenant add "+name+" --time-zone UTC")
	}
	f.stop()
	reg, err := registry.Open(f.path("state", "registry"), silent())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reg.BeginAct(registry.Act{Time: time.Now(), Who: "wolkvox://role/operator/admin", Act: "RetireTenant", Subject: `{"tenant":"a"}`, Tenant: "a"}); err != nil {
		t.Fatal(err)
	}
	if err := reg.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := badger.Open(badger.DefaultOptions(f.path("state", "registry")).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(txn *badger.Txn) error {
		return txn.Delete(binary.BigEndian.AppendUint64([]byte("l\x00"), 3))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	var log bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, f.load(t), slog.New(slog.NewTextHandler(&log, nil))) }()
	for {
		if text, err := os.ReadFile(f.path("state", "address")); err == nil {
			f.address = strings.TrimSpace(string(text))
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	lines := f.adminLog(t, "a")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "record 3 of the admin log is missing") {
		t.Errorf("the log does not name the record: %s", log.String())
	}
	if last := lines[len(lines)-1]; !strings.Contains(last, `"act":"RetireTenant"`) || !strings.Contains(last, `"outcome":"UNKNOWN"`) {
		t.Errorf("what had begun is not in the admin log, which ends with %s", last)
	}
}
