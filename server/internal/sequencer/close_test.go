package sequencer

import (
	"fmt"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/ledger"
)

var deadline = start.Add(15 * 24 * time.Hour)

// closes has due manifests closed and compares their numbers.
func (r *rig) closes(when string, at time.Time, uptime time.Duration, want ...int64) {
	r.t.Helper()
	closed, err := r.seq.Close(r.t.Context(), at, uptime)
	r.must(err)
	if fmt.Sprint(closed) != fmt.Sprint(want) {
		r.t.Errorf("%s: closed %v, want %v", when, closed, want)
	}
}

// heard has the agent assigned first heard in its session, at the time that it echoes.
func (r *rig) heard(echoed time.Time) { r.seq.Heard(agentA, r.session(), echoed, echoed) }

func TestCloseWhenHeard(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4, 2, 0)
	r.submit(r.session(), r.receipt(1, set(1, 1), nil))
	r.heard(deadline.Add(time.Hour))
	r.closes("before the deadline, heard after it", deadline.Add(-time.Second), 1000*time.Hour)
	r.closes("heard after the deadline", deadline.Add(time.Minute), time.Minute, 1, 2, 3)
	if got, want := r.states(1)+r.states(2), "[0 1 3 0 0 0 0][0 0 2 0 0 0 0]"; got != want {
		t.Errorf("states %s, want %s", got, want)
	}
	r.closes("again", deadline.Add(time.Hour), time.Hour)
}

// What counts as heard: the agent assigned, in its current session, echoing a time after the deadline that the server has said.
func TestWhoIsHeard(t *testing.T) {
	t.Parallel()
	late := deadline.Add(time.Hour)
	for name, test := range map[string]struct {
		hear   func(r *rig)
		closes bool
	}{
		"nobody":                         {func(r *rig) {}, false},
		"the agent":                      {func(r *rig) { r.heard(late) }, true},
		"the agent, later again earlier": {func(r *rig) { r.heard(late); r.heard(deadline.Add(-time.Hour)) }, true},
		"at the deadline":                {func(r *rig) { r.heard(deadline) }, false},
		"another agent":                  {func(r *rig) { r.seq.Heard(agentB, r.session(), late, late) }, false},
		"another session":                {func(r *rig) { r.seq.Heard(agentA, r.session()+1, late, late) }, false},
		"a time to come":                 {func(r *rig) { r.seq.Heard(agentA, r.session(), late, late.Add(-1)) }, false},
		"an earlier session": {func(r *rig) {
			r.heard(late)
			later, err := r.seq.OpenSession([16]byte{1})
			r.must(err)
			r.must(r.seq.CheckSession(later))
		}, false},
		"an agent that was replaced since": {func(r *rig) {
			r.heard(late)
			r.must(r.seq.Assign(r.t.Context(), r.request(newKey(r.t, origin.AgentKeyName(agentB), 3)), agentA, late))
		}, false},
		"the agent, given another key since": {func(r *rig) {
			r.heard(late)
			r.must(r.seq.Assign(r.t.Context(), r.request(newKey(r.t, origin.AgentKeyName(agentA), 4)), agentA, late))
		}, false},
		"the agent that replaced one": {func(r *rig) {
			r.heard(late)
			r.must(r.seq.Assign(r.t.Context(), r.request(newKey(r.t, origin.AgentKeyName(agentB), 3)), agentA, late))
			session, err := r.seq.OpenSession([16]byte{2})
			r.must(err)
			r.must(r.seq.CheckSession(session))
			r.seq.Heard(agentA, session, late, late)
			r.closes("the former agent in the new one's session", late, 0)
			r.seq.Heard(agentB, session, deadline.Add(time.Second), late)
		}, true},
		"before the deadline as extended": {func(r *rig) {
			r.heard(late)
			r.extend(late.Add(time.Minute), false)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 4)
			test.hear(r)
			closed, err := r.seq.Close(t.Context(), late.Add(time.Hour), time.Minute)
			r.must(err)
			if (len(closed) == 1) != test.closes {
				t.Errorf("closed %v", closed)
			}
		})
	}
}

// Without hearing the agent 24 hours of uptime beyond the deadline are waited for, whatever the clock says meanwhile.
func TestCloseWithoutHearing(t *testing.T) {
	t.Parallel()
	const up, day = 1000 * time.Hour, 24 * time.Hour
	t.Run("up all the time", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, 4)
		r.closes("a second before the deadline", deadline.Add(-time.Second), up-time.Second)
		r.closes("at the deadline", deadline, up)
		r.closes("24 hours not over", deadline.Add(day-time.Second), up+day-time.Second)
		r.closes("24 hours over", deadline.Add(day), up+day, 1)
	})
	t.Run("the server was down", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, 4)
		r.closes("at the start", deadline.Add(10*day), time.Second)
		r.closes("24 hours not over", deadline.Add(11*day), day)
		r.closes("24 hours over", deadline.Add(11*day), day+time.Second, 1)
	})
	t.Run("the clock was set forward by a year and back", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, 4)
		year := deadline.AddDate(1, 0, 0)
		r.closes("a year ahead", year, up)
		r.closes("still", year.Add(day-time.Second), up+day-time.Second)
		r.closes("right again", deadline.Add(-2*day), up+day)
		r.closes("at the deadline", deadline, up+3*day)
		r.closes("24 hours over", deadline.Add(day), up+4*day, 1)
	})
	t.Run("extended meanwhile", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, 4)
		r.closes("at the deadline", deadline, up)
		r.extend(deadline.Add(day), false)
		r.closes("24 hours after the first deadline", deadline.Add(day), up+day)
		r.closes("24 hours after the second", deadline.Add(2*day), up+2*day, 1)
	})
}

// extend moves all deadlines and returns what was said of them.
func (r *rig) extend(to time.Time, dryRun bool) []Extension {
	r.t.Helper()
	extensions, err := r.seq.Extend(r.t.Context(), ledger.ExtendedCourtesy, dryRun, start, func(m ledger.Manifest, pending int64) (Extension, bool) {
		return Extension{Manifest: m.Number, Old: m.Deadline, New: to, PendingCount: pending}, true
	}, nil)
	r.must(err)
	return extensions
}

func TestExtend(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4, 2)
	r.submit(r.session(), r.receipt(1, set(1, 1), nil))
	r.heard(deadline.Add(time.Second))
	r.closes("both", deadline.Add(time.Second), 0, 1, 2)
	size, _ := r.seq.Ledger().Position()
	to := deadline.Add(time.Hour + time.Millisecond)
	want := fmt.Sprint([]Extension{
		{Manifest: 1, Old: deadline, New: to.Truncate(time.Second), PendingCount: 3}, {Manifest: 2, Old: deadline, New: to.Truncate(time.Second), PendingCount: 2},
	})
	if got := fmt.Sprint(r.extend(to, true)); got != want {
		t.Errorf("dry run: %s, want %s", got, want)
	}
	if now, _ := r.seq.Ledger().Position(); now != size || r.states(1) != "[0 1 3 0 0 0 0]" {
		t.Errorf("a dry run appended %d entries, states %s", now-size, r.states(1))
	}
	if got := fmt.Sprint(r.extend(to, false)); got != want {
		t.Errorf("extended: %s, want %s", got, want)
	}
	if m, _ := r.seq.Manifest(1); !m.Open || !m.Deadline.Equal(to.Truncate(time.Second)) || r.states(1) != "[3 1 0 0 0 0 0]" {
		t.Errorf("afterwards %+v, states %s", m, r.states(1))
	}
	for _, again := range []time.Time{to, deadline} {
		for _, e := range r.extend(again, false) {
			if e.Problem == "" {
				t.Errorf("a deadline was moved from %s to %s", e.Old, e.New)
			}
		}
	}
	if now, _ := r.seq.Ledger().Position(); now != size+2 {
		t.Errorf("%d entries were appended, want 2", now-size)
	}
}

// A log that was retired takes nothing but another key; its last head is signed by the key that is then current.
func TestRetire(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	r.must(r.seq.Retire(t.Context(), ledger.RetiredMoved, start))
	size, _ := r.seq.Ledger().Position()
	r.must(r.seq.Retire(t.Context(), ledger.RetiredEnded, start))
	r.heard(deadline.Add(time.Hour))
	r.closes("retired", deadline.Add(time.Hour), 1000*time.Hour)
	r.closes("retired, a day later", deadline.Add(25*time.Hour), 1025*time.Hour)
	if got := r.submit(r.session(), r.receipt(1, set(0, 0), nil)); got[0] != NotAssigned {
		t.Errorf("a receipt: %v", got)
	}
	for _, e := range r.extend(deadline.Add(time.Hour), false) {
		if e.Problem == "" {
			t.Errorf("extended %+v", e)
		}
	}
	if err := r.seq.Assign(t.Context(), r.request(newKey(t, origin.AgentKeyName(agentB), 3)), agentA, start); !isRetired(err) {
		t.Errorf("assigning: %v", err)
	}
	if now, _ := r.seq.Ledger().Position(); now != size || !r.seq.Retired() {
		t.Errorf("%d entries were appended, retired %v", now-size, r.seq.Retired())
	}
	next := newKey(t, string(origin), 8)
	r.must(r.seq.Rekey(t.Context(), next, start))
	note, _, err := r.seq.Head()
	r.must(err)
	if _, err := ledger.OpenHead(note, next.Verifier()); err != nil {
		t.Errorf("the last head: %v", err)
	}
}
