package sequencer

import (
	"errors"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/registry"
)

// While a log recovers, its deadlines, keys, agent and end stay as they are.
func TestNothingIsDecidedWhileRecovering(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	size, _ := r.seq.Ledger().Position()
	r.must(r.seq.update(func(rec *registry.Recovery) { rec.Recovering = true }))
	_, extended := r.seq.Extend(t.Context(), ledger.ExtendedOutage, false, start, func(m ledger.Manifest, _ int64) (Extension, bool) {
		return Extension{Manifest: m.Number, Old: m.Deadline, New: m.Deadline.Add(time.Hour)}, true
	}, nil)
	r.heard(deadline.Add(time.Hour))
	_, closed := r.seq.Close(t.Context(), deadline.Add(time.Hour), time.Hour)
	for what, err := range map[string]error{
		"extended": extended, "closed": closed,
		"rekeyed":  r.seq.Rekey(t.Context(), newKey(t, string(origin), 8), start),
		"retired":  r.seq.Retire(t.Context(), ledger.RetiredEnded, start),
		"assigned": r.seq.Assign(t.Context(), r.request(newKey(t, origin.AgentKeyName(agentB), 3)), agentA, start),
	} {
		if !errors.Is(err, ErrRecovering) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if now, _ := r.seq.Ledger().Position(); now != size {
		t.Errorf("%d entries were appended", now-size)
	}
}

// A change of the server's key that was cut off is said again from the key that is current now, unless the log has had that
// key since.
func TestRekeyedIsSaidAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, second, third := newKey(t, string(origin), 1), newKey(t, string(origin), 20), newKey(t, string(origin), 21)
	unknown := newKey(t, string(origin), 22)
	for _, key := range []*ledger.SigningKey{second, third} {
		r.seq.keys[key.Verifier()] = key
	}
	act := func(from, to *ledger.SigningKey) []byte {
		t.Helper()
		leaf, err := ledger.Sign(ledger.Entry{Origin: origin, Time: start, Body: ledger.Rekeyed{OldKey: from.Verifier(), NewKey: to.Verifier()}}, from, to)
		r.must(err)
		return leaf
	}
	for _, test := range []struct {
		name     string
		from, to *ledger.SigningKey
		want     *ledger.SigningKey
	}{
		{"as it was", first, second, second},
		{"again", first, second, second},
		{"from a key that is not current any more", first, third, third},
		{"a key that the log has had", third, second, third},
		{"a key that is not here", third, unknown, third},
	} {
		r.must(r.seq.sayAgain(t.Context(), act(test.from, test.to), start))
		if got := r.seq.ServerKey(); got != test.want.Verifier() {
			t.Errorf("%s: the key is %s, want %s", test.name, got, test.want)
		}
	}
	if size, _ := r.seq.Ledger().Position(); size != 4 {
		t.Errorf("the log has %d entries, want 4", size)
	}
}
