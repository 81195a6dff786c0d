//go:build linux && peers

package chaos

import (
	"strings"
	"testing"

	"github.com/wolkvox/backup/test/fleet"
)

// expect makes sure that a command failed, as one that says what is wrong: with status 1, and with all phrases in what it
// said to a person.
func expect(t *testing.T, r fleet.Result, phrases ...string) {
	t.Helper()
	expectStatus(t, r, 1, phrases...)
}

func expectStatus(t *testing.T, r fleet.Result, status int, phrases ...string) {
	t.Helper()
	if r.Status != status {
		t.Errorf("want exit status %d: %v", status, r)
	}
	for _, phrase := range phrases {
		if !strings.Contains(r.Stdout+r.Stderr, phrase) {
			t.Errorf("want %q to be said: %v", phrase, r)
		}
	}
}

// expectFault makes sure that the agent names a fault by its code, in its status and to the server, and exits badly.
func expectFault(t *testing.T, f *fleet.Fleet, code string) {
	t.Helper()
	only := f.Agent.Only(t)
	if only.LastFault == nil || only.LastFault.Code != code || only.LastFault.Message == "" {
		t.Errorf("the agent's last fault is %+v, want the code %s; problem %q", only.LastFault, code, only.Problem)
	}
	expect(t, f.Agent.Try(t, "status"), code)
}

// expectItemFault makes sure that the server knows which recordings met a fault.
func expectItemFault(t *testing.T, f *fleet.Fleet, code string, items int) {
	t.Helper()
	met := 0
	for _, item := range f.Server.Items(t, fleet.TenantName, fleet.DestinationName, "pending") {
		if item.LastFault != nil && item.LastFault.Code == code {
			met++
		}
	}
	if met != items {
		t.Errorf("the server knows of %d pending recordings with the fault %s, want %d", met, code, items)
	}
}

// expectComplete makes sure that the next run ends well, with everything confirmed.
func expectComplete(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	if r := f.RunOnce(t); r.Status != 0 {
		t.Errorf("after the remedy: %v", r)
	}
	f.CheckComplete(t)
}
