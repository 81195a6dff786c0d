package operator

import (
	"testing"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func TestInteractionText(t *testing.T) {
	t.Parallel()
	for want, n := range map[string]*backupv1.Night{
		"-": {},
		"0": {InteractionCount: new(int64(0))},
		"7; no recording: 1 failed, 2 missing": {InteractionCount: new(int64(7)), Unrecorded: []*backupv1.UnrecordedCount{
			{Reason: "failed", Count: 1}, {Reason: "missing", Count: 2},
		}},
	} {
		if got := interactionText(n); got != want {
			t.Errorf("%v is shown as %q, want %q", n, got, want)
		}
	}
}
