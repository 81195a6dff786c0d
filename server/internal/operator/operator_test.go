package operator

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/credential"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line, wants string
	}{
		{"", "wants a command"},
		{"bogus", `no command "bogus"`},
		{"tenant", "wants a command"},
		{"tenant bogus", `no command "bogus"`},
		{"tenant add", "wants NAME"},
		{"tenant add a b --time-zone UTC", `does not take "b"`},
		{"tenant add a", "--time-zone"},
		{"tenant add a --time-zone UTC --window 22", "--window"},
		{"tenant add a --time-zone UTC --window 22:00-25:00", "25:00"},
		{"tenant add a --time-zone UTC --cut-off noon", "noon"},
		{"tenant add a --time-zone UTC --quiet soon", "soon"},
		{"tenant add a --time-zone UTC --bytes-per-second fast", "fast"},
		{"tenant list --outputt json", "outputt"},
		{"tenant list --output xml", "human or json"},
		{"source add a b", "--directory"},
		{"destination add a b", "--kind"},
		{"destination add a b --kind tape", "tape"},
		{"nights acme", "wants DESTINATION"},
		{"items acme nas --state lost", "lost"},
		{"items acme nas --manifest -1", "--manifest"},
		{"ledger export acme nas", "--to"},
		{"extend --outage 3", "--fleet"},
		{"extend acme --fleet --outage 3", "--fleet"},
		{"extend acme", "--outage"},
		{"extend acme --outage 3 --by 4h", "--outage"},
		{"extend acme --by -4h", "later"},
		{"extend acme --by 4h --because so", "so"},
		{"extend acme nas zero --by 4h", "zero"},
		{"extend acme nas 0 --by 4h", "count from 1"},
		{"extend acme nas 1 2 --by 4h", `does not take "2"`},
		{"destination retire acme", "wants NAME"},
		{"tenant retire", "wants NAME"},
		{"ledger rekey acme", "wants DESTINATION"},
		{"credential export", "--to"},
		{"credential create maria", "--to"},
		{"credential issue client acme ana", "--to"},
		{"credential issue", "wants client, auditor, platform or operator"},
		{"credential issue client acme", "give TENANT and NAME"},
		{"credential issue operator acme maria --to x", "no tenant"},
		{"credential issue agent acme ana --to x", `"agent" is no role`},
		{"credential revoke", "wants SERIAL"},
		{"agents revoke acme", "wants AGENT"},
		{"admin-log acme nas", `does not take "nas"`},
		{"admin-log --after -1", "--after"},
		{"tenant list --reason LONG --credential CREDENTIAL", "501 bytes"},
		{"tenant list --server nowhere --credential CREDENTIAL", "HOST:PORT"},
	} {
		t.Run(c.line, func(t *testing.T) {
			t.Parallel()
			line := strings.ReplaceAll(c.line, "LONG", strings.Repeat("x", 501))
			if strings.Contains(line, "CREDENTIAL") {
				line = strings.ReplaceAll(line, "CREDENTIAL", serve(t, &fakeAdmin{}).credential)
			}
			code, out, errs := run{}.do(t, strings.Fields(line)...)
			if code != exitUsage || !strings.Contains(errs, c.wants) || out != "" {
				t.Errorf("status %d, stdout %q, stderr %q, want status 2 and %q", code, out, errs, c.wants)
			}
		})
	}
}

func TestHelpHasExamples(t *testing.T) {
	t.Parallel()
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		if !strings.Contains(c.Example, c.CommandPath()) || c.Short == "" {
			t.Errorf("%s: no example of it, or no short help", c.CommandPath())
		}
		for _, below := range c.Commands() {
			check(below)
		}
	}
	check((&app{}).root())
	code, out, errs := run{}.do(t, "items", "--help")
	if code != exitOK || !strings.Contains(out, "Examples:") || errs != "" {
		t.Errorf("items --help: status %d, stdout %q, stderr %q", code, out, errs)
	}
}

func TestVerifyFailsOnProblems(t *testing.T) {
	t.Parallel()
	admin := &fakeAdmin{report: &backupv1.LedgerReport{Origin: "o", Position: &backupv1.LogPosition{}, Counts: &backupv1.StateCounts{}}}
	r := serve(t, admin)
	if code, out, errs := r.do(t, "ledger", "verify", "acme", "nas"); code != exitOK || !strings.Contains(out, "none") {
		t.Errorf("without problems: status %d, stdout %q, stderr %q", code, out, errs)
	}
	admin.report.Problems = []string{"entry 3: it is damaged"}
	for _, output := range []string{"human", "json"} {
		code, out, errs := r.do(t, "ledger", "verify", "acme", "nas", "--output", output)
		if code != exitFailed || !strings.Contains(out, "entry 3") || !strings.Contains(errs, "1 problems") {
			t.Errorf("with a problem, %s: status %d, stdout %q, stderr %q", output, code, out, errs)
		}
	}
}

func TestExportWritesTheFiles(t *testing.T) {
	t.Parallel()
	piece := func(path, data string) *backupv1.ExportedFile {
		return &backupv1.ExportedFile{Path: path, Data: []byte(data)}
	}
	r := serve(t, &fakeAdmin{files: []*backupv1.ExportedFile{
		piece("ledger.txt", "one"), piece("ledger.txt", "two"), piece("manifests/1.txt", ""), piece("manifests/2.txt", "lines"), piece("head.txt", "head"),
	}})
	dir := filepath.Join(t.TempDir(), "a", "b")
	if code, _, errs := r.do(t, "ledger", "export", "acme", "nas", "--to", dir); code != exitOK {
		t.Fatalf("status %d, stderr %q", code, errs)
	}
	got := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		got[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"ledger.txt": "onetwo", "manifests/1.txt": "", "manifests/2.txt": "lines", "head.txt": "head"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("exported (-want +got):\n%s", diff)
	}
	if code, _, errs := r.do(t, "ledger", "export", "acme", "nas", "--to", dir); code != exitFailed || !strings.Contains(errs, "not empty") {
		t.Errorf("again into the same directory: status %d, stderr %q", code, errs)
	}
}

func TestExportKeepsToItsDirectory(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"../escaped", "/tmp/escaped", "a/../../escaped", "", "."} {
		r := serve(t, &fakeAdmin{files: []*backupv1.ExportedFile{{Path: path, Data: []byte("x")}}})
		parent := t.TempDir()
		code, _, errs := r.do(t, "ledger", "export", "acme", "nas", "--to", filepath.Join(parent, "to"))
		if code != exitFailed {
			t.Errorf("a file %q: status %d, stderr %q, want 1", path, code, errs)
		}
		if _, err := os.Lstat(filepath.Join(parent, "escaped")); err == nil {
			t.Errorf("a file %q was written outside", path)
		}
	}
}

func TestExportReportsACutStream(t *testing.T) {
	t.Parallel()
	r := serve(t, &fakeAdmin{files: []*backupv1.ExportedFile{{Path: "ledger.txt"}}, err: status.Error(codes.Internal, "the disk is gone")})
	code, out, errs := r.do(t, "ledger", "export", "acme", "nas", "--to", filepath.Join(t.TempDir(), "to"))
	if code != exitFailed || out != "" || !strings.Contains(errs, "the disk is gone") {
		t.Errorf("status %d, stdout %q, stderr %q", code, out, errs)
	}
}

func TestItems(t *testing.T) {
	t.Parallel()
	item := &backupv1.Item{
		Manifest: 1, Index: 5, Path: "a\u202eb.gsm", SourcePath: []byte("a\xffb.gsm"), Sha256: []byte{0xab, 0xcd}, SizeBytes: 1 << 40,
		Kind: backupv1.MediaKind_MEDIA_KIND_GSM, State: backupv1.ItemState_ITEM_STATE_PENDING,
		RecordedTime: &timestamppb.Timestamp{Seconds: 1}, LastFault: &backupv1.Fault{Class: "other", Message: "x\x1b[2Jy\n"},
	}
	erased := &backupv1.Item{Manifest: 1, Index: 6, State: backupv1.ItemState_ITEM_STATE_FORGOTTEN}
	r := serve(t, &fakeAdmin{items: [][]*backupv1.Item{{item}, {erased}}})
	code, out, errs := r.do(t, "items", "acme", "nas", "--output", "json")
	want := `{"manifest":1,"index":5,"path":"a` + "\u202e" + `b.gsm","source_path":"a` + "\ufffd" + `b.gsm","sha256":"abcd","size_bytes":1099511627776,"kind":"gsm",` +
		`"recorded_time":"1970-01-01T00:00:01Z","interaction":"","state":"pending","last_fault":` +
		`{"class":"other","party":"","code":"","message":"x\u001b[2Jy\n","last_time":null,"attempt_count":0}}` + "\n" +
		`{"manifest":1,"index":6,"path":"","source_path":"","sha256":"","size_bytes":0,"kind":"unspecified","recorded_time":null,"interaction":"","state":"forgotten","last_fault":null}` + "\n"
	if code != exitOK || out != want {
		t.Errorf("status %d, stderr %q, stdout (-want +got):\n%s", code, errs, cmp.Diff(want, out))
	}
	code, out, _ = r.do(t, "items", "acme", "nas")
	if code != exitOK || strings.ContainsAny(out, "\x1b\u202e") || strings.Count(out, "\n") != 3 || !strings.Contains(out, "(erased)") {
		t.Errorf("for people: status %d, stdout %q, want three lines without control characters", code, out)
	}
}

func TestUnrecorded(t *testing.T) {
	t.Parallel()
	r := serve(t, &fakeAdmin{unrecorded: [][]*backupv1.UnrecordedInteraction{
		{{Interaction: "a\x1b", Reason: "waiting", RecordedTime: &timestamppb.Timestamp{Seconds: 1}, SourcePaths: []string{"main/a.gsm", "main/b.gsm"}}},
		{{Interaction: "b", Reason: "failed", Manifest: 7}},
	}})
	code, out, errs := r.do(t, "unrecorded", "acme", "nas", "2026-11-22", "--output", "json")
	want := `{"interaction":"a\u001b","reason":"waiting","manifest":0,"recorded_time":"1970-01-01T00:00:01Z","source_paths":["main/a.gsm","main/b.gsm"]}` + "\n" +
		`{"interaction":"b","reason":"failed","manifest":7,"recorded_time":null,"source_paths":[]}` + "\n"
	if code != exitOK || out != want {
		t.Errorf("status %d, stderr %q, stdout (-want +got):\n%s", code, errs, cmp.Diff(want, out))
	}
	code, out, _ = r.do(t, "unrecorded", "acme", "nas", "2026-11-22")
	if code != exitOK || strings.Contains(out, "\x1b") || strings.Count(out, "\n") != 3 || !strings.Contains(out, "main/a.gsm, main/b.gsm") {
		t.Errorf("for people: status %d, stdout %q, want three lines without control characters", code, out)
	}
	if code, _, _ := r.do(t, "unrecorded", "acme", "nas", "yesterday"); code != exitUsage {
		t.Errorf("what is no date ends with status %d", code)
	}
}

// The keys of JSON are relied upon by scripts: they are there whatever is set.
func TestJSONKeysDoNotDependOnValues(t *testing.T) {
	t.Parallel()
	free := int64(7)
	full := &backupv1.AgentSummary{
		Name: "a", HeardTime: timestamppb.Now(), ClockOffset: durationpb.New(-1500 * time.Millisecond),
		Destinations: []*backupv1.DestinationReport{{Origin: "o", FreeBytes: &free, Health: backupv1.DestinationHealth_DESTINATION_HEALTH_IDLE}},
	}
	keys := func(m *backupv1.AgentSummary) map[string]any {
		text, err := wire.CompactJSON(m)
		if err != nil {
			t.Fatal(err)
		}
		var object map[string]any
		if err := json.Unmarshal(text, &object); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return object
	}
	filled, empty := keys(full), keys(&backupv1.AgentSummary{})
	if diff := cmp.Diff(slices.Sorted(maps.Keys(filled)), slices.Sorted(maps.Keys(empty))); diff != "" {
		t.Errorf("keys of a full and of an empty message (-full +empty):\n%s", diff)
	}
	if filled["clock_offset"] != -1.5 {
		t.Errorf("clock_offset = %v, want -1.5", filled["clock_offset"])
	}
	report := filled["destinations"].([]any)[0].(map[string]any)
	if report["health"] != "idle" || report["free_bytes"] != 7.0 || report["free_inode_count"] != nil {
		t.Errorf("the report is %v", report)
	}
	if list, ok := empty["destinations"].([]any); !ok || len(list) != 0 {
		t.Errorf("no destinations are %v, want an empty list", empty["destinations"])
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := serve(t, &fakeAdmin{
		agents: []*backupv1.AgentSummary{
			{Name: "never-heard"},
			{Name: "heard", HeardTime: timestamppb.Now(), ClockOffset: durationpb.New(time.Second), Destinations: []*backupv1.DestinationReport{
				{Origin: "wolkvox.com/backup/acme/nas/0123456789abcdef0123456789abcdef", Message: "the disk is full",
					Circuit: &backupv1.Circuit{Fault: &backupv1.Fault{Class: "capacity"}}},
				{Origin: "wolkvox.com/backup/acme/tape/0123456789abcdef0123456789abcdef", Health: backupv1.DestinationHealth_DESTINATION_HEALTH_IDLE,
					Pause: &backupv1.Pause{UntilTime: timestamppb.New(time.Date(2026, 12, 1, 5, 0, 0, 0, time.UTC)), Reason: "the NAS moves"}},
				{Origin: "wolkvox.com/backup/acme/disk/0123456789abcdef0123456789abcdef", Health: backupv1.DestinationHealth_DESTINATION_HEALTH_IDLE, Pause: &backupv1.Pause{}},
			}},
		},
		nights: []*backupv1.Night{
			{Manifest: 1, Open: true, DeadlineTime: timestamppb.New(now.Add(36 * time.Hour)), LastFault: &backupv1.Fault{Class: "capacity", Party: "client", Message: "no space"}},
			{Manifest: 2, DeadlineTime: timestamppb.New(now.Add(-time.Hour)), SizeBytes: 999950},
			{Manifest: 3, Open: true, DeadlineTime: timestamppb.New(now.Add(-time.Hour))},
		},
	})
	for line, words := range map[string][]string{
		"agents":          {"never", "+1.0s", " nas ", "the disk is full", "(left alone: capacity)", " idle, paused until 2026-12-01 05:00:00Z (the NAS moves) ", " idle, paused "},
		"nights acme nas": {"1.5 days left", "(closed)", "not closed yet", "capacity (client): no space", "1.0 MB"},
	} {
		code, out, errs := r.do(t, strings.Fields(line)...)
		if code != exitOK {
			t.Errorf("%s: status %d, stderr %q", line, code, errs)
		}
		for _, word := range words {
			if !strings.Contains(out, word) {
				t.Errorf("%s: %q is missing in\n%s", line, word, out)
			}
		}
	}
}

func TestErrorsOfTheServer(t *testing.T) {
	t.Parallel()
	r := serve(t, &fakeAdmin{})
	if code, _, errs := r.do(t, "tenant", "list"); code != exitFailed || errs != "wolkvox-server: there is none (NO_TENANT)\n" {
		t.Errorf("an error with a reason: status %d, stderr %q", code, errs)
	}
	if code, _, errs := r.do(t, "tenant", "list", "--server", "127.0.0.1:1"); code != exitFailed || !strings.Contains(errs, "127.0.0.1:1") || !strings.Contains(errs, "is it running") {
		t.Errorf("a server that is not there: status %d, stderr %q", code, errs)
	}
	other := serve(t, &fakeAdmin{})
	c, err := credential.Load(other.credential)
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errs := r.do(t, "tenant", "list", "--server", c.Server); code != exitFailed || !strings.Contains(errs, "certificate") {
		t.Errorf("a server of another authority: status %d, stderr %q", code, errs)
	}
}

func TestCredentialIsFound(t *testing.T) {
	r := serve(t, &fakeAdmin{})
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv(CredentialVariable, "")
	if code, _, errs := (run{}).do(t, "agents"); code != exitUsage || !strings.Contains(errs, CredentialVariable) {
		t.Errorf("without any: status %d, stderr %q", code, errs)
	}
	t.Setenv(CredentialVariable, r.credential)
	if code, _, errs := (run{}).do(t, "agents"); code != exitOK {
		t.Errorf("named by the environment: status %d, stderr %q", code, errs)
	}
	if code, _, errs := (run{credential: "/nowhere/x.pem"}).do(t, "agents"); code != exitFailed || !strings.Contains(errs, "/nowhere/x.pem") {
		t.Errorf("named by the flag, missing: status %d, stderr %q", code, errs)
	}
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	t.Setenv(CredentialVariable, "")
	if err := os.MkdirAll(filepath.Join(dir, "wolkvox"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(r.credential, filepath.Join(dir, "wolkvox", "operator.pem")); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := (run{}).do(t, "agents"); code != exitOK {
		t.Errorf("at the usual place: status %d, stderr %q", code, errs)
	}
}
