package wire

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// The verdicts and the protocol's have the same numbers and names, and neither has more than the other.
func TestCheckVerdicts(t *testing.T) {
	t.Parallel()
	for number, name := range backupv1.CheckVerdict_name {
		v, err := ParseCheckVerdict(backupv1.CheckVerdict(number))
		if number == 0 {
			if err == nil {
				t.Errorf("UNSPECIFIED is taken for %v", v)
			}
			continue
		}
		if want := strings.ToLower(strings.TrimPrefix(name, "CHECK_VERDICT_")); err != nil || v.String() != want || int32(v) != number {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
	for _, number := range []int32{-1, int32(len(backupv1.CheckVerdict_name)), 1000} {
		if v, err := ParseCheckVerdict(backupv1.CheckVerdict(number)); err == nil {
			t.Errorf("the unknown verdict %d is taken for %v", number, v)
		}
	}
}

func TestBriefCheckReport(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	long := strings.Repeat("ñ", 400)
	r := backup.CheckReport{At: at, Worst: backup.CheckBad, Lines: []backup.CheckLine{
		{Subject: "place", Verdict: backup.CheckGood, Message: "it answers"},
		{Subject: "quota", Verdict: backup.CheckUnknown, Message: "not told"},
		{Subject: "write", Verdict: backup.CheckBad, Message: long, Class: "capacity", Party: "client", Code: "ENOSPC"},
		{Subject: "clock", Verdict: backup.CheckWarning, Message: "wrong \xff", Class: "clock", Party: "client", Code: long},
	}}
	before := slices.Clone(r.Lines)
	sent, err := proto.Marshal(BriefCheckReport(r)) // which wants UTF-8
	if err != nil {
		t.Fatal(err)
	}
	m := &backupv1.CheckReport{}
	if err := proto.Unmarshal(sent, m); err != nil {
		t.Fatal(err)
	}
	got, err := ParseBriefCheckReport(m)
	want := backup.CheckReport{At: at, Worst: backup.CheckBad, Lines: []backup.CheckLine{
		{Subject: "write", Verdict: backup.CheckBad, Message: strings.Repeat("ñ", 150), Class: "capacity", Party: "client", Code: "ENOSPC"},
		{Subject: "clock", Verdict: backup.CheckWarning, Message: "wrong ?", Class: "clock", Party: "client", Code: strings.Repeat("ñ", 32)},
		{Subject: "quota", Verdict: backup.CheckUnknown, Message: "not told"},
	}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if !slices.Equal(before, r.Lines) {
		t.Error("what was given is changed")
	}
	for i := range 40 {
		r.Lines = append(r.Lines, backup.CheckLine{Subject: "sync", Verdict: backup.CheckUnknown, Message: fmt.Sprint(i)})
	}
	if m := BriefCheckReport(r); len(m.GetLines()) != MaxCheckLines || m.GetLines()[0].GetSubject() != "write" {
		t.Errorf("of %d lines %d are sent, the first is %v", len(r.Lines), len(m.GetLines()), m.GetLines()[0])
	}
}

func TestParseBriefCheckReportRefuses(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*backupv1.CheckReport){
		"no time":                  func(m *backupv1.CheckReport) { m.CheckTime = nil },
		"a time that is none":      func(m *backupv1.CheckReport) { m.CheckTime = &timestamppb.Timestamp{Seconds: -1 << 62} },
		"no verdict":               func(m *backupv1.CheckReport) { m.Verdict = 0 },
		"an unknown verdict":       func(m *backupv1.CheckReport) { m.Verdict = 5 },
		"a line worse than all":    func(m *backupv1.CheckReport) { m.Verdict = backupv1.CheckVerdict_CHECK_VERDICT_WARNING },
		"a line that is good":      func(m *backupv1.CheckReport) { m.Lines[0].Verdict = backupv1.CheckVerdict_CHECK_VERDICT_GOOD },
		"a line without a verdict": func(m *backupv1.CheckReport) { m.Lines[0].Verdict = 0 },
		"no subject":               func(m *backupv1.CheckReport) { m.Lines[0].Subject = "" },
		"a long subject":           func(m *backupv1.CheckReport) { m.Lines[0].Subject = strings.Repeat("a", 33) },
		"a subject with a space":   func(m *backupv1.CheckReport) { m.Lines[0].Subject = "a b" },
		"no sentence":              func(m *backupv1.CheckReport) { m.Lines[0].Message = "" },
		"a long class":             func(m *backupv1.CheckReport) { m.Lines[0].Class = strings.Repeat("a", 65) },
		"a long party":             func(m *backupv1.CheckReport) { m.Lines[0].Party = strings.Repeat("a", 65) },
		"a long code":              func(m *backupv1.CheckReport) { m.Lines[0].Code = strings.Repeat("a", 65) },
		"many lines":               func(m *backupv1.CheckReport) { m.Lines = slices.Repeat(m.Lines, 17) },
	} {
		m := &backupv1.CheckReport{CheckTime: timestamppb.Now(), Verdict: backupv1.CheckVerdict_CHECK_VERDICT_BAD, Lines: []*backupv1.CheckLine{
			{Subject: "read-back", Verdict: backupv1.CheckVerdict_CHECK_VERDICT_BAD, Message: "it differs"},
		}}
		if _, err := ParseBriefCheckReport(m); err != nil {
			t.Fatal(err)
		}
		spoil(m)
		if r, err := ParseBriefCheckReport(m); err == nil {
			t.Errorf("%s: it is taken for %+v", name, r)
		}
	}
}
