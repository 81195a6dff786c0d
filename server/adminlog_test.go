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
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/server"
	"github.com/wolkvox/backup/server/internal/localact"
	"github.com/wolkvox/backup/server/internal/registry"
)

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
