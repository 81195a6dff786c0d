package wire

import (
	"errors"
	"fmt"
	"strings"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// Limits of the report of a check in a heartbeat.
const (
	MaxCheckLines        = 16
	MaxCheckMessageBytes = 300
	maxSubjectBytes      = 32
)

// CheckLine returns l as it travels.
func CheckLine(l backup.CheckLine) *backupv1.CheckLine {
	return &backupv1.CheckLine{
		Subject: l.Subject, Verdict: backupv1.CheckVerdict(l.Verdict), Message: strings.ToValidUTF8(l.Message, "?"),
		Class: l.Class, Party: l.Party, Code: l.Code,
	}
}

// CheckReport returns r as it travels.
func CheckReport(r backup.CheckReport) *backupv1.CheckReport {
	m := &backupv1.CheckReport{CheckTime: Time(r.At), Verdict: backupv1.CheckVerdict(r.Worst)}
	for _, l := range r.Lines {
		m.Lines = append(m.Lines, CheckLine(l))
	}
	return m
}

// BriefCheckReport returns what a heartbeat carries of r: the worst lines that are not good, with sentences that are cut
// where they are too long.
func BriefCheckReport(r backup.CheckReport) *backupv1.CheckReport {
	m := CheckReport(r.NotGood(MaxCheckLines))
	for _, l := range m.GetLines() {
		l.Message = cutText(l.GetMessage(), MaxCheckMessageBytes)
		l.Code = cutText(l.GetCode(), maxFaultWordBytes)
	}
	return m
}

// ParseCheckVerdict returns the verdict that v carries; UNSPECIFIED and unknown values are errors.
func ParseCheckVerdict(v backupv1.CheckVerdict) (backup.CheckVerdict, error) {
	if v < backupv1.CheckVerdict_CHECK_VERDICT_GOOD || v > backupv1.CheckVerdict_CHECK_VERDICT_BAD {
		return 0, fmt.Errorf("unknown verdict %d of a check", v)
	}
	return backup.CheckVerdict(v), nil
}

// ParseBriefCheckReport is the inverse of [BriefCheckReport]. A report without a time, with too many lines, with a line that is good
// or worse than the report, with an unknown verdict, or with words that are missing, too long or not a subject's, is an error.
func ParseBriefCheckReport(m *backupv1.CheckReport) (backup.CheckReport, error) {
	at, err := ParseTime(m.GetCheckTime())
	if err != nil {
		return backup.CheckReport{}, err
	}
	worst, err := ParseCheckVerdict(m.GetVerdict())
	if err != nil {
		return backup.CheckReport{}, err
	}
	switch {
	case at.IsZero():
		return backup.CheckReport{}, errors.New("the report of a check has no time")
	case len(m.GetLines()) > MaxCheckLines:
		return backup.CheckReport{}, fmt.Errorf("the report of a check has %d lines, more than %d", len(m.GetLines()), MaxCheckLines)
	}
	r := backup.CheckReport{At: at, Worst: worst}
	for _, line := range m.GetLines() {
		l, err := parseCheckLine(line)
		if err != nil {
			return backup.CheckReport{}, err
		}
		if l.Verdict == backup.CheckGood || l.Verdict > worst {
			return backup.CheckReport{}, fmt.Errorf("the report of a check is %s, and has the line %s that is %s", worst, l.Subject, l.Verdict)
		}
		r.Lines = append(r.Lines, l)
	}
	return r, nil
}

func parseCheckLine(m *backupv1.CheckLine) (backup.CheckLine, error) {
	verdict, err := ParseCheckVerdict(m.GetVerdict())
	if err != nil {
		return backup.CheckLine{}, err
	}
	notOfSubject := func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') }
	switch subject := m.GetSubject(); {
	case subject == "" || len(subject) > maxSubjectBytes || strings.IndexFunc(subject, notOfSubject) >= 0:
		return backup.CheckLine{}, fmt.Errorf("the subject of a line of a check is %.40q", subject)
	case m.GetMessage() == "":
		return backup.CheckLine{}, fmt.Errorf("the line %s of a check says nothing", subject)
	case len(m.GetClass()) > maxFaultWordBytes || len(m.GetParty()) > maxFaultWordBytes || len(m.GetCode()) > maxFaultWordBytes:
		return backup.CheckLine{}, fmt.Errorf("the class, party or code of the line %s of a check has more than %d bytes", subject, maxFaultWordBytes)
	}
	return backup.CheckLine{
		Subject: m.GetSubject(), Verdict: verdict, Message: cutText(m.GetMessage(), MaxCheckMessageBytes),
		Class: m.GetClass(), Party: m.GetParty(), Code: m.GetCode(),
	}, nil
}

// cutText returns the beginning of a text, in whole characters.
func cutText(s string, mostBytes int) string {
	if len(s) <= mostBytes {
		return s
	}
	return strings.ToValidUTF8(s[:mostBytes], "")
}
