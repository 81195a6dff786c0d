package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// TestIsWell is the table of the exit status of status: 0 only where a person has nothing to do.
func TestIsWell(t *testing.T) {
	t.Parallel()
	type edit func(*backupv1.GetStatusResponse, *backupv1.DestinationStatus)
	for name, test := range map[string]struct {
		edit edit
		well bool
	}{
		"nothing to do":   {func(*backupv1.GetStatusResponse, *backupv1.DestinationStatus) {}, true},
		"no destinations": {func(s *backupv1.GetStatusResponse, _ *backupv1.DestinationStatus) { s.Destinations = nil }, true},
		"pending":         {func(_ *backupv1.GetStatusResponse, d *backupv1.DestinationStatus) { d.Counts.PendingCount = 5 }, true},
		"running":         {func(_ *backupv1.GetStatusResponse, d *backupv1.DestinationStatus) { d.Running = true }, true},
		"receipts wait":   {func(_ *backupv1.GetStatusResponse, d *backupv1.DestinationStatus) { d.OutboxCount = 5 }, true},
		"expired":         {func(_ *backupv1.GetStatusResponse, d *backupv1.DestinationStatus) { d.Counts.ExpiredCount = 1 }, false},
		"fault": {func(_ *backupv1.GetStatusResponse, d *backupv1.DestinationStatus) {
			d.LastFault = &backupv1.Fault{Code: "ENOSPC"}
		}, false},
		"problem": {func(_ *backupv1.GetStatusResponse, d *backupv1.DestinationStatus) { d.Problem = "not mounted" }, false},
		"checked": {func(_ *backupv1.GetStatusResponse, d *backupv1.DestinationStatus) {
			d.Check = &backupv1.CheckReport{Verdict: backupv1.CheckVerdict_CHECK_VERDICT_WARNING}
		}, true},
		"red": {func(_ *backupv1.GetStatusResponse, d *backupv1.DestinationStatus) {
			d.Check = &backupv1.CheckReport{Verdict: backupv1.CheckVerdict_CHECK_VERDICT_BAD}
		}, false},
		"no server": {func(s *backupv1.GetStatusResponse, _ *backupv1.DestinationStatus) { s.ServerProblem = "no route" }, false},
		"the second of two": {func(s *backupv1.GetStatusResponse, _ *backupv1.DestinationStatus) {
			s.Destinations = append(s.Destinations, &backupv1.DestinationStatus{Name: "tape", Problem: "no tape"})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			test.edit(m.agent.status, m.agent.status.Destinations[0])
			if got := isWell(m.agent.status); got != test.well {
				t.Errorf("isWell = %v, want %v", got, test.well)
			}
			want := statusGood
			if !test.well {
				want = statusBad
			}
			for _, output := range []string{"human", "json"} {
				if status, stdout, stderr := m.run("status", "--output", output); status != want || stdout == "" || stderr != "" {
					t.Errorf("status as %s: %d, want %d (%q, %q)", output, status, want, stdout, stderr)
				}
			}
		})
	}
}

func TestStatusText(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	now := time.Now()
	d := m.agent.status.Destinations[0]
	d.Nights = append(d.Nights,
		&backupv1.Night{Manifest: 2, Night: "2026-03-02", ItemCount: 7, Open: true, DeadlineTime: timestamppb.New(now.Add(9*24*time.Hour + time.Hour)), Counts: &backupv1.StateCounts{PendingCount: 7}},
		&backupv1.Night{Manifest: 3, Night: "2026-03-03", ItemCount: 2, Counts: &backupv1.StateCounts{ExpiredCount: 2}})
	d.Problem, d.OutboxCount = "7 recordings are still pending", 2
	d.LastFault = &backupv1.Fault{Class: "capacity", Party: "client", Code: "ENOSPC", Message: "the destination is full"}
	d.Circuit = &backupv1.Circuit{Fault: d.LastFault, SinceTime: timestamppb.New(time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)),
		NextTryTime: timestamppb.New(time.Date(2026, 3, 4, 12, 10, 0, 0, time.UTC))}
	m.agent.status.ServerProblem = "no route"
	_, stdout, _ := m.run("status")
	for _, want := range []string{
		"agent 0123456789abcdef, version v1, server server.example:443\n", "! server: no route\n", "nas: /mnt/nas\n", "! 7 recordings are still pending\n",
		"! last fault (capacity, client, ENOSPC): the destination is full\n", "! left alone since 2026-", "because of capacity (ENOSPC), next try at 2026-", "2026-03-02  2         7           0          7        0        0      9 days\n",
		"2026-03-03  3         2           0          0        2        0      closed\n", "space left: 5.0 GB\n", "receipts that wait for the server: 2\n", "agreed: 4 0102\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("status does not say %q:\n%s", want, stdout)
		}
	}
}

// TestJSON writes valid JSON that is the same every time.
func TestJSON(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.agent.report = &backupv1.LedgerReport{Origin: "o", ItemCount: 4, Position: &backupv1.LogPosition{Size: 4, Root: []byte{1}}}
	m.agent.steps = []*backupv1.RunResponse{{Destination: "nas", WantedCount: 9}, {Destination: "nas", ConfirmedCount: 9, Result: &backupv1.RunResult{Complete: true}}}
	m.agent.files = []*backupv1.ExportedFile{{Path: "ledger.txt", Data: []byte("x")}, {Path: "head.txt", Data: []byte("y")}}
	out := filepath.Join(m.dir, "out")
	for name, test := range map[string]struct {
		args []string
		want map[string]any
	}{
		"status":  {[]string{"status"}, map[string]any{"agent": "0123456789abcdef", "server_problem": ""}},
		"init":    {[]string{"destination", "init", "nas"}, map[string]any{"location": "/mnt/nas", "marker_id": "abc", "already_initialized": false}},
		"verify":  {[]string{"ledger", "verify"}, map[string]any{"origin": "o", "item_count": 4.0}},
		"run":     {[]string{"run", "--once"}, map[string]any{"destination": "nas", "confirmed_count": 9.0}},
		"export":  {[]string{"ledger", "export", "--to", out}, map[string]any{"directory": out, "file_count": 2.0}},
		"version": {[]string{"version"}, nil},
	} {
		var first string
		for round := range 3 {
			check(t, os.RemoveAll(out))
			status, stdout, stderr := m.run(append(test.args, "--output", "json")...)
			var got map[string]any
			if err := json.Unmarshal([]byte(stdout), &got); err != nil || status != 0 || stderr != "" {
				t.Fatalf("%s: status %d, %v, %q:\n%s", name, status, err, stderr, stdout)
			}
			for key, want := range test.want {
				if got[key] != want {
					t.Errorf("%s: %s is %v, want %v", name, key, got[key], want)
				}
			}
			if round > 0 && stdout != first {
				t.Errorf("%s differs from time to time:\n%s\n%s", name, first, stdout)
			}
			first = stdout
		}
	}
}

func TestRunOnce(t *testing.T) {
	t.Parallel()
	good := &backupv1.RunResponse{Destination: "nas", ConfirmedCount: 5, FetchedBytes: 12345, Result: &backupv1.RunResult{Complete: true, Agreed: &backupv1.LogPosition{Size: 7, Root: []byte{0xab}}}}
	bad := &backupv1.RunResponse{Destination: "tape", FaultCount: 2, Result: &backupv1.RunResult{Message: "2 recordings are still pending"}}
	for name, test := range map[string]struct {
		steps  []*backupv1.RunResponse
		fails  error
		status int
		stdout string
		stderr string
	}{
		"complete":   {[]*backupv1.RunResponse{{Destination: "nas"}, good}, nil, statusGood, "nas: 5 recordings confirmed, 12.3 kB fetched; agreed head 7 ab\n", ""},
		"incomplete": {[]*backupv1.RunResponse{good, bad}, nil, statusBad, "tape: not complete: 2 recordings are still pending\n", ""},
		"faults":     {[]*backupv1.RunResponse{bad}, nil, statusBad, "tape: 0 recordings confirmed, 0 B fetched, 2 faults; agreed head none yet\n", ""},
		"broken":     {[]*backupv1.RunResponse{{Destination: "nas"}}, status.Error(codes.Internal, "the agent broke"), statusBad, "", "wolkvox-agent: the agent broke\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.agent.steps, m.agent.fails = test.steps, test.fails
			status, stdout, stderr := m.run("run", "--once")
			if status != test.status || !strings.Contains(stdout, test.stdout) || stderr != test.stderr {
				t.Errorf("run --once: status %d, %q, %q", status, stdout, stderr)
			}
		})
	}
}

// TestProgressBar ends its line whatever comes, and never waits for what does not come.
func TestProgressBar(t *testing.T) {
	t.Parallel()
	result := &backupv1.RunResult{}
	for name, steps := range map[string][]*backupv1.RunResponse{
		"nothing":          nil,
		"nothing to fetch": {{Destination: "nas"}, {Destination: "nas", Result: result}},
		"result at once":   {{Destination: "nas", Result: result}},
		"broken off":       {{Destination: "nas", WantedBytes: 100, FetchedBytes: 50}},
		"more than wanted": {{Destination: "nas", WantedBytes: 100, FetchedBytes: 500}, {Destination: "nas", WantedBytes: 100, FetchedBytes: 500, Result: result}},
		"two": {{Destination: "nas", WantedBytes: 100}, {Destination: "nas", WantedBytes: 100, FetchedBytes: 100, Result: result},
			{Destination: "tape", WantedBytes: 5}, {Destination: "tape", WantedBytes: 5, FetchedBytes: 5, Result: result}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			bar := &progressBar{output: &out}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for _, step := range steps {
					bar.step(step)
				}
				bar.end()
				bar.end()
			}()
			select {
			case <-ended:
			case <-time.After(time.Minute):
				t.Fatal("it waits for ever")
			}
			if bar.bar != nil {
				t.Error("a bar is left")
			}
		})
	}
	none := &progressBar{}
	none.step(&backupv1.RunResponse{Result: result})
	none.end()
}

func TestVerify(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.agent.report = &backupv1.LedgerReport{Origin: "o", ItemCount: 4, Counts: &backupv1.StateCounts{ConfirmedCount: 3, WithdrawnCount: 1}}
	if status, stdout, _ := m.run("ledger", "verify"); status != statusGood || !strings.Contains(stdout, "4 announced = 3 confirmed") || !strings.Contains(stdout, "as it should be") {
		t.Errorf("verify: status %d, %q", status, stdout)
	}
	m.agent.report.Problems = []string{"entry 3 has a wrong signature"}
	for _, output := range []string{"human", "json"} {
		if status, stdout, _ := m.run("ledger", "verify", "--output", output); status != statusBad || !strings.Contains(stdout, "entry 3 has a wrong signature") || strings.Contains(stdout, "should be") {
			t.Errorf("verify of a broken ledger as %s: status %d, %q", output, status, stdout)
		}
	}
	m.agent.status.Destinations = append(m.agent.status.Destinations, &backupv1.DestinationStatus{Name: "tape"})
	if status, _, stderr := m.run("ledger", "verify"); status != statusUsage || !strings.Contains(stderr, "--destination") {
		t.Errorf("verify with two destinations: status %d, %q", status, stderr)
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.agent.files = []*backupv1.ExportedFile{
		{Path: "ledger.txt", Data: []byte("one ")}, {Path: "ledger.txt", Data: []byte("two")}, {Path: "manifests/1.txt"}, {Path: "head.txt", Data: []byte("head")},
	}
	out := filepath.Join(m.dir, "a", "b")
	if status, stdout, stderr := m.run("ledger", "export", "--to", out); status != 0 || stdout != "3 files in "+out+"\n" {
		t.Fatalf("export: status %d, %q, %q", status, stdout, stderr)
	}
	for name, want := range map[string]string{"ledger.txt": "one two", "manifests/1.txt": "", "head.txt": "head"} {
		if text, err := os.ReadFile(filepath.Join(out, filepath.FromSlash(name))); err != nil || string(text) != want {
			t.Errorf("%s holds %q, %v, want %q", name, text, err, want)
		}
	}
	// What is there is left alone.
	if status, _, stderr := m.run("ledger", "export", "--to", out); status != statusBad || !strings.Contains(stderr, "not empty") {
		t.Errorf("export again: status %d, %q", status, stderr)
	}
	if text, err := os.ReadFile(filepath.Join(out, "ledger.txt")); err != nil || string(text) != "one two" {
		t.Errorf("afterwards ledger.txt holds %q, %v", text, err)
	}
	if status, _, stderr := m.run("ledger", "export", "--to", filepath.Join(out, "ledger.txt")); status != statusBad || !strings.Contains(stderr, "ledger.txt") {
		t.Errorf("export onto a file: status %d, %q", status, stderr)
	}
	if status, _, stderr := m.run("ledger", "export", "--to", t.TempDir()); status != 0 {
		t.Errorf("export into an empty directory: status %d, %q", status, stderr)
	}
	for _, name := range []string{"../outside", "/outside", "a/../../outside", ""} {
		m.agent.files = []*backupv1.ExportedFile{{Path: name, Data: []byte("x")}}
		if status, _, stderr := m.run("ledger", "export", "--to", filepath.Join(t.TempDir(), "x")); status != statusBad {
			t.Errorf("export of %q: status %d, %q", name, status, stderr)
		}
	}
	m.agent.fails = status.Error(codes.Internal, "the disk broke")
	if status, stdout, stderr := m.run("ledger", "export", "--to", filepath.Join(t.TempDir(), "x")); status != statusBad || stdout != "" {
		t.Errorf("export that breaks off: status %d, %q, %q", status, stdout, stderr)
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1500000: "1.5 MB", 2e12: "2.0 TB", 3e15: "3.0 PB", 9e18: "9000.0 PB"} {
		if got := bytesText(n); got != want {
			t.Errorf("bytesText(%d) = %q, want %q", n, got, want)
		}
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for left, want := range map[time.Duration]string{-time.Second: "passed", 0: "0 h", 47 * time.Hour: "47 h", 48 * time.Hour: "2 days", 359 * time.Hour: "14 days"} {
		if got := daysLeft(timestamppb.New(now.Add(left)), now); got != want {
			t.Errorf("daysLeft(%v) = %q, want %q", left, got, want)
		}
	}
	if got := daysLeft(nil, now); got != "-" {
		t.Errorf("daysLeft(nil) = %q", got)
	}
}

// TestEnroll gets the join string from where the command line says it is, and shows what is wrong with it.
func TestEnroll(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	file := filepath.Join(m.dir, "join.txt")
	check(t, os.WriteFile(file, []byte("  wvx1.mistyped\n"), 0o600))
	m.stdin = "wvx1.mistyped\n"
	var said []string
	for _, args := range [][]string{{"wvx1.mistyped"}, {"-"}, {"--join-file", file}} {
		status, stdout, stderr := m.run(append([]string{"enroll"}, args...)...)
		if status != statusBad || stdout != "" || stderr == "" || strings.Contains(stderr, "mistyped\n") {
			t.Errorf("enroll %v: status %d, %q, %q", args, status, stdout, stderr)
		}
		said = append(said, stderr)
	}
	if said[0] != said[1] || said[0] != said[2] {
		t.Errorf("the same join string is refused as %q", said)
	}
	if _, err := os.Stat(filepath.Join(m.dir, "state")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a mistyped join string left a state directory: %v", err)
	}
	if status, _, stderr := m.run("enroll", "--join-file", filepath.Join(m.dir, "nothing")); status != statusBad || !strings.Contains(stderr, "join string") {
		t.Errorf("without the file: status %d, %q", status, stderr)
	}
}
