package command

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// checked is what a service answers to check for one destination.
func checked(name string, lines ...*backupv1.CheckLine) (steps []*backupv1.CheckResponse) {
	report := &backupv1.CheckReport{CheckTime: timestamppb.New(time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC)), Verdict: backupv1.CheckVerdict_CHECK_VERDICT_GOOD, Lines: lines}
	for _, line := range lines {
		steps = append(steps, &backupv1.CheckResponse{Destination: name, Line: line})
		report.Verdict = max(report.GetVerdict(), line.GetVerdict())
	}
	return append(steps, &backupv1.CheckResponse{Destination: name, Report: report})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	line := func(subject string, verdict backupv1.CheckVerdict, message string) *backupv1.CheckLine {
		return &backupv1.CheckLine{Subject: subject, Verdict: verdict, Message: message}
	}
	good := line("place", backupv1.CheckVerdict_CHECK_VERDICT_GOOD, "/mnt/nas answers")
	unknown := line("quota", backupv1.CheckVerdict_CHECK_VERDICT_UNKNOWN, "not told")
	warning := line("certificate", backupv1.CheckVerdict_CHECK_VERDICT_WARNING, "it ends")
	bad := line("read-back", backupv1.CheckVerdict_CHECK_VERDICT_BAD, "it differs")
	for name, test := range map[string]struct {
		steps  []*backupv1.CheckResponse
		status int
		words  []string
	}{
		"good":    {checked("nas", good), statusGood, []string{"nas:\n  good     place        /mnt/nas answers\nnas: all is good\n"}},
		"unknown": {checked("nas", good, unknown), statusGood, []string{"  unknown  quota        not told\n", "nothing is bad"}},
		"warning": {checked("nas", good, unknown, warning), statusGood, []string{"  WARNING  certificate  it ends\n", "look at the warnings"}},
		"bad":     {checked("nas", bad), statusBad, []string{"  BAD      read-back    it differs\n", "would not take recordings"}},
		"one of two is bad": {append(checked("nas", bad), checked("tape", good)...), statusBad,
			[]string{"nas: it would not", "\n\ntape:\n  good ", "tape: all is good\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, running := range []bool{true, false} {
				m := newMachine(t)
				m.agent.checks = test.steps
				if running {
					m.serve()
				}
				status, stdout, stderr := m.run("check")
				if status != test.status || stderr != "" {
					t.Errorf("status %d, %q, want %d", status, stderr, test.status)
				}
				for _, words := range test.words {
					if !strings.Contains(stdout, words) {
						t.Errorf("%q is missing in\n%s", words, stdout)
					}
				}
				reports := 0
				for _, step := range test.steps {
					if step.GetReport() != nil {
						reports++
					}
				}
				status, stdout, _ = m.run("check", "nas", "--output", "json")
				if status != test.status || strings.Count(stdout, `"check_time": "2026-03-01T23:00:00Z"`) != reports {
					t.Errorf("as JSON: status %d, want %d reports\n%s", status, reports, stdout)
				}
				if m.agent.opened > 0 == running || m.agent.online {
					t.Errorf("running %v: the agent was opened %d times, online %v", running, m.agent.opened, m.agent.online)
				}
			}
		})
	}
	m := newMachine(t)
	m.agent.fails = status.Error(codes.Unavailable, "it ends")
	if status, _, stderr := m.run("check"); status != statusBad || stderr != "wolkvox-agent: it ends\n" {
		t.Errorf("a check that breaks off: status %d, %q", status, stderr)
	}
}

// TestStatusShowsCheck shows what somebody should look at, and not what cannot be known.
func TestStatusShowsCheck(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.agent.status.Destinations[0].Check = &backupv1.CheckReport{CheckTime: timestamppb.Now(), Verdict: backupv1.CheckVerdict_CHECK_VERDICT_BAD, Lines: []*backupv1.CheckLine{
		{Subject: "write", Verdict: backupv1.CheckVerdict_CHECK_VERDICT_BAD, Message: "the destination is full"},
		{Subject: "clock", Verdict: backupv1.CheckVerdict_CHECK_VERDICT_WARNING, Message: "10 minutes ahead"},
		{Subject: "quota", Verdict: backupv1.CheckVerdict_CHECK_VERDICT_UNKNOWN, Message: "not told"},
	}}
	status, stdout, _ := m.run("status")
	if status != statusBad || !strings.Contains(stdout, "! write (BAD): the destination is full\n! clock (WARNING): 10 minutes ahead\n") || strings.Contains(stdout, "not told") {
		t.Errorf("status %d\n%s", status, stdout)
	}
}
