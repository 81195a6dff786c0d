package enroll

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/join"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
)

// newReplacingToken makes a token for the place of an agent.
func (f *fleet) newReplacingToken(t *testing.T, origin ledger.Origin, agent string) join.Secret {
	t.Helper()
	secret := join.NewSecret()
	check(t, f.registry.CreateReplacingToken(secret.Hash(), origin, agent, time.Now().Add(time.Hour), time.Now()))
	return secret
}

// A machine that was lost is replaced by another one, destination by destination.
func TestReplace(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	a, b := newMachine(t, agentA), newMachine(t, agentB)
	var origins []ledger.Origin
	for _, name := range []string{"nas", "s3"} {
		secret, origin := f.newToken(t, "acme", name, time.Now(), time.Hour)
		_, err := f.enroll(t, a.request(t, secret, origin))
		check(t, err)
		origins = append(origins, origin)
	}
	secret := f.newReplacingToken(t, origins[0], agentA)
	for range 2 { // the answer was lost
		_, err := f.enroll(t, b.request(t, secret, origins[0]))
		check(t, err)
	}
	if want := []string{"", "", agentA, agentA}; !slices.Equal(f.assigner.replaced, want) {
		t.Errorf("replaced were %q, want %q", f.assigner.replaced, want)
	}
	for i, want := range []string{agentB, agentA} {
		if d, err := f.registry.DestinationOf(origins[i]); err != nil || d.Agent != want {
			t.Errorf("%s is served by %s, %v, want %s", origins[i], d.Agent, err, want)
		}
	}
	// The same agent, on the same machine, whose key for the log was lost.
	former := f.newReplacingToken(t, origins[1], agentA)
	again := newMachine(t, agentA)
	again.key = a.key
	_, err := f.enroll(t, again.request(t, former, origins[1]))
	check(t, err)
	if d, err := f.registry.DestinationOf(origins[1]); err != nil || d.Agent != agentA || f.assigner.requests[origins[1]].AgentKey != d.AgentKey {
		t.Errorf("the destination is %+v, %v", d, err)
	}
	// Another machine cannot take the name along.
	secret = f.newReplacingToken(t, origins[0], agentB)
	if _, err := f.enroll(t, newMachine(t, agentB).request(t, secret, origins[0])); wire.Reason(err) != wire.ReasonNameTaken {
		t.Errorf("under the name of the former one: %v", err)
	}
}

// What the log has against an agent is said, and what has ended lets nobody in.
func TestLogRefuses(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	secret, origin := f.newToken(t, "acme", "nas", time.Now(), time.Hour)
	request := newMachine(t, agentA).request(t, secret, origin)
	for reason, fail := range map[string]error{
		wire.ReasonDestinationAssigned: &registry.AssignedError{Tenant: "acme", Destination: "nas", Agent: agentB},
		wire.ReasonTokenInvalid:        &registry.EndedError{Tenant: "acme", Destination: "nas"},
		wire.ReasonTryLater:            errors.New("the disk is full"),
	} {
		f.assigner.fail = fail
		if _, err := f.enroll(t, request); wire.Reason(err) != reason {
			t.Errorf("%v: %v, want %s", fail, err, reason)
		}
	}
	check(t, f.registry.EndDestination(origin, time.Now()))
	if _, err := f.enroll(t, request); wire.Reason(err) != wire.ReasonTokenInvalid {
		t.Errorf("after the end: %v", err)
	}
}
