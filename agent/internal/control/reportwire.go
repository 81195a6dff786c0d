package control

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/report"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

func nightMessage(n report.Night) *backupv1.ReportNight {
	m := &backupv1.ReportNight{
		Night: n.Date.String(), Standing: backupv1.NightStanding(n.Standing), ManifestCount: n.Manifests, ReplacedCount: n.Replaced,
		FirstDeadlineTime: wire.Time(n.Deadline), InteractionCount: n.Interactions,
	}
	for _, s := range backup.States {
		if a := n.States[s]; a != (report.Amount{}) {
			m.Amounts = append(m.Amounts, &backupv1.ReportAmount{State: wire.State(s), ItemCount: a.Items, SizeBytes: a.Bytes,
				SoundDuration: durationpb.New(a.Sound), UnmeasuredCount: a.Unmeasured})
		}
	}
	for _, c := range n.Causes {
		m.Causes = append(m.Causes, &backupv1.ReportCause{State: wire.State(c.State), Class: c.Class, Party: c.Party, Code: c.Code, Message: c.Message, ItemCount: c.Items})
	}
	for _, r := range n.Unrecorded {
		m.Unrecorded = append(m.Unrecorded, &backupv1.UnrecordedCount{Reason: r.Code, Count: r.Count})
	}
	return m
}

func fileMessage(f report.File) *backupv1.ReportFile {
	m := &backupv1.ReportFile{Night: f.Night.String(), Item: wire.Item(f.Manifest, f.Index, f.Item, f.State), DeadlineTime: wire.Time(f.Deadline)}
	if f.Item.Path == "" { // erased: only its address is left
		m.Item = &backupv1.Item{Manifest: f.Manifest, Index: f.Index, State: wire.State(f.State)}
	}
	if c := f.Cause; c.Class != "" {
		m.Item.LastFault = &backupv1.Fault{Class: c.Class, Party: c.Party, Code: c.Code, Message: c.Message}
	}
	if f.Sound >= 0 {
		m.SoundDuration = durationpb.New(f.Sound)
	}
	return m
}

// ParseReportHead returns a report without nights, as the service says what it is about.
func ParseReportHead(m *backupv1.ReportHead) (r report.Report, err error) {
	r = report.Report{Destination: m.GetDestination(), Location: m.GetLocation(), Origin: m.GetOrigin(), Silence: m.GetSilence(),
		AgreedSize: m.GetAgreed().GetSize(), AgreedRoot: m.GetAgreed().GetRoot()}
	if r.From, err = backup.ParseDate(m.GetFirstNight()); err != nil {
		return r, err
	}
	if r.To, err = backup.ParseDate(m.GetLastNight()); err != nil {
		return r, err
	}
	if r.Zone, err = time.LoadLocation(m.GetTimeZone()); err != nil {
		return r, fmt.Errorf("the tenant's time zone: %w", err)
	}
	r.Made, err = wire.ParseTime(m.GetMadeTime())
	return r, err
}

// ParseReportNight returns a night as the service says it is. Unknown states and standings, and negative numbers, are errors.
func ParseReportNight(m *backupv1.ReportNight) (n report.Night, err error) {
	n = report.Night{Standing: report.Standing(m.GetStanding()), Manifests: m.GetManifestCount(), Replaced: m.GetReplacedCount(), Interactions: m.InteractionCount}
	if n.Date, err = backup.ParseDate(m.GetNight()); err != nil {
		return n, err
	}
	if m.GetStanding() < 1 || n.Standing.String() == "" {
		return n, fmt.Errorf("the night %s has an unknown standing", n.Date)
	}
	if n.Deadline, err = wire.ParseTime(m.GetFirstDeadlineTime()); err != nil {
		return n, err
	}
	for _, a := range m.GetAmounts() {
		s, err := wire.ParseState(a.GetState())
		if err != nil {
			return n, err
		}
		amount := report.Amount{Items: a.GetItemCount(), Bytes: a.GetSizeBytes(), Sound: a.GetSoundDuration().AsDuration(), Unmeasured: a.GetUnmeasuredCount()}
		if min(amount.Items, amount.Bytes, int64(amount.Sound), amount.Unmeasured) < 0 {
			return n, fmt.Errorf("the night %s has a negative amount", n.Date)
		}
		n.States[s] = amount
	}
	for _, c := range m.GetCauses() {
		s, err := wire.ParseState(c.GetState())
		if err != nil {
			return n, err
		}
		n.Causes = append(n.Causes, report.Cause{State: s, Class: c.GetClass(), Party: c.GetParty(), Code: c.GetCode(), Message: c.GetMessage(), Items: c.GetItemCount()})
	}
	for _, u := range m.GetUnrecorded() {
		n.Unrecorded = append(n.Unrecorded, report.Reason{Code: u.GetReason(), Count: u.GetCount()})
	}
	return n, nil
}

// ParseReportFile returns a recording as the service says it is.
func ParseReportFile(m *backupv1.ReportFile) (f report.File, err error) {
	if m.GetItem() == nil {
		return f, errors.New("a recording of a report has no item")
	}
	f = report.File{Manifest: m.GetItem().GetManifest(), Index: m.GetItem().GetIndex(), Sound: store.UnknownDuration}
	if f.Night, err = backup.ParseDate(m.GetNight()); err != nil {
		return f, err
	}
	if f.Item, f.State, err = wire.ParseItem(m.GetItem()); err != nil {
		return f, err
	}
	if f.Deadline, err = wire.ParseTime(m.GetDeadlineTime()); err != nil {
		return f, err
	}
	if d := m.GetSoundDuration(); d != nil {
		f.Sound = d.AsDuration()
	}
	if c := m.GetItem().GetLastFault(); c != nil {
		f.Cause = report.Cause{State: f.State, Class: c.GetClass(), Party: c.GetParty(), Code: c.GetCode(), Message: c.GetMessage(), Items: 1}
	}
	return f, nil
}
