package command

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func TestWriteInteractions(t *testing.T) {
	t.Parallel()
	unrecorded := func(reason string, count int64) *backupv1.UnrecordedCount {
		return &backupv1.UnrecordedCount{Reason: reason, Count: count}
	}
	var b strings.Builder
	writeInteractions(&b, []*backupv1.Night{
		{Night: "2026-03-08"},
		{Night: "2026-03-09", InteractionCount: proto.Int64(5)},
		{Night: "2026-03-10", InteractionCount: proto.Int64(100), Unrecorded: []*backupv1.UnrecordedCount{unrecorded("abandoned", 7), unrecorded("failed", 1)}},
		{Night: "2026-03-10", InteractionCount: proto.Int64(2), Unrecorded: []*backupv1.UnrecordedCount{unrecorded("failed", 2)}},
	})
	if want := "2026-03-10: 10 of 102 interactions have no recording: 7 abandoned, 3 failed\n"; b.String() != want {
		t.Errorf("written is %q, want %q", b.String(), want)
	}
}
