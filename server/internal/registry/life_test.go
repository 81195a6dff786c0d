package registry

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// The keys of a log come in the order in which they were made, and belong to that log alone.
func TestLogKeys(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	d, err := r.CreateDestination("acme", "nas", backup.StorageRSYNC, at)
	check(t, err)
	other, err := r.CreateDestination("acme", "nas-2", backup.StorageRSYNC, at)
	check(t, err)
	want := []ledger.Verifier{d.ServerKey}
	for range 11 {
		added, err := r.AddLogKey(d.Origin)
		check(t, err)
		want = append(want, added.Verifier())
	}
	keys, err := r.LogKeys(d.Origin)
	check(t, err)
	var got []ledger.Verifier
	for _, k := range keys {
		got = append(got, k.Verifier())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if keys, err := r.LogKeys(other.Origin); err != nil || len(keys) != 1 || keys[0].Verifier() != other.ServerKey {
		t.Errorf("the other log has the keys %v, %v", keys, err)
	}
	if _, err := r.AddLogKey(d.Origin[:len(d.Origin)-4] + "0000"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a key of no log: %v", err)
	}
}

// The token of a place that is taken is good for whoever takes it, once, and while the place is still that agent's.
func TestReplacingToken(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	d := newDestination(t, r, "nas", secret)
	first, second, third := [32]byte{21}, [32]byte{22}, [32]byte{23}
	if err := r.CreateReplacingToken(first, d.Origin, agentA, at.Add(time.Hour), at); !errors.Is(err, ErrNotServing) {
		t.Errorf("a token for an agent that serves nothing yet: %v", err)
	}
	a, b := newApplicant("acme", agentA, d.Origin), newApplicant("acme", agentB, d.Origin)
	_, err := r.Redeem(secret, a, at)
	check(t, err)
	if err := r.CreateReplacingToken(first, d.Origin, agentB, at.Add(time.Hour), at); !errors.Is(err, ErrNotServing) {
		t.Errorf("a token for an agent that does not serve it: %v", err)
	}
	for _, secret := range [][32]byte{first, second, third} {
		check(t, r.CreateReplacingToken(secret, d.Origin, agentA, at.Add(time.Hour), at))
	}
	got, err := r.Redeem(first, b, at)
	if err != nil || got.Agent != agentB {
		t.Fatalf("Redeem = %+v, %v", got, err)
	}
	if d, err := r.Destination("acme", "nas"); err != nil || d.Agent != agentB || d.AgentKey != b.AgentKey {
		t.Errorf("the destination is %+v, %v", d, err)
	}
	if again, err := r.Redeem(first, b, at.Add(24*time.Hour)); err != nil || !cmp.Equal(again, got) {
		t.Errorf("Redeem again = %+v, %v", again, err)
	}
	if _, err := r.Agent("acme", agentA); err != nil {
		t.Errorf("the former agent, which may serve other destinations: %v", err)
	}
	c := newApplicant("acme", "cccccccccccccccc", d.Origin)
	if assigned, ok := errors.AsType[*AssignedError](redeemed(r, second, c)); !ok || assigned.Agent != agentB {
		t.Errorf("the place was taken twice: %v", err)
	}
	// The log says that the former agent serves it after all: the registry is the newer or the older of the two.
	check(t, r.NoteAssigned(d.Origin, agentA, a.AgentKey))
	sameName := newApplicant("acme", agentA, d.Origin)
	sameName.AgentKey, sameName.RequestHash = "another+key", [32]byte{1}
	if err := redeemed(r, third, sameName); err != nil {
		t.Errorf("the same agent with another key of its own: %v", err)
	}
	if err := redeemed(r, first, b); err == nil {
		t.Error("an answer was repeated to an agent that was replaced since")
	}
}

func redeemed(r *Registry, secret [32]byte, a Applicant) error {
	return second(r.Redeem(secret, a, at))
}

// Nobody is let in for what has ended, with an earlier token either.
func TestEnded(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	nas, s3 := newDestination(t, r, "nas", secret), newDestination(t, r, "s3", [32]byte{8})
	check(t, r.EndDestination(nas.Origin, at))
	check(t, r.EndDestination(nas.Origin, at.Add(time.Hour)))
	wantEnded := func(what string, err error, want EndedError) {
		t.Helper()
		if got, ok := errors.AsType[*EndedError](err); !ok || *got != want {
			t.Errorf("%s: %v, want %v", what, err, &want)
		}
	}
	ended := EndedError{Tenant: "acme", Destination: "nas", At: at}
	wantEnded("redeeming", redeemed(r, secret, newApplicant("acme", agentA, nas.Origin)), ended)
	wantEnded("another token", r.CreateToken([32]byte{9}, nas.Origin, at.Add(time.Hour), at), ended)
	if _, is, err := r.TenantEnded("acme"); is || err != nil {
		t.Errorf("the tenant has ended: %v, %v", is, err)
	}
	check(t, r.EndTenant("acme", at.Add(time.Minute)))
	check(t, r.EndTenant("acme", at.Add(time.Hour)))
	ended = EndedError{Tenant: "acme", At: at.Add(time.Minute)}
	wantEnded("redeeming for another destination", redeemed(r, [32]byte{8}, newApplicant("acme", agentA, s3.Origin)), ended)
	wantEnded("another destination", second(r.CreateDestination("acme", "new", backup.StorageS3, at)), ended)
	if when, is, err := r.TenantEnded("acme"); !is || err != nil || when != ended.At {
		t.Errorf("the tenant ended %v, %v, %v", when, is, err)
	}
	if _, err := r.CreateDestination("acme-2", "nas", backup.StorageS3, at); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	for what, err := range map[string]error{
		"a tenant": r.EndTenant("nobody", at), "a log": r.EndDestination(nas.Origin[:len(nas.Origin)-4]+"0000", at),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("the end of %s that is not there: %v", what, err)
		}
	}
}

func TestOutages(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	now := at
	note := func(after time.Duration) Outage {
		t.Helper()
		now = now.Add(after)
		found, err := r.NotePresence(now)
		check(t, err)
		return found
	}
	for _, after := range []time.Duration{0, time.Minute, LeastOutage, -240 * time.Hour} {
		if found := note(after); found.Number != 0 {
			t.Errorf("an outage after %v: %+v", after, found)
		}
	}
	first := note(LeastOutage + time.Millisecond)
	want := Outage{Number: 1, Start: now.Add(-LeastOutage - time.Millisecond), End: now}
	if first != want || first.Length() != LeastOutage+time.Second {
		t.Errorf("the first outage is %+v of %v, want %+v", first, first.Length(), want)
	}
	second := note(300 * day)
	if second.Number != 2 {
		t.Errorf("the second outage is %+v", second)
	}
	check(t, r.AnswerOutage(1, now))
	check(t, r.AnswerOutage(1, now.Add(time.Hour)))
	first.AnsweredAt = now
	for after, want := range map[time.Duration][]Outage{0: {second, first}, 99 * day: {second, first}, 100 * day: {second}, 400 * day: {}} {
		if got, err := r.Outages(now.Add(after)); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%v later: %+v, %v, want %+v", after, got, err, want)
		}
	}
	if got, err := r.Outage(1); err != nil || got != first {
		t.Errorf("Outage = %+v, %v", got, err)
	}
	if _, err := r.Outage(3); !errors.Is(err, ErrNotFound) {
		t.Errorf("an outage that was none: %v", err)
	}
}
