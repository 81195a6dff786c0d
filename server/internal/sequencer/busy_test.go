package sequencer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/internal/registry"
)

// slowEvidence is kept only once it is told.
type slowEvidence struct{ begun, goOn chan struct{} }

func (e slowEvidence) Keep(context.Context, *store.Ledger, []byte, time.Time) (string, error) {
	close(e.begun)
	<-e.goOn
	return "", nil
}

// What a heartbeat asks of a log does not wait for evidence to be written, and neither does closing in other logs.
func TestHeartbeatDuringAnOffer(t *testing.T) {
	t.Parallel()
	r := newRig(t, 10)
	session := r.session()
	r.seal(2, 5)
	whole := r.hold()
	kept := r.agree(whole)
	r.rollBack(3, true)
	r.seal(2, 7)
	slow := slowEvidence{make(chan struct{}), make(chan struct{})}
	r.seq.evidence = slow
	ended := make(chan error)
	go func() {
		_, err := r.offer(whole, whole.all())
		ended <- err
	}()
	<-slow.begun
	if err := r.seq.CheckSession(session); err != nil {
		t.Error(err)
	}
	r.seq.Heard(agentA, session, start, start)
	if err := r.seq.RecordAgreement(t.Context(), kept); !errors.Is(err, ErrBusy) {
		t.Errorf("an agreed head: %v", err)
	}
	if _, err := r.seq.Close(t.Context(), deadline.AddDate(1, 0, 0), time.Hour); !errors.Is(err, ErrBusy) {
		t.Errorf("closing: %v", err)
	}
	close(slow.goOn)
	r.must(<-ended)
	r.must(r.seq.RecordAgreement(t.Context(), kept))
}

// An offer does not fill the volume, neither with what comes nor with evidence.
func TestOfferWithoutRoom(t *testing.T) {
	t.Parallel()
	r := newRig(t, 10)
	r.seal(2, 5)
	whole := r.hold()
	r.rollBack(3, true)
	r.seal(2, 7)
	now := r.hold()
	full := errors.New("full")
	for roomFor := range 4 { // lines, an entry, evidence
		left := roomFor
		r.seq.room = func() error {
			if left--; left < 0 {
				return full
			}
			return nil
		}
		taken, err := r.offer(whole, whole.all())
		if enough := roomFor > 2; taken != enough || enough != (err == nil) {
			t.Fatalf("room for %d: %t, %v", roomFor, taken, err)
		} else if !enough && (!errors.Is(err, store.ErrNoRoom) || !errors.Is(err, full)) {
			t.Errorf("room for %d: %v", roomFor, err)
		} else if !enough {
			r.equals(now)
		}
		if left, err := os.ReadDir(filepath.Join(r.evidence, "offers")); err != nil || len(left) != 0 {
			t.Errorf("%d offers are left on the disk, %v", len(left), err)
		}
	}
}

// Counts in a closed that are not what the log adds up to are an alarm when an agent brings the log back.
func TestCountsOfAnOffer(t *testing.T) {
	t.Parallel()
	for _, wrong := range []int64{0, 1} {
		r := newRig(t, 10)
		m, _ := r.seq.Manifest(1)
		counts := ledger.Counts{}
		counts[backup.Expired] = 10 - wrong
		counts[backup.Confirmed] = wrong
		r.must(r.seq.append(t.Context(), start, ledger.Closed{Manifest: 1, Root: m.Root, Counts: counts}))
		whole := r.hold()
		r.rollBack(2, true)
		if taken, err := r.offer(whole, whole.all()); !taken || err != nil {
			t.Fatalf("the offer: %t, %v", taken, err)
		}
		if r.alarm(registry.AlarmCounts) != (wrong > 0) {
			t.Errorf("with %d counted wrong the alarm is %t", wrong, r.alarm(registry.AlarmCounts))
		}
		if recovering, err := r.compare(known(whole.all(), nil)); err != nil || recovering {
			t.Errorf("it recovers on: %t, %v", recovering, err)
		}
	}
}
