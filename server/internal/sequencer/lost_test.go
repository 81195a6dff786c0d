package sequencer

import (
	"errors"
	"testing"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/registry"
)

// Where nothing is left of a log, neither here nor at its agent, people are told, whatever is known of it; whoever brings it
// settles that.
func TestNothingLeft(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keptHead, lastHead bool
		ask                func(r *rig, kept []byte) error
	}{
		"a head is kept at the destination": {true, false, func(r *rig, kept []byte) error {
			_, err := r.compare(known(copyOf{}.claim(0), kept))
			return err
		}},
		"the server knows a head": {false, true, func(r *rig, _ []byte) error {
			_, err := r.compare(known(copyOf{}.claim(0), nil))
			return err
		}},
		"nobody knows a head": {false, false, func(r *rig, _ []byte) error {
			_, err := r.compare(known(copyOf{}.claim(0), nil))
			return err
		}},
		"an agent is let in": {false, false, func(r *rig, _ []byte) error {
			return r.seq.Assign(r.t.Context(), r.request(newKey(r.t, origin.AgentKeyName(agentB), 9)), "", start)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 3)
			whole := r.hold()
			kept := r.agree(whole)
			r.must(r.seq.Ledger().Cut(t.Context(), 0))
			_, err := r.registry.UpdateRecovery(origin, func(rec *registry.Recovery) {
				*rec = registry.Recovery{Begun: true, Recovering: true}
				if test.lastHead {
					rec.LastHead = whole.head
				}
			})
			r.must(err)
			r.open()
			if size, _ := r.seq.Ledger().Position(); size != 0 {
				t.Fatalf("the log began again: %d entries", size)
			}
			for range 2 { // it stands
				if err := test.ask(r, kept); !errors.Is(err, ErrTailLost) || !r.alarm(registry.AlarmTailLost) {
					t.Errorf("%v, alarm %t", err, r.alarm(registry.AlarmTailLost))
				}
			}
			if taken, err := r.offer(whole, whole.all()); !taken || err != nil || r.alarm(registry.AlarmTailLost) {
				t.Errorf("somebody has it: %t, %v, alarm %t", taken, err, r.alarm(registry.AlarmTailLost))
			}
			if recovering, err := r.compare(known(whole.all(), kept)); err != nil || recovering {
				t.Errorf("it recovers on: %t, %v", recovering, err)
			}
			r.equals(whole)
		})
	}
}

// The agent that was let in last speaks for the destination also where its assigned was lost.
func TestSpeaks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.must(r.registry.CreateTenant(registry.Tenant{Name: "acme", TimeZone: "UTC"}))
	d, err := r.registry.CreateDestination("acme", "nas", backup.StorageRSYNC, start)
	r.must(err)
	set := newSet(t, r, d)
	speaks := func(agent string) bool {
		t.Helper()
		is, err := set.Speaks(agent)
		r.must(err)
		return is
	}
	if !speaks(agentA) || !speaks(agentB) {
		t.Error("where no agent is known, any speaks")
	}
	key := newKey(t, d.Origin.AgentKeyName(agentA), 2)
	request, err := ledger.SignRequest(d.Origin, key)
	r.must(err)
	r.must(set.Assign(t.Context(), request, "", start))
	if !speaks(agentA) || speaks(agentB) {
		t.Error("the agent assigned alone speaks")
	}
	r.must(r.registry.CreateToken([32]byte{1}, d.Origin, start.AddDate(0, 0, 1), start))
	_, err = r.registry.Redeem([32]byte{1}, registry.Applicant{
		Agent: registry.Agent{Tenant: "acme", Name: agentB}, AgentKey: newKey(t, d.Origin.AgentKeyName(agentB), 3).Verifier(),
	}, start)
	r.must(err)
	if !speaks(agentA) || !speaks(agentB) {
		t.Error("the agent that was let in last speaks too")
	}
}

// newSet opens a set over the rig's stores and returns the sequencer of a destination.
func newSet(t *testing.T, r *rig, d registry.Destination) *Sequencer {
	t.Helper()
	set, err := OpenSet(t.Context(), r.db, Options{Registry: r.registry, Evidence: r.seq.evidence, Dir: t.TempDir()}, start)
	r.must(err)
	s, ok := set.Of(d.Origin)
	if !ok {
		t.Fatalf("the log %s is not open", d.Origin)
	}
	return s
}

// A log that recovered without an offer takes down what its agent holds: a shorter offer is refused from then on.
func TestLastHeadAfterRecovering(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	short := r.hold()
	r.seal(2, 5)
	whole := r.hold()
	_, err := r.registry.UpdateRecovery(origin, func(rec *registry.Recovery) {
		*rec = registry.Recovery{Begun: true, Recovering: true}
	})
	r.must(err)
	for range 2 { // the first ends the recovering
		if recovering, err := r.compare(known(whole.all(), nil)); err != nil || recovering {
			t.Fatalf("it recovers on: %t, %v", recovering, err)
		}
	}
	r.rollBack(2, false)
	if taken, err := r.offer(short, short.all()); taken || !errors.Is(err, ErrBadOffer) {
		t.Errorf("an offer that ends too early: %t, %v", taken, err)
	}
}

// A log that was lost altogether when it was restarted is retired once its agent brings it back.
func TestContinuedLogIsRetired(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	whole := r.hold()
	r.seq.continued = true
	r.must(r.seq.update(func(rec *registry.Recovery) { rec.Recovering = true }))
	r.must(r.seq.Ledger().Cut(t.Context(), 0))
	r.must(r.seq.retireLost(t.Context(), start))
	if taken, err := r.offer(whole, whole.all()); !taken || err != nil {
		t.Fatalf("the offer: %t, %v", taken, err)
	}
	if _, err := r.compare(known(whole.all(), nil)); err != nil {
		t.Fatal(err)
	}
	r.equals(whole, ledger.KindRetired)
}

// What is known of a head counts for nothing where the log that was put back is of another history: nobody showed that he holds it.
func TestPutBackToAnotherHistory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	begun, _ := r.seq.Ledger().Position()
	r.seal(1, 2)
	r.seal(2, 1)
	whole := r.hold()
	if _, err := r.compare(known(whole.all(), nil)); err != nil {
		t.Fatal(err)
	}
	later, err := r.seq.record()
	r.must(err)
	r.rollBack(begun, true)
	r.seal(1, 3)
	_, err = r.registry.UpdateRecovery(origin, func(rec *registry.Recovery) { *rec = later })
	r.must(err)
	r.open()
	if taken, err := r.offer(whole, whole.all()); !taken || err != nil || r.alarm(registry.AlarmFork) {
		t.Errorf("the head that is known comes back: %t, %v, alarm %t", taken, err, r.alarm(registry.AlarmFork))
	}
	r.equals(whole)
}
