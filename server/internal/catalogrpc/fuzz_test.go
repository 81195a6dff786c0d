package catalogrpc

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
)

// FuzzAnnouncement reads announcements: what is taken fits into a manifest's line and lies below a source of the tenant, in a
// night that is kept.
func FuzzAnnouncement(f *testing.F) {
	at := time.Date(2026, 3, 10, 17, 0, 0, 0, time.UTC)
	for _, m := range []*backupv1.Announcement{
		{},
		{Interaction: "call-1", RecordedTime: timestamppb.New(at), Outcome: &backupv1.Announcement_NoRecording{NoRecording: 1}},
		{Interaction: "call\x00", RecordedTime: &timestamppb.Timestamp{Seconds: -1 << 62}, Outcome: &backupv1.Announcement_NoRecording{NoRecording: 99}},
		{Interaction: "call-1", RecordedTime: timestamppb.New(at), Outcome: &backupv1.Announcement_Recording{Recording: &backupv1.AnnouncedRecording{
			Source: "main", Path: "a/b.gsm", SizeBytes: proto.Int64(7), Sha256: make([]byte, 32), Kind: backupv1.MediaKind_MEDIA_KIND_GSM,
		}}},
		{Interaction: "call-1", RecordedTime: timestamppb.New(at), Outcome: &backupv1.Announcement_Recording{Recording: &backupv1.AnnouncedRecording{Source: "main", Path: "../b.gsm"}}},
	} {
		encoded, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded)
	}
	held := form{zone: time.UTC, at: at, sources: map[string]bool{"main": true}}
	f.Fuzz(func(t *testing.T, encoded []byte) {
		m := &backupv1.Announcement{}
		if proto.Unmarshal(encoded, m) != nil {
			return
		}
		a, refused := held.parse(m)
		if refused != nil {
			if refused.GetReason() == "" || refused.GetMessage() == "" {
				t.Errorf("%v is refused without a reason: %v", m, refused)
			}
			return
		}
		today := backup.DateOf(at)
		if a.Night.Compare(today.AddDays(-45)) <= 0 || a.Night.Compare(today.AddDays(1)) > 0 || (a.SourcePath == "") == (a.NoRecording == "") {
			t.Errorf("%v is taken as %+v", m, a)
		}
		if a.SourcePath == "" {
			return
		}
		if !strings.HasPrefix(a.SourcePath, "main/") || strings.Contains(a.SourcePath+"/", "/../") || a.HasSHA256 && a.SizeBytes < 0 {
			t.Errorf("%v is taken as %+v", m, a)
		}
		item := backup.Item{Path: "a", SourcePath: a.SourcePath, Kind: max(a.Kind, backup.KindGSM), RecordedAt: a.RecordedAt, Interaction: a.Interaction}
		if _, err := ledger.FormatLine(item); err != nil {
			t.Errorf("%+v fits in no line: %v", a, err)
		}
	})
}
