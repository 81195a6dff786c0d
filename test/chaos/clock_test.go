//go:build linux && peers

package chaos

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup/test/fleet"
)

const year = 365 * 24 * time.Hour

// TestWrongClock: an agent whose clock is wrong from its first instant on says by how much, to its own administrator and to
// the operator, and copies and agrees all the same; certificates, deadlines and dates are the server's affair.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		offset        time.Duration
		agent, server string // what is said there
	}{
		{year + time.Hour, "365 days ahead of wolkvox's", "+31539"},
		{-year - time.Hour, "365 days behind wolkvox's", "-31539"},
		{-10 * time.Minute, "10 minutes behind wolkvox's", "-600."},
	} {
		t.Run(test.offset.String(), func(t *testing.T) {
			t.Parallel()
			f := fleet.New(t, fleet.Options{Agent: "heartbeat: 1s\n"})
			f.Record(t, 1, 300, 2, 2_000)
			f.Seal(t)
			f.Agent.StartWithClock(t, test.offset)
			awaitAgreed(t, f)
			expectStatus(t, f.Agent.Try(t, "status"), 1, test.agent)
			expectStatus(t, f.Server.Try(t, "agents"), 0, test.agent, test.server)
			f.CheckComplete(t)
			f.Server.Do(t, "destination", "add", fleet.TenantName, "second", "--kind", "rsync")
			newAgent(t, "second").DoWithClock(t, test.offset, "enroll", f.Server.Join(t, fleet.TenantName, "second", f.Line.Address()))
		})
	}
}

// TestClockJumpsInMidNight: the agent's clock is set forth and back, by minutes, hours and years, while a night runs.
func TestClockJumpsInMidNight(t *testing.T) {
	t.Parallel()
	f := fleet.New(t, fleet.Options{Agent: "heartbeat: 1s\n"})
	f.Agent.StartWithClock(t, 0)
	for round := range 3 {
		f.Record(t, uint64(round+1), 600, 2, 2_000)
		f.Seal(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		ended := make(chan string, 1)
		go func() {
			complete, message, err := f.Agent.RunNow(ctx)
			ended <- fmt.Sprintf("complete %v: %s (%v)", complete, message, err)
		}()
		for _, offset := range []time.Duration{-2 * time.Hour, year, -year, -10 * time.Minute} {
			time.Sleep(150 * time.Millisecond)
			f.Agent.SetClock(t, offset)
		}
		t.Logf("round %d: %s", round, <-ended)
		cancel()
	}
	awaitAgreed(t, f)
	awaitSaid(t, f, "10 minutes behind wolkvox's", true)
	f.CheckComplete(t)
	f.Agent.SetClock(t, 0)
	awaitSaid(t, f, "wolkvox's", false)
	expectStatus(t, f.Agent.Try(t, "status"), 0)
	f.CheckLedgers(t)
}

// awaitSaid waits until the agent's status has a phrase, or has it no more.
func awaitSaid(t *testing.T, f *fleet.Fleet, phrase string, want bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		r := f.Agent.Try(t, "status")
		if strings.Contains(r.Stdout, phrase) == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the status has %q: %v\n%v", phrase, !want, r)
		}
	}
}
