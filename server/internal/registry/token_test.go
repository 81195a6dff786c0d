package registry

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

const (
	agentA = "aaaaaaaaaaaaaaaa"
	agentB = "bbbbbbbbbbbbbbbb"
)

var secret = [32]byte{7}

// newApplicant is an agent that redeems a token with keys that its name stands for.
func newApplicant(tenant, name string, origin ledger.Origin) Applicant {
	a := Applicant{
		Agent: Agent{
			Tenant: tenant, Name: name, HostName: "host-" + name[:1], Version: "1.0", Platform: "linux/amd64",
			CertificateEnd: at.AddDate(0, 0, 90), EnrolledAt: at,
		},
		AgentKey:    ledger.Verifier(origin.AgentKeyName(name) + "+key"),
		Certificate: []byte("certificate of " + name),
	}
	copy(a.Agent.KeyHash[:], name)
	copy(a.RequestHash[:], name+string(origin))
	return a
}

// newDestination makes a destination of acme, and a token for it that lasts an hour.
func newDestination(t *testing.T, r *Registry, name string, secret [32]byte) Destination {
	t.Helper()
	d, err := r.CreateDestination("acme", name, backup.StorageRSYNC, at)
	check(t, err)
	check(t, r.CreateToken(secret, d.Origin, at.Add(time.Hour), at))
	return d
}

func TestRedeem(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	d := newDestination(t, r, "nas", secret)
	a := newApplicant("acme", agentA, d.Origin)
	want := Redemption{a.RequestHash, agentA, a.Certificate, at.Add(time.Minute)}
	got, err := r.Redeem(secret, a, at.Add(time.Minute))
	if err != nil || !cmp.Equal(got, want) {
		t.Fatalf("Redeem = %+v, %v, want %+v", got, err, want)
	}
	if d, err = r.Destination("acme", "nas"); err != nil || d.Agent != agentA || d.AgentKey != a.AgentKey {
		t.Errorf("Destination = %+v, %v, want it served by %s", d, err, agentA)
	}

	// The same again, even long afterwards, has the same answer, though another certificate was issued meanwhile.
	a.Certificate = []byte("another")
	if got, err = r.Redeem(secret, a, at.AddDate(0, 1, 0)); err != nil || !cmp.Equal(got, want) {
		t.Errorf("Redeem again = %+v, %v, want %+v", got, err, want)
	}
	b := newApplicant("acme", agentB, d.Origin)
	if _, err = r.Redeem(secret, b, at.Add(time.Minute)); !errors.Is(err, ErrUsed) {
		t.Errorf("Redeem by another = %v, want ErrUsed", err)
	}
	if _, err = r.Redeem([32]byte{8}, b, at); !errors.Is(err, ErrNotFound) {
		t.Errorf("Redeem of an unknown secret = %v, want ErrNotFound", err)
	}
	if _, err = r.Agent("acme", agentB); !errors.Is(err, ErrNotFound) {
		t.Errorf("an agent that was refused: %v, want ErrNotFound", err)
	}
}

func TestTokenEnds(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	d := newDestination(t, r, "nas", secret)
	a := newApplicant("acme", agentA, d.Origin)
	if _, err := r.Redeem(secret, a, at.Add(time.Hour)); !errors.Is(err, ErrExpired) {
		t.Errorf("Redeem at the end = %v, want ErrExpired", err)
	}
	if _, err := r.Redeem(secret, a, at.Add(time.Hour-1)); err != nil {
		t.Errorf("Redeem just before the end = %v", err)
	}
	for lifetime, want := range map[time.Duration]error{0: ErrBadLifetime, -1: ErrBadLifetime, MaxTokenLifetime + 1: ErrBadLifetime} {
		if err := r.CreateToken([32]byte{9}, d.Origin, at.Add(lifetime), at); !errors.Is(err, want) {
			t.Errorf("CreateToken for %v = %v, want %v", lifetime, err, want)
		}
	}
}

func TestSecondAgentIsRefusedByName(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	d := newDestination(t, r, "nas", secret)
	other := [32]byte{8}
	check(t, r.CreateToken(other, d.Origin, at.Add(time.Hour), at))
	a := newApplicant("acme", agentA, d.Origin)
	_, err := r.Redeem(secret, a, at)
	check(t, err)
	want := AssignedError{Tenant: "acme", Destination: "nas", Agent: agentA, HostName: "host-a"}
	rekeyed := a
	rekeyed.AgentKey, rekeyed.RequestHash = "another+key", [32]byte{1}
	for what, err := range map[string]error{
		"another agent":                 second(r.Redeem(other, newApplicant("acme", agentB, d.Origin), at)),
		"the same agent, another key":   second(r.Redeem(other, rekeyed, at)),
		"a token for what has an agent": r.CreateToken([32]byte{9}, d.Origin, at.Add(time.Hour), at),
	} {
		if got, ok := errors.AsType[*AssignedError](err); !ok || *got != want {
			t.Errorf("%s: %v, want %v", what, err, &want)
		}
	}
	if token, err := r.Token(other); err != nil || token.Redeemed != nil {
		t.Errorf("the token of who was refused is %+v, %v, want it not redeemed", token, err)
	}
	// The agent that serves it already may redeem another token, with the same key.
	if _, err := r.Redeem(other, a, at); err != nil {
		t.Errorf("Redeem by the agent itself = %v", err)
	}
}

func TestNameOfAnotherAgentIsTaken(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	nas, s3 := newDestination(t, r, "nas", secret), newDestination(t, r, "s3", [32]byte{8})
	a := newApplicant("acme", agentA, nas.Origin)
	_, err := r.Redeem(secret, a, at)
	check(t, err)
	thief := newApplicant("acme", agentA, s3.Origin)
	thief.Agent.KeyHash = [32]byte{1}
	if _, err := r.Redeem([32]byte{8}, thief, at); !errors.Is(err, ErrNameTaken) {
		t.Errorf("Redeem under the name of another = %v, want ErrNameTaken", err)
	}
	if d, err := r.Destination("acme", "s3"); err != nil || d.Agent != "" {
		t.Errorf("the destination is %+v, %v, want nobody to serve it", d, err)
	}
	again := newApplicant("acme", agentA, s3.Origin)
	again.Agent.EnrolledAt, again.Agent.CertificateEnd, again.Agent.Version = at.Add(time.Hour), at.AddDate(0, 0, 91), "1.1"
	if _, err := r.Redeem([32]byte{8}, again, at); err != nil {
		t.Fatalf("Redeem for another destination = %v", err)
	}
	want := again.Agent
	want.EnrolledAt = at
	if got, err := r.Agent("acme", agentA); err != nil || got != want {
		t.Errorf("Agent = %+v, %v, want %+v", got, err, want)
	}
}

func TestOneOfManyRedeems(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	const tokens, callers = 10, 8
	for i := range tokens {
		secret := [32]byte{byte(i), 1}
		d := newDestination(t, r, fmt.Sprintf("d%d", i), secret)
		errs := make([]error, callers)
		var group sync.WaitGroup
		for caller := range callers {
			group.Go(func() {
				_, errs[caller] = r.Redeem(secret, newApplicant("acme", fmt.Sprintf("%016x", i*callers+caller), d.Origin), at)
			})
		}
		group.Wait()
		won := -1
		for caller, err := range errs {
			switch {
			case err == nil && won < 0:
				won = caller
			case err == nil:
				t.Errorf("token %d: callers %d and %d both redeemed it", i, won, caller)
			case !errors.Is(err, ErrUsed):
				t.Errorf("token %d: caller %d: %v, want ErrUsed", i, caller, err)
			}
		}
		if won < 0 {
			t.Fatalf("token %d: nobody redeemed it", i)
		}
		if d, err := r.Destination("acme", d.Name); err != nil || d.Agent != fmt.Sprintf("%016x", i*callers+won) {
			t.Errorf("token %d: caller %d won, the destination is %+v, %v", i, won, d, err)
		}
	}
	if agents, err := r.Agents("acme"); err != nil || len(agents) != tokens {
		t.Errorf("%d agents were let in, %v, want %d", len(agents), err, tokens)
	}
}
