package sequencer

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/ledger"
)

func isRetired(err error) bool { return errors.Is(err, ErrRetired) }

// Heads are signed by the key that is current after their entries, entries by the one before them, and agreed heads from
// before are still taken.
func TestRekey(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	genesis := r.seq.ServerKey()
	before, beforeHead, err := r.seq.Head()
	r.must(err)
	var keys []*ledger.SigningKey
	for i := range byte(2) {
		next := newKey(t, string(origin), 20+i)
		r.must(r.seq.Rekey(t.Context(), next, start))
		r.must(r.seq.Rekey(t.Context(), next, start))
		keys = append(keys, next)
		r.must(r.seq.Seal(t.Context(), r.stage(int64(i)+2, 1), start))
	}
	if size, _ := r.seq.Ledger().Position(); size != 3+4 || r.seq.ServerKey() != keys[1].Verifier() {
		t.Fatalf("%d entries, the key is %s", size, r.seq.ServerKey())
	}
	for size, want := range []ledger.Verifier{
		1: genesis, 2: genesis, 3: genesis, 4: keys[0].Verifier(), 5: keys[0].Verifier(), 6: keys[1].Verifier(), 7: keys[1].Verifier(),
	} {
		if size == 0 {
			continue
		}
		note, _, err := r.seq.HeadAt(int64(size))
		r.must(err)
		if _, err := ledger.OpenHead(note, want); err != nil {
			t.Errorf("the head of size %d: %v", size, err)
		}
	}
	if again, _, err := r.seq.HeadAt(3); err != nil || !bytes.Equal(again, before) {
		t.Errorf("the head of before is %q, %v, was %q", again, err, before)
	}
	cosigned, err := ledger.Cosign(before, genesis, r.agent, start)
	r.must(err)
	r.must(r.seq.RecordAgreement(t.Context(), cosigned))
	if agreed, ok := r.seq.Agreed(); !ok || agreed != beforeHead {
		t.Errorf("agreed on %v", agreed)
	}
	report, err := r.seq.Ledger().Verify(t.Context())
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("the log: %v, %v", err, report.Problems)
	}

	// A server that is started again finds its key among those that it has, whether or not a next one was prepared.
	first, prepared := newKey(t, string(origin), 1), newKey(t, string(origin), 30)
	reopened, err := New(r.seq.Ledger(), []*ledger.SigningKey{first, keys[0], keys[1], prepared}, Options{})
	r.must(err)
	if reopened.ServerKey() != keys[1].Verifier() {
		t.Errorf("after a start the key is %s", reopened.ServerKey())
	}
	if early, _, err := reopened.HeadAt(4); err != nil {
		t.Error(err)
	} else if _, err := ledger.OpenHead(early, keys[0].Verifier()); err != nil {
		t.Errorf("after a start the head of size 4: %v", err)
	}
	if _, err := New(r.seq.Ledger(), []*ledger.SigningKey{first, keys[0]}, Options{}); !errors.Is(err, ErrOtherKey) {
		t.Errorf("a server without the key: %v", err)
	}
}

// An agreed head of the agent before is taken after another one was assigned, and one that the other signed is not.
func TestAgreementOfTheFormerAgent(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	head, _, err := r.seq.Head()
	r.must(err)
	other := newKey(t, origin.AgentKeyName(agentB), 3)
	r.must(r.seq.Assign(t.Context(), r.request(other), agentA, start))
	for _, key := range []*ledger.SigningKey{other, r.agent} {
		cosigned, err := ledger.Cosign(head, r.seq.ServerKey(), key, start.Add(time.Hour))
		r.must(err)
		_, refused := errors.AsType[*ledger.RefusedError](r.seq.RecordAgreement(t.Context(), cosigned))
		if agreed, taken := r.seq.Agreed(); refused != (key == other) || taken != (key == r.agent) {
			t.Errorf("by %s: refused %v, agreed %v", key, refused, agreed)
		}
	}
}

// Whoever takes a place says whose.
func TestReplace(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	b, c := newKey(t, origin.AgentKeyName(agentB), 3), newKey(t, origin.AgentKeyName("cccccccccccccccc"), 5)
	for _, replaces := range []string{"", agentB, "cccccccccccccccc"} {
		err := r.seq.Assign(t.Context(), r.request(c), replaces, start)
		if assigned, ok := errors.AsType[*AssignedError](err); !ok || assigned.Agent != agentA {
			t.Errorf("replacing %q: %v", replaces, err)
		}
	}
	r.must(r.seq.Assign(t.Context(), r.request(b), agentA, start))
	r.must(r.seq.Assign(t.Context(), r.request(b), agentA, start)) // the answer was lost
	if agent, key, _ := r.seq.Assigned(); agent != agentB || key != b.Verifier() {
		t.Errorf("assigned is %s", agent)
	}
	if _, ok := errors.AsType[*AssignedError](r.seq.Assign(t.Context(), r.request(c), agentA, start)); !ok {
		t.Error("the same place was taken twice")
	}
	if ever, err := r.seq.EverAssigned(agentA); err != nil || !ever {
		t.Errorf("the former agent: %v, %v", ever, err)
	}
}
