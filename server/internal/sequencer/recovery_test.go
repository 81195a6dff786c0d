package sequencer

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/registry"
)

// A server that went back in time takes what it lost from the agent, and goes on once the agent has seen its destination.
func TestSilentRollback(t *testing.T) {
	t.Parallel()
	for _, withRegistry := range []bool{true, false} {
		for _, size := range []int64{0, 1, 3, 4} {
			t.Run(fmt.Sprintf("%d entries left, registry too %t", size, withRegistry), func(t *testing.T) {
				t.Parallel()
				if size == 0 && withRegistry {
					t.Skip("nothing is left that knows of the log")
				}
				r := newRig(t, 10, 0, 5)
				whole := r.hold()
				kept := r.agree(whole)
				r.must(r.seq.RecordAgreement(t.Context(), kept))
				r.rollBack(size, withRegistry)
				if recovering, err := r.seq.Recovering(); err != nil || recovering == withRegistry {
					t.Errorf("recovers before anybody said anything: %t, %v", recovering, err)
				}
				if _, err := r.compare(whole.all()); !errors.Is(err, ErrOfferWanted) {
					t.Errorf("comparing with the longer log: %v", err)
				}
				taken, err := r.offer(whole, known(whole.all(), kept))
				if !taken || err != nil {
					t.Fatalf("the offer: %t, %v", taken, err)
				}
				r.equals(whole)
				if len(r.evidences()) != 0 {
					t.Error("evidence was kept of nothing")
				}
				if recovering, err := r.compare(known(whole.all(), kept)); err != nil || recovering {
					t.Errorf("it recovers on: %t, %v", recovering, err)
				}
				if err := r.seq.Ready(); !errors.Is(err, ErrRecovering) {
					t.Errorf("sealing with a stale catalog: %v", err)
				}
				r.catalogMade()
				r.seal(4, 2)
			})
		}
	}
}

// While a log recovers nothing is written to it; it ends by the word of the agent that serves the destination and has seen what is
// kept there, and of nobody else.
func TestRecovering(t *testing.T) {
	t.Parallel()
	r := newRig(t, 10)
	whole := r.hold()
	kept := r.agree(whole)
	r.must(r.seq.RecordAgreement(t.Context(), kept))
	session := r.session()
	_, err := r.registry.UpdateRecovery(origin, func(rec *registry.Recovery) { rec.Recovering = true })
	r.must(err)
	size, _ := r.seq.Ledger().Position()
	refused := func() {
		t.Helper()
		_, withdrawErr := r.seq.Withdraw(t.Context(), Withdrawal{1, set(0, 1), ledger.WithdrawnLost}, start)
		_, replaceErr := r.seq.Replace(t.Context(), Withdrawal{1, set(0, 1), ledger.WithdrawnLost}, Manifest{Number: 2}, start)
		_, extendErr := r.seq.Extend(t.Context(), ledger.ExtendedCourtesy, false, start, func(ledger.Manifest, int64) (Extension, bool) { return Extension{}, false }, nil)
		r.seq.Close(t.Context(), start.AddDate(1, 0, 0), 0) // the deadline is seen to have passed
		_, closeErr := r.seq.Close(t.Context(), start.AddDate(1, 0, 0), 48*time.Hour)
		_, submitErr := r.seq.SubmitReceipts(t.Context(), session, [][]byte{r.receipt(1, set(0, 0), func(*ledger.Receipt) {})})
		for name, err := range map[string]error{
			"seal": r.seq.Seal(t.Context(), r.stage(2, 3), start), "rekey": r.seq.Rekey(t.Context(), newKey(t, string(origin), 20), start),
			"retire": r.seq.Retire(t.Context(), ledger.RetiredEnded, start), "extend": extendErr, "withdraw": withdrawErr, "replace": replaceErr, "close": closeErr,
			"submit": submitErr, "assign": r.seq.Assign(t.Context(), r.request(newKey(t, origin.AgentKeyName(agentA), 4)), "", start),
		} {
			if !errors.Is(err, ErrRecovering) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if now, _ := r.seq.Ledger().Position(); now != size {
			t.Fatalf("the log grew to %d entries", now)
		}
	}
	refused()
	other := known(whole.all(), kept)
	other.Speaks = false
	for name, claim := range map[string]Claim{"the place is not seen": whole.all(), "another agent": other} {
		if recovering, err := r.compare(claim); err != nil || !recovering {
			t.Errorf("%s, and it stops recovering: %v", name, err)
		}
	}
	refused()
	r.open() // it is durable
	refused()
	old := whole.all()
	old.Kept = kept // as an agent says it that does not say whether it knows
	if recovering, err := r.compare(old); err != nil || recovering {
		t.Errorf("it recovers on: %v", err)
	}
	r.seal(2, 3)
	if recovering, err := r.compare(known(whole.all(), nil)); err != nil || recovering {
		t.Errorf("a log that does not recover: %t, %v", recovering, err)
	}
}

// What the server appended after it went back, and no agent held, makes way; a copy of it is kept; people's acts are said again.
func TestOrphans(t *testing.T) {
	t.Parallel()
	r := newRig(t, 10)
	base, _ := r.seq.Ledger().Position()
	r.seal(2, 5)
	r.seal(3, 5)
	whole := r.hold()
	kept := r.agree(whole)
	r.rollBack(base, true)
	m, _ := r.seq.Manifest(1)
	r.seal(2, 7) // another manifest 2
	newAgent := newKey(t, origin.AgentKeyName(agentB), 9)
	delivered := r.receipt(1, set(0, 3), nil)
	if got := r.submit(r.session(), delivered); !slices.Equal(got, []Verdict{OK}) {
		t.Fatalf("verdicts %v", got)
	}
	later := m.Deadline.AddDate(0, 0, 3)
	second, _ := r.seq.Manifest(2)
	r.must(r.seq.append(t.Context(), start,
		ledger.Extended{Manifest: 1, Root: m.Root, Deadline: later, Reason: ledger.ExtendedOutage},
		ledger.Extended{Manifest: 2, Root: second.Root, Deadline: second.Deadline.AddDate(0, 0, 9), Reason: ledger.ExtendedOutage},
		ledger.Forgotten{Manifest: 1, Root: m.Root, Indexes: set(8, 9)},
		ledger.Assigned{Request: r.request(newAgent)},
	))
	branch, _ := r.seq.Ledger().Position()
	taken, err := r.offer(whole, known(whole.all(), kept))
	if !taken || err != nil {
		t.Fatalf("the offer: %t, %v", taken, err)
	}
	r.equals(whole)
	if got := r.evidences(); !slices.Equal(got, []int{int(branch)}) {
		t.Errorf("evidence of %v entries, want one of %d", got, branch)
	}
	// What was cut off of receipts comes again from the outbox, once the log has recovered.
	if _, err := r.seq.SubmitReceipts(t.Context(), r.session(), [][]byte{delivered}); !errors.Is(err, ErrRecovering) {
		t.Errorf("a receipt while it recovers: %v", err)
	}
	if recovering, err := r.compare(known(whole.all(), kept)); err != nil || recovering {
		t.Fatalf("it recovers on: %t, %v", recovering, err)
	}
	r.equals(whole, ledger.KindExtended, ledger.KindForgotten, ledger.KindAssigned)
	if m, _ = r.seq.Manifest(1); !m.Deadline.Equal(later) {
		t.Errorf("the deadline is %s, want %s", m.Deadline, later)
	}
	if second, _ := r.seq.Manifest(2); second.Items != 5 {
		t.Errorf("manifest 2 has %d items: it is not the agent's", second.Items)
	}
	if agent, _, _ := r.seq.Assigned(); agent != agentB {
		t.Errorf("assigned to %s", agent)
	}
	if ever, err := r.seq.EverAssigned(agentA); err != nil || !ever {
		t.Errorf("agent A was never assigned: %v", err)
	}
	r.catalogMade()
	if _, err := r.seq.Close(t.Context(), start.AddDate(1, 0, 0), 48*time.Hour); err != nil {
		t.Errorf("closing is judged anew: %v", err)
	}
}

// A receipt that only the losing branch had comes back from the agent's outbox.
func TestOrphanedReceipt(t *testing.T) {
	t.Parallel()
	r := newRig(t, 10)
	base, _ := r.seq.Ledger().Position()
	r.seal(2, 5)
	whole := r.hold()
	r.rollBack(base, true)
	delivered := r.receipt(1, set(0, 3), nil)
	r.submit(r.session(), delivered)
	if taken, err := r.offer(whole, whole.all()); !taken || err != nil {
		t.Fatalf("the offer: %t, %v", taken, err)
	}
	if counts, _ := r.seq.Ledger().Counts(1); counts[backup.Confirmed] != 0 {
		t.Errorf("%d items are confirmed by a receipt that was cut off", counts[backup.Confirmed])
	}
	if _, err := r.compare(known(whole.all(), nil)); err != nil {
		t.Fatal(err)
	}
	if got := r.submit(r.session(), delivered); !slices.Equal(got, []Verdict{OK}) {
		t.Fatalf("verdicts %v", got)
	}
	r.equals(whole, ledger.KindDelivered)
	if counts, _ := r.seq.Ledger().Counts(1); counts[backup.Confirmed] != 4 {
		t.Errorf("%d items are confirmed", counts[backup.Confirmed])
	}
}

// A log that went back to before it was given another key takes the tail with that key, and one that was given a key on the
// losing branch is given it again.
func TestRekeyedTail(t *testing.T) {
	t.Parallel()
	next := newKey(t, string(origin), 20)
	for name, test := range map[string]struct {
		rekeyed func(r *rig) copyOf // makes both branches and returns the agent's
		more    []ledger.Kind
	}{
		"in the tail": {func(r *rig) copyOf {
			r.must(r.seq.Rekey(t.Context(), next, start))
			r.seal(2, 5)
			whole := r.hold()
			r.rollBack(3, true)
			r.seal(2, 7)
			return whole
		}, nil},
		"on the losing branch": {func(r *rig) copyOf {
			r.seal(2, 5)
			whole := r.hold()
			r.rollBack(3, true)
			r.must(r.seq.Rekey(t.Context(), next, start))
			r.seal(2, 7)
			return whole
		}, []ledger.Kind{ledger.KindRekeyed}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 10)
			r.keys = []*ledger.SigningKey{next}
			r.open()
			whole := test.rekeyed(r)
			if taken, err := r.offer(whole, whole.all()); !taken || err != nil {
				t.Fatalf("the offer: %t, %v", taken, err)
			}
			if recovering, err := r.compare(known(whole.all(), nil)); err != nil || recovering {
				t.Errorf("it recovers on: %t, %v", recovering, err)
			}
			r.equals(whole, test.more...)
			if r.seq.ServerKey() != next.Verifier() {
				t.Errorf("the key is %s", r.seq.ServerKey())
			}
			r.catalogMade()
			r.seal(3, 1)
		})
	}
}

// An offer that ends before a head that an agent was known to hold is refused, and if its agent has seen its destination, people
// are told. Whoever brings the rest settles it.
func TestTruncatedByLastHead(t *testing.T) {
	t.Parallel()
	r := newRig(t, 10)
	short := r.hold()
	r.seal(2, 5)
	whole := r.hold()
	r.must(r.seq.RecordAgreement(t.Context(), r.agree(whole)))
	r.rollBack(0, false)
	if taken, err := r.offer(short, short.all()); taken || !errors.Is(err, ErrBadOffer) || r.alarm(registry.AlarmTailLost) {
		t.Errorf("an offer that ends too early: %t, %v", taken, err)
	}
	if taken, err := r.offer(short, known(short.all(), nil)); taken || !errors.Is(err, ErrBadOffer) || !r.alarm(registry.AlarmTailLost) {
		t.Errorf("an offer that ends too early, of an agent that sees its place: %t, %v", taken, err)
	}
	if taken, err := r.offer(whole, known(whole.all(), nil)); !taken || err != nil || r.alarm(registry.AlarmTailLost) {
		t.Errorf("the whole: %t, %v, alarm %t", taken, err, r.alarm(registry.AlarmTailLost))
	}
	r.equals(whole)
	if recovering, err := r.compare(known(whole.all(), nil)); err != nil || recovering {
		t.Errorf("it recovers on: %t, %v", recovering, err)
	}
}

// A head kept at the destination that nobody can supply is an alarm; it goes by itself when somebody can.
func TestTailLost(t *testing.T) {
	t.Parallel()
	r := newRig(t, 10)
	short := r.hold()
	r.seal(2, 5)
	middle := r.hold()
	r.seal(3, 5)
	whole := r.hold()
	kept := r.agree(whole)
	r.rollBack(3, true)
	// An agent that lost its store shows what its destination keeps.
	if _, err := r.compare(known(short.claim(0), kept)); !errors.Is(err, ErrTailLost) || !r.alarm(registry.AlarmTailLost) {
		t.Errorf("a kept head that nobody has: %v", err)
	}
	if err := r.seq.Seal(t.Context(), r.stage(2, 1), start); !errors.Is(err, ErrRecovering) || !errors.Is(err, ErrTailLost) {
		t.Errorf("sealing while the alarm stands: %v", err)
	}
	if _, err := r.compare(known(short.all(), nil)); !errors.Is(err, ErrTailLost) {
		t.Errorf("another comparison while the alarm stands: %v", err)
	}
	// Its agent has some of it: what ends before a head that the server signed is not taken.
	if taken, err := r.offer(middle, known(middle.all(), kept)); taken || !errors.Is(err, ErrBadOffer) || !r.alarm(registry.AlarmTailLost) {
		t.Errorf("an offer that ends before the kept head: %t, %v", taken, err)
	}
	r.equals(short)
	if taken, err := r.offer(whole, whole.all()); !taken || err != nil {
		t.Errorf("somebody has it: %t, %v", taken, err)
	}
	if r.alarm(registry.AlarmTailLost) {
		t.Error("the alarm stands though nothing is lost")
	}
	if recovering, err := r.compare(known(whole.all(), kept)); err != nil || recovering {
		t.Errorf("it recovers on: %t, %v", recovering, err)
	}
	r.equals(whole)
}

// Two histories that agents hold are an alarm with both heads, and nothing changes any more.
func TestFork(t *testing.T) {
	t.Parallel()
	for name, held := range map[string]func(r *rig, branch copyOf){
		"by a watch":        func(r *rig, branch copyOf) { _, err := r.compare(branch.all()); r.must(err) },
		"by an agreed head": func(r *rig, branch copyOf) { r.must(r.seq.RecordAgreement(r.t.Context(), r.agree(branch))) },
		"by a kept head": func(r *rig, branch copyOf) {
			if _, err := r.compare(known(branch.claim(0), r.agree(branch))); err != nil {
				r.t.Fatal(err)
			}
			r.rollBack(3, false)
			if _, err := r.compare(known(branch.claim(0), r.agree(branch))); !errors.Is(err, ErrTailLost) {
				r.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 10)
			r.seal(2, 5)
			whole := r.hold()
			r.rollBack(3, true)
			r.seal(2, 7)
			branch := r.hold()
			held(r, branch)
			now := r.hold()
			if taken, err := r.offer(whole, whole.all()); taken || !errors.Is(err, ErrFork) {
				t.Errorf("an offer of another history: %t, %v", taken, err)
			}
			r.equals(now)
			alarm, err := r.registry.Alarm(origin, registry.AlarmFork)
			if err != nil || len(alarm.Heads) != 2 {
				t.Errorf("alarm %+v, %v", alarm, err)
			}
			if r.alarm(registry.AlarmTailLost) {
				t.Error("the alarm that the end is lost stands beside it")
			}
			_, watchErr := r.compare(now.all())
			_, offerErr := r.offer(whole, whole.all())
			for what, err := range map[string]error{"a watch": watchErr, "an offer": offerErr, "sealing": r.seq.Seal(t.Context(), r.stage(7, 1), start)} {
				if !errors.Is(err, ErrFork) {
					t.Errorf("%s while the alarm stands: %v", what, err)
				}
			}
		})
	}
}
