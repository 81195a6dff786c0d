package night

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// agreed reports whether both sides agree on the log that the server has.
func (p *peer) agreed(log *store.Ledger) bool {
	size, root := p.log.Position()
	for _, l := range []*store.Ledger{log, p.log} {
		if head, _, err := ledger.ParseHead(l.Agreed()); err != nil || head.Size != size || head.Root != root {
			return false
		}
	}
	return true
}

// TestRetired agrees on the last head and copies nothing more, in no pass either, and says so after a start too.
func TestRetired(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	p.seal(recordings(2), contentOf)
	m.outage.at, m.outage.only, m.outage.done = 1, "write own", true // the power goes when the receipt was announced
	if outcome := m.life(t.Context()); outcome.Complete || !m.outage.off {
		t.Fatalf("the first process ends with %+v", outcome)
	}
	m.cut(func() bool { return true })
	served := p.served
	p.seal([]string{"late.gsm"}, contentOf)
	p.append(ledger.Retired{Reason: ledger.RetiredEnded})
	for range 2 {
		if err := m.loop(func(n *Night) {
			m.await("the agreement on the end", p.agreed)
			m.await("the end of all work", func(log *store.Ledger) bool { return n.settled() && log.OutboxLen() == 0 })
			if problem := n.Condition().Problem; !errors.Is(problem, ErrEnded) {
				t.Errorf("the condition is %v, want that it has ended", problem)
			}
			outcome, err := n.RunNow(t.Context())
			if err != nil || outcome.Complete || !errors.Is(outcome.Err, ErrEnded) {
				t.Errorf("a pass that was asked for: %+v, %v", outcome, err)
			}
		}); err != nil {
			t.Errorf("Loop = %v", err)
		}
	}
	if p.served != served {
		t.Errorf("%d items were fetched after the end", p.served-served)
	}
	for _, wrong := range p.wrong {
		t.Error(wrong)
	}
	p.rekey(testKey(t, string(testOrigin), "later"))
	if err := m.loop(func(*Night) { m.await("the agreement on what may still follow", p.agreed) }); err != nil {
		t.Errorf("Loop = %v", err)
	}
}

// TestReplaced has another machine take over: it finds what is there by its hash, pulls the rest only, and the former one
// stands back.
func TestReplaced(t *testing.T) {
	t.Parallel()
	for name, agent := range map[string]string{"another name": "fedcba9876543210", "the same name": testAgent} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPeer(t)
			m := newMachine(t, p, "")
			first := recordings(6)
			p.seal(first[:3], contentOf)
			if outcome := m.life(t.Context()); !outcome.Complete {
				t.Fatalf("the first agent's night ends with %+v", outcome)
			}
			// It published one more, and died before it could sign for it.
			p.seal(first[3:], contentOf)
			m.disk.Plant(first[3], contentOf(first[3]))
			former := p.agent
			p.assign(testKey(t, testOrigin.AgentKeyName(agent), "the new machine"))
			next := &machine{t: t, peer: p, disk: m.disk}
			next.open()
			t.Cleanup(func() { next.db.Close() })
			if outcome := next.life(t.Context()); !outcome.Complete || outcome.Progress.ConfirmedItems != 3 {
				t.Errorf("the new agent's night ends with %+v", outcome)
			}
			if p.served != 5 {
				t.Errorf("%d items were fetched in all, want 5: nothing twice, and not what was there", p.served)
			}
			next.check("at the end")
			if log, err := next.db.Ledger(testOrigin); err != nil || !p.agreed(log) {
				t.Errorf("the new agent and the server do not agree: %v", err)
			}
			if total, err := p.log.Total(); err != nil || total[backup.Confirmed] != 6 {
				t.Errorf("confirmed are %v, %v", total, err)
			}
			assigned := p.agent
			p.agent = former
			if outcome := m.life(t.Context()); outcome.Err == nil || !strings.Contains(outcome.Err.Error(), "stands back") {
				t.Errorf("the former agent's night ends with %+v", outcome)
			}
			p.agent = assigned
		})
	}
}

// TestRekeyed follows the server's keys from the one that the agent was enrolled with, wherever in the chain that is, and
// nothing else.
func TestRekeyed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		known   int // which of the server's keys the agent was enrolled with
		follows bool
	}{"the first": {0, true}, "one in between": {1, true}, "the last": {2, true}, "another": {3, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPeer(t)
			m := newMachine(t, p, "")
			var keys []ledger.Verifier
			keys = append(keys, p.key.Verifier())
			names := recordings(3)
			for i, seed := range []string{"second", "third"} {
				p.seal(names[i:i+1], contentOf)
				p.known = keys[0]
				if i == 0 && test.known == 0 { // it was there before the first change too
					if outcome := m.life(t.Context()); !outcome.Complete {
						t.Errorf("before: %+v", outcome)
					}
				}
				p.rekey(testKey(t, string(testOrigin), seed))
				keys = append(keys, p.key.Verifier())
			}
			p.known = slices.Concat(keys, []ledger.Verifier{testKey(t, string(testOrigin), "foreign").Verifier()})[test.known]
			outcome := m.life(t.Context())
			if outcome.Complete != test.follows {
				t.Errorf("the night ends with %+v", outcome)
			}
			log, err := m.db.Ledger(testOrigin)
			if err != nil || p.agreed(log) != test.follows {
				t.Errorf("agreed %v, %v", p.agreed(log), err)
			}
			if total, err := p.log.Total(); err != nil || (total[backup.Pending] == 0) != test.follows {
				t.Errorf("pending are %v, %v", total[backup.Pending], err)
			}
			report, err := log.Verify(t.Context())
			if err != nil || len(report.Problems) > 0 {
				t.Errorf("the agent's copy: %v, %v", err, report.Problems)
			}
		})
	}
}
