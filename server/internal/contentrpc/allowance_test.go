package contentrpc

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
)

func TestAllowance(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 10, 22, 0, 0, 0, time.UTC)
	all := allowances{times: 8, used: map[fetched]*allowance{}}
	role, origin := identity.AgentRole("acme", "aaaaaaaaaaaaaaaa"), ledger.Origin("o")
	a := all.of(role, origin, ledger.Manifest{Number: 1, Bytes: 100}, at)
	if err := a.take(8*100+allowanceSlackBytes, at); err != nil {
		t.Fatal(err)
	}
	later := at.Add(23 * time.Hour)
	for name, err := range map[string]error{"one byte more": a.take(1, later), "the next call": all.of(role, origin, ledger.Manifest{Number: 1}, later).check(later)} {
		after, ok := wire.RetryAfter(err)
		if wire.Reason(err) != wire.ReasonTooMuchFetched || status.Code(err) != codes.ResourceExhausted || !ok || after != time.Hour {
			t.Errorf("%s: %v, to come back after %v", name, err, after)
		}
	}
	for name, other := range map[string]*allowance{
		"another manifest": all.of(role, origin, ledger.Manifest{Number: 2}, later),
		"another agent":    all.of(identity.AgentRole("acme", "bbbbbbbbbbbbbbbb"), origin, ledger.Manifest{Number: 1}, later),
	} {
		if err := other.take(1, later); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := a.take(1, at.Add(25*time.Hour)); err != nil {
		t.Errorf("the next night: %v", err)
	}
	if err := a.take(800+allowanceSlackBytes, at.Add(25*time.Hour)); wire.Reason(err) != wire.ReasonTooMuchFetched {
		t.Errorf("the next night, all of it and a byte: %v", err)
	}
	all.sweep(at.Add(1000 * time.Hour))
	if len(all.used) != 0 {
		t.Errorf("%d allowances are kept for ever", len(all.used))
	}
	if got := limitOf(ledger.MaxDecimal, 1000); got < ledger.MaxDecimal/2 {
		t.Errorf("the limit of the largest manifest is %d", got)
	}
}

func TestPaceGivesBack(t *testing.T) {
	t.Parallel()
	busy := time.Now().Add(time.Hour)
	p := pace{bytesPerSecond: 1 << 20, next: busy}
	for range 10 {
		gone, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := p.wait(gone, 100<<20); err == nil {
			t.Fatal("the rate let bytes through for a call that gave up waiting")
		}
	}
	if !p.next.Equal(busy) {
		t.Errorf("calls that were given up put off others by %v", p.next.Sub(busy))
	}
}

func TestPaceOfACallThatIsOver(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	p := pace{bytesPerSecond: 1 << 20}
	for range 100 {
		if err := p.wait(gone, 1<<20); err == nil {
			t.Fatal("an idle rate let bytes through for a call that was over")
		}
		p.next = time.Time{}
	}
}

func TestStreamsOfOneTenant(t *testing.T) {
	t.Parallel()
	s := New(nil, registryOf(t), nil, Options{MaxStreams: 6, MaxStreamsPerAgent: 2})
	admitted := 0
	for _, agent := range []string{"1", "2", "3", "4"} {
		for range 4 {
			if s.admit(identity.AgentRole("acme", agent)) {
				admitted++
			}
		}
	}
	if admitted != 3 || !s.admit(identity.AgentRole("globex", "1")) {
		t.Errorf("one tenant has %d of 6 streams, want half, and room for another's", admitted)
	}
	s.leave(identity.AgentRole("acme", "1"))
	if !s.admit(identity.AgentRole("acme", "4")) {
		t.Error("a stream that ended leaves no room")
	}
}

// registryOf returns an empty registry.
func registryOf(t *testing.T) *registry.Registry {
	t.Helper()
	r, err := registry.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}
