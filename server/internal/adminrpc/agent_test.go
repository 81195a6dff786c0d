package adminrpc

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/server/internal/registry"
)

// TestAgentPause shows what an agent said of pauses.
func TestAgentPause(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 1, 5, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		heard *registry.Pause
		want  *backupv1.Pause
	}{
		"none":          {nil, nil},
		"until resumed": {&registry.Pause{}, &backupv1.Pause{}},
		"with a time":   {&registry.Pause{Until: at, Reason: "the NAS moves"}, &backupv1.Pause{UntilTime: timestamppb.New(at), Reason: "the NAS moves"}},
	} {
		got := agent(registry.Agent{}, registry.Heartbeat{At: at, Reports: []registry.Report{{Pause: test.heard}}})
		if diff := cmp.Diff(test.want, got.GetDestinations()[0].GetPause(), protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
