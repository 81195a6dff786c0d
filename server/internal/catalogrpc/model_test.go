package catalogrpc_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// model is what the contract says of a few interactions of yesterday, each of which may have two recordings.
type model struct {
	said   map[string]string            // by interaction: why it has no recording
	path   map[string]map[string]string // by interaction and path: the announced contents
	files  map[string]string            // by path: what lies there
	sealed map[string]string            // by path: what was sealed last
	reason map[string]string            // by interaction that was counted: why it has no recording, "" where it has one
}

// contents are such that a wrong one has the right size.
var contents = []string{"one", "two"}

// Whatever is announced, written and sealed in whatever order, with crashes and restarts: every verdict is that of the
// model, and the log's counts are too.
func TestModel(t *testing.T) {
	t.Parallel()
	for range 5 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			play(t, rand.New(rand.NewPCG(seed, 0)))
		})
	}
}

func play(t *testing.T, random *rand.Rand) {
	r := newRig(t)
	m := &model{said: map[string]string{}, path: map[string]map[string]string{}, files: map[string]string{}, sealed: map[string]string{}, reason: map[string]string{}}
	at := r.noon(-1)
	for range 50 {
		interaction := fmt.Sprintf("call-%d", random.IntN(6))
		path := fmt.Sprintf("%s.%d", interaction, random.IntN(2))
		text := contents[random.IntN(2)]
		switch action := random.IntN(20); {
		case action < 8:
			r.want(m.recording(interaction, path, text), recording(interaction, path, text, at))
		case action < 12:
			reason := []backupv1.NoRecordingReason{abandoned, failed}[random.IntN(2)]
			r.want(m.none(interaction, map[backupv1.NoRecordingReason]string{abandoned: "abandoned", failed: "failed"}[reason]), none(interaction, reason, at))
		case action < 15:
			if m.files[path] == "" {
				r.Write(path, text, at)
				m.files[path] = text
			}
		case action < 17:
			r.cutOff(0)
			m.look(false)
		case action < 18:
			crash(r)
		default:
			r.Restart()
			r.connect()
		}
		m.check(t, r)
	}
	r.cutOff(1)
	m.look(true)
	m.check(t, r)
}

// crash looks while the store fails before it seals.
func crash(r *rig) {
	r.Fault = func(point string) (bool, error) {
		if point == "append" {
			return false, errors.New("the power went")
		}
		return true, nil
	}
	_, _ = r.Sealer.Look(r.t.Context(), "acme", "", true, r.noon(0).Add(-1))
	_, _ = r.Sealer.Look(r.t.Context(), "acme", "", true, r.noon(0))
	r.Fault = nil
	r.Restart()
	r.connect()
}

func (m *model) recording(interaction, path, text string) backupv1.AnnouncementVerdict_Verdict {
	known, is := m.path[interaction][path]
	_, counted := m.reason[interaction]
	switch {
	case is && known == text:
		return unchanged
	case is && m.sealed[path] != "":
		return alreadySealed
	case m.said[interaction] != "" && counted:
		return conflict
	}
	verdict := accepted
	if is || m.said[interaction] != "" {
		verdict = updated
	}
	delete(m.said, interaction)
	if m.path[interaction] == nil {
		m.path[interaction] = map[string]string{}
	}
	m.path[interaction][path] = text
	return verdict
}

func (m *model) none(interaction, reason string) backupv1.AnnouncementVerdict_Verdict {
	_, counted := m.reason[interaction]
	if m.said[interaction] == reason {
		return unchanged
	}
	for path := range m.path[interaction] {
		if m.sealed[path] != "" {
			return conflict
		}
	}
	if counted {
		return alreadySealed
	}
	verdict := accepted
	if m.said[interaction] != "" || len(m.path[interaction]) > 0 {
		verdict = updated
	}
	delete(m.path, interaction)
	m.said[interaction] = reason
	return verdict
}

// look seals what is there, and counts what is known; all of it where the following night is cut off.
func (m *model) look(final bool) {
	maps.Copy(m.sealed, m.files)
	for interaction, reason := range m.said {
		if _, counted := m.reason[interaction]; !counted {
			m.reason[interaction] = reason
		}
	}
	for interaction, announced := range m.path {
		if _, counted := m.reason[interaction]; counted {
			continue
		}
		there, absent, differ := 0, 0, 0
		for path, text := range announced {
			switch m.sealed[path] {
			case text:
				there++
			case "":
				absent++
			default:
				differ++
			}
		}
		switch {
		case there > 0:
			m.reason[interaction] = ""
		case absent > 0 && !final:
		case differ > 0:
			m.reason[interaction] = "differs"
		default:
			m.reason[interaction] = "missing"
		}
	}
}

func (m *model) check(t *testing.T, r *rig) {
	t.Helper()
	want := nightCounts{Items: int64(len(m.sealed)), Interactions: int64(len(m.reason))}
	for _, reason := range m.reason {
		if reason != "" {
			want.Unrecorded = add(want.Unrecorded, reason, 1)
		}
	}
	got := r.counts()[backup.Date(r.today.AddDays(-1))]
	got.Manifests = 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("the night (-want +got):\n%s", diff)
	}
}
