package server_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/credential"
)

// at returns the value at a path of keys, and of numbers for the elements of lists.
func at(t *testing.T, object any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch key := step.(type) {
		case string:
			m, _ := object.(map[string]any)
			value, ok := m[key]
			if !ok {
				t.Fatalf("no key %q in %v", key, object)
			}
			object = value
		case int:
			list, _ := object.([]any)
			if key >= len(list) {
				t.Fatalf("no element %d in %v", key, object)
			}
			object = list[key]
		}
	}
	return object
}

func TestEmptyServer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	for line, key := range map[string]string{
		"tenant list": "tenants", "source list": "sources", "destination list": "destinations", "agents": "agents",
	} {
		if list, ok := f.must(t, line)[key].([]any); !ok || len(list) != 0 {
			t.Errorf("%s = %v, want an empty list", line, list)
		}
	}
	f.must(t, "tenant add acme --time-zone UTC")
	for line, key := range map[string]string{
		"source list --tenant acme": "sources", "destination list --tenant acme": "destinations", "agents --tenant acme": "agents",
	} {
		if list, ok := f.must(t, line)[key].([]any); !ok || len(list) != 0 {
			t.Errorf("%s = %v, want an empty list", line, list)
		}
	}
	f.must(t, "destination add acme nas --kind azblob")
	if nights := f.must(t, "nights acme nas")["nights"].([]any); len(nights) != 0 {
		t.Errorf("nights of a new destination = %v", nights)
	}
	if code, out, errs := f.do(t, "items", "acme", "nas", "--output", "json"); code != 0 || out != "" {
		t.Errorf("items of a new destination: status %d, stdout %q, stderr %q", code, out, errs)
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	dir := recordings(t, map[string]string{"2026/a.txt": "hello", "2026/b c.txt": "world", "empty.gsm": ""})

	tenant := f.must(t, "tenant add acme --time-zone America/Bogota --window 22:30-05:00 --cut-off 00:15 --quiet 0s --bytes-per-second 20MB")
	for key, want := range map[string]any{"time_zone": "America/Bogota", "start": 81000.0, "end": 18000.0, "bytes_per_second": 20e6} {
		if got := at(t, tenant, "window", key); got != want {
			t.Errorf("the tenant's %s is %v, want %v", key, got, want)
		}
	}
	f.must(t, "source add acme calls --directory "+dir)
	if by := at(t, f.must(t, "source list --tenant acme"), "sources", 0, "problem"); by != "" {
		t.Errorf("the source has the problem %v", by)
	}
	destination := f.must(t, "destination add acme nas --kind rsync")
	if days := destination["window_days"]; days != 15.0 {
		t.Errorf("window_days = %v, want 15", days)
	}
	_, origin := f.enroll(t, "acme", "nas")
	if got := at(t, f.must(t, "agents --tenant acme"), "agents", 0, "host_name"); got != "nas-1" {
		t.Errorf("the agent's host is %v", got)
	}
	listed := at(t, f.must(t, "destination list"), "destinations", 0)
	if at(t, listed, "origin") != string(origin) || at(t, listed, "agent") == "" || at(t, listed, "position", "size") != 2.0 {
		t.Errorf("the destination is %v", listed)
	}

	if n := at(t, f.must(t, "seal acme --wait"), "results", 0, "nights", 0, "item_count"); n != 3.0 {
		t.Errorf("sealed %v items, want 3", n)
	}
	if nights := at(t, f.must(t, "seal acme nas --wait"), "results", 0, "nights"); len(nights.([]any)) != 0 {
		t.Errorf("sealed again: %v", nights)
	}
	night := at(t, f.must(t, "nights acme nas"), "nights", 0)
	if at(t, night, "counts", "pending_count") != 3.0 || at(t, night, "open") != true || at(t, night, "sealed_time") == nil {
		t.Errorf("the night is %v", night)
	}
	items(t, f, "items acme nas", "calls/2026/a.txt", "calls/2026/b c.txt", "calls/empty.gsm")
	items(t, f, "items acme nas --state pending --manifest 1", "calls/2026/a.txt", "calls/2026/b c.txt", "calls/empty.gsm")
	items(t, f, "items acme nas --state confirmed,expired")
	f.must(t, "run acme nas")
	if report := f.must(t, "ledger verify acme nas"); len(report["problems"].([]any)) != 0 || report["item_count"] != 3.0 {
		t.Errorf("ledger verify = %v", report)
	}
	exported(t, f, origin)
	f.must(t, "version")

	f.stop() // all of it is there when the server comes back
	f.serve(t)
	if again := at(t, f.must(t, "nights acme nas"), "nights", 0); at(t, again, "counts", "pending_count") != 3.0 {
		t.Errorf("after a restart the night is %v", again)
	}
}

// items checks the paths that a command lists, in this order.
func items(t *testing.T, f *fixture, line string, want ...string) {
	t.Helper()
	code, out, errs := f.do(t, append(strings.Fields(line), "--output", "json")...)
	if code != 0 {
		t.Fatalf("%s: status %d, stderr %q", line, code, errs)
	}
	var got []string
	for text := range strings.Lines(out) {
		var item struct{ Path, SHA256, State string }
		if err := json.Unmarshal([]byte(text), &item); err != nil || len(item.SHA256) != 64 {
			t.Errorf("%s: %q: %v", line, text, err)
		}
		got = append(got, item.Path)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s = %q, want %q", line, got, want)
	}
}

// exported exports a ledger of three entries on which nothing was agreed, and folds it.
func exported(t *testing.T, f *fixture, origin ledger.Origin) {
	t.Helper()
	to := f.path("exported")
	f.must(t, "ledger export acme nas --to "+to)
	file, err := os.Open(filepath.Join(to, ledger.ExportedLedger))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fold := ledger.NewFold()
	for leaf, err := range ledger.ReadExported(file) {
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := fold.Append(leaf); err != nil {
			t.Fatal(err)
		}
	}
	head, err := ledger.OpenHead([]byte(read(t, filepath.Join(to, ledger.ExportedHead))), fold.ServerKey)
	want := ledger.Head{Origin: origin, Size: 3, Root: fold.Tree.Root()}
	if err != nil || head != want || fold.Size != 3 {
		t.Errorf("the exported head is %v, %v, want %v", head, err, want)
	}
	if lines := read(t, filepath.Join(to, ledger.ExportedManifest(1))); strings.Count(lines, "\n") != 3 {
		t.Errorf("the exported manifest is %q", lines)
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	f.must(t, "tenant add acme --time-zone UTC")
	f.must(t, "tenant add empty --time-zone UTC")
	f.must(t, "source add acme calls --directory "+recordings(t, map[string]string{"a.txt": "a", "volume.id": "1", "nothing": ""}))
	gone := recordings(t, nil)
	f.must(t, "tenant add away --time-zone UTC")
	f.must(t, "source add away calls --directory "+gone)
	f.must(t, "destination add away nas --kind rsync")
	f.must(t, "destination add acme nas --kind rsync")
	f.must(t, "destination add acme used --kind rsync")
	f.enroll(t, "acme", "used")
	if err := os.RemoveAll(gone); err != nil {
		t.Fatal(err)
	}
	dir := recordings(t, map[string]string{"nothing": "", "volume.id": "1"})
	for line, reason := range map[string]string{
		"tenant add acme --time-zone UTC":                            "TENANT_EXISTS",
		"tenant add Acme --time-zone UTC":                            "BAD_NAME",
		"tenant add b --time-zone Mars/Base":                         "BAD_TIME_ZONE",
		"tenant add b --time-zone UTC --quiet 48h":                   "BAD_WINDOW",
		"tenant add b --time-zone UTC --quiet 100ms":                 "BAD_WINDOW",
		"source add nobody calls --directory " + dir:                 "NO_TENANT",
		"source add acme calls --directory " + dir:                   "SOURCE_EXISTS",
		"source add acme Calls --directory " + dir:                   "BAD_NAME",
		"source add acme more --directory relative":                  "BAD_PATH",
		"source add acme more --proof-file ../x --directory " + dir:  "BAD_PATH",
		"source add acme more --directory /nowhere/at/all":           "SOURCE_UNREACHABLE",
		"source add acme more --directory " + dir + "/nothing":       "SOURCE_UNREACHABLE",
		"source add acme more --directory /sys":                      "SOURCE_READ_ONLY", // nobody can write there
		"source add acme more --proof-file none --directory " + dir:  "SOURCE_UNREACHABLE",
		"source add acme m2 --proof-file nothing --directory " + dir: "SOURCE_UNREACHABLE",
		"source list --tenant nobody":                                "NO_TENANT",
		"destination add nobody nas --kind s3":                       "NO_TENANT",
		"destination add acme nas --kind s3":                         "DESTINATION_EXISTS",
		"destination add acme N --kind s3":                           "BAD_NAME",
		"destination list --tenant nobody":                           "NO_TENANT",
		"token create acme none":                                     "NO_DESTINATION",
		"token create acme used":                                     "DESTINATION_ASSIGNED",
		"token create acme nas --lifetime 800h":                      "BAD_REQUEST",
		"token create acme nas --lifetime 0s":                        "BAD_REQUEST",
		"token create acme nas --address elsewhere.example.com:443":  "BAD_REQUEST",
		"token create acme nas --address localhost":                  "BAD_REQUEST",
		"agents --tenant nobody":                                     "NO_TENANT",
		"seal nobody":                                                "NO_TENANT",
		"seal acme none":                                             "NO_DESTINATION",
		"seal empty":                                                 "NO_SOURCE",
		"seal away":                                                  "SOURCE_UNREACHABLE",
		"nights acme none":                                           "NO_DESTINATION",
		"items acme none":                                            "NO_DESTINATION",
		"items acme nas --manifest 1":                                "NO_MANIFEST",
		"run acme none":                                              "NO_DESTINATION",
		"ledger verify acme none":                                    "NO_DESTINATION",
		"ledger export acme none --to " + f.path("none"):             "NO_DESTINATION",
	} {
		code, out, errs := f.do(t, strings.Fields(line)...)
		if code != 1 || out != "" || !strings.Contains(errs, "("+reason+")") {
			t.Errorf("%s: status %d, stdout %q, stderr %q, want status 1 and %s", line, code, out, errs, reason)
		}
	}
	if _, err := os.Stat(f.path("none")); err == nil {
		t.Error("an export that failed made its directory")
	}
	if _, err := os.Stat(filepath.Join(dir, ".wolkvox-source")); err == nil {
		t.Error("a source that was refused has a marker")
	}
	f.must(t, "source add acme proved --proof-file volume.id --directory "+dir)
	if problem := at(t, f.must(t, "source list --tenant away"), "sources", 0, "problem"); problem == "" {
		t.Error("a source that is gone has no problem")
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	maria := f.path("maria.pem")
	if code, _, errs := f.do(t, "credential", "create", "maria", "--config", f.path("server.yaml"), "--to", maria); code != 0 {
		t.Fatalf("credential create: status %d, stderr %q", code, errs)
	}
	if code, _, errs := f.do(t, "credential", "create", "maria", "--config", f.path("server.yaml"), "--to", maria); code != 1 || !strings.Contains(errs, maria) {
		t.Errorf("credential create over a file: status %d, stderr %q", code, errs)
	}
	if code, _, _ := f.do(t, "credential", "create", "No Label", "--config", f.path("server.yaml"), "--to", f.path("x.pem")); code != 1 {
		t.Errorf("credential create with a bad name: status %d", code)
	}
	f.serve(t)
	if code, _, errs := f.do(t, "tenant", "list", "--credential", maria); code != 0 {
		t.Errorf("with the new credential: status %d, stderr %q", code, errs)
	}
	f.must(t, "credential export --to "+f.path("pem"))
	for name, mode := range map[string]fs.FileMode{
		"": 0o700 | fs.ModeDir, credential.AuthorityPart: 0o600, credential.CertificatePart: 0o600, credential.KeyPart: 0o600,
	} {
		info, err := os.Stat(f.path("pem", name))
		if err != nil || info.Mode() != mode {
			t.Errorf("%q: %v, %v, want mode %v", name, info, err, mode)
		}
	}
}
