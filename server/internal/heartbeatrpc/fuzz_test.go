package heartbeatrpc

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
)

// FuzzHeartbeat reads heartbeats: what is kept of one is bounded, and holds no negative number and no unknown health.
func FuzzHeartbeat(f *testing.F) {
	for _, m := range []*backupv1.HeartbeatRequest{
		{AgentVersion: "v1", AgentTime: timestamppb.New(time.Unix(1e9, 0)), UnderstoodEntries: []string{"sealed v1"}, Destinations: []*backupv1.DestinationReport{{
			Origin: "wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff", Size: 3, Message: "full", FreeBytes: proto.Int64(7),
		}}},
		{AgentTime: &timestamppb.Timestamp{Seconds: -1 << 62}},
		{Destinations: []*backupv1.DestinationReport{{
			Origin: "wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff",
			Check: &backupv1.CheckReport{CheckTime: timestamppb.New(time.Unix(1e9, 0)), Verdict: backupv1.CheckVerdict_CHECK_VERDICT_BAD, Lines: []*backupv1.CheckLine{
				{Subject: "write", Verdict: backupv1.CheckVerdict_CHECK_VERDICT_BAD, Message: "the disk is full", Class: "capacity", Party: "client", Code: "ENOSPC"},
				{Subject: "read-back", Verdict: backupv1.CheckVerdict_CHECK_VERDICT_UNKNOWN, Message: "not tried"},
			}},
			Pause: &backupv1.Pause{UntilTime: timestamppb.New(time.Unix(2e9, 0)), Reason: "the NAS moves"},
		}}},
	} {
		encoded, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded)
	}
	at := time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, encoded []byte) {
		m := &backupv1.HeartbeatRequest{}
		if proto.Unmarshal(encoded, m) != nil {
			return
		}
		heartbeat, err := parseHeartbeat(m, at)
		if err != nil {
			return
		}
		if len(heartbeat.Version) > maxWordBytes || len(heartbeat.Reports) > MaxDestinations || len(heartbeat.UnderstoodEntries) > maxEntriesUnderstood || !heartbeat.At.Equal(at) {
			t.Errorf("%v is kept as %+v", m, heartbeat)
		}
		for _, report := range heartbeat.Reports {
			if _, err := ledger.ParseOrigin(string(report.Origin)); err != nil || report.Size < 0 || report.OutboxCount < 0 || len(report.Message) > maxMessageBytes || len(report.AgreedHead) > maxHeadBytes {
				t.Errorf("%v is kept as %+v", m, report)
			}
			if report.Check != nil {
				checkIsBounded(t, *report.Check)
			}
			if p := report.Pause; p != nil && (len(p.Reason) > maxMessageBytes || p.Until.Year() > 9999) {
				t.Errorf("%v is kept as %+v", m, p)
			}
		}
	})
}

// checkIsBounded makes sure that what is kept of a check is small, and that no line of it is good or worse than the whole.
func checkIsBounded(t *testing.T, check backup.CheckReport) {
	t.Helper()
	if check.At.IsZero() || check.Worst < backup.CheckGood || check.Worst > backup.CheckBad || len(check.Lines) > wire.MaxCheckLines {
		t.Errorf("kept is the check %+v", check)
	}
	for _, line := range check.Lines {
		if line.Verdict <= backup.CheckGood || line.Verdict > check.Worst || line.Subject == "" || len(line.Subject) > maxWordBytes ||
			line.Message == "" || len(line.Message) > wire.MaxCheckMessageBytes || len(line.Class)+len(line.Party)+len(line.Code) > 3*maxWordBytes {
			t.Errorf("kept is the line %+v", line)
		}
	}
}
