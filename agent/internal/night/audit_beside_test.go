package night

import (
	"context"
	"testing"
	"time"

	"github.com/wolkvox/backup/agent/internal/audit"
)

// TestAuditBesidePass audits again and again while a pass copies: nothing of it is missing, and nothing is nobody's.
func TestAuditBesidePass(t *testing.T) {
	t.Parallel()
	m, names := moving(t, "", 100)
	late := make([]string, 0, 60)
	for _, name := range names[:60] {
		late = append(late, "late/"+name)
	}
	m.peer.spoil = func(_ int64, data []byte) []byte {
		time.Sleep(10 * time.Millisecond)
		return data
	}
	m.at("memory", func(ctx context.Context, n *Night) {
		m.peer.seal(late, contentOf)
		done := make(chan Outcome, 1)
		go func() {
			outcome, err := n.RunNow(ctx)
			check(t, err)
			done <- outcome
		}()
		for audits := 1; ; audits++ {
			o := listed
			if audits%2 == 0 {
				o = read
			}
			if a := m.audit(ctx, n, o); a.Outcome != audit.Complete || len(a.found) != 0 {
				t.Errorf("audit %d: %+v, %v", audits, a.Report, a.found)
			}
			select {
			case outcome := <-done:
				if !outcome.Complete || audits < 2 {
					t.Errorf("after %d audits the pass ends with %+v", audits, outcome)
				}
				return
			default:
			}
		}
	})
	m.wantConfirmed("at the end", 160)
}
