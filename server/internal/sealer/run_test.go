package sealer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/servertest"
)

// While Run runs, a requested check withdraws and replaces, and what is due is closed; it ends with its context, also in
// the middle of a scheduled night.
func TestRun(t *testing.T) {
	t.Parallel()
	now := time.Now()
	old := now.Add(-48 * time.Hour)
	s := servertest.New(t, bogota, backup.StorageRSYNC, now)
	s.Write("a.gsm", "before", old)
	s.Look(false, now)
	s.Write("a.gsm", "afterwards", old.Add(time.Hour))
	s.Write("b.gsm", "still unsettled", old)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	done := make(chan error, 1)
	go func() { done <- s.Sealer.Run(ctx) }()
	for range 3 {
		s.Sealer.RequestCheck(s.Origin, 1, ledger.NewSet(ledger.Range{}))
	}
	for {
		changed := s.Sequencer().Ledger().Changed()
		if s.Sequencer().Last() == 2 {
			break
		}
		select {
		case <-changed:
		case err := <-done:
			t.Fatal(err)
		}
	}
	cancel(stop)
	if err := <-done; !errors.Is(err, stop) {
		t.Errorf("Run returned %v", err)
	}
	m, _ := s.Sequencer().Manifest(1)
	check(t, s.Sequencer(), "1 "+m.Night.String()+" main/a.gsm:6:withdrawn", "2 "+m.Night.String()+" main/a~2.gsm:10:pending")

	s.Enroll()
	session, err := s.Sequencer().OpenSession([16]byte{1})
	s.Must(err)
	s.Must(s.Sequencer().CheckSession(session)) // a session counts from its first use on
	s.Sequencer().Heard(servertest.Agent, session, m.Deadline.Add(time.Second), m.Deadline.Add(time.Second))
	s.Sealer.CloseDue(t.Context(), m.Deadline.Add(time.Second), time.Second)
	check(t, s.Sequencer(), "1 "+m.Night.String()+" main/a.gsm:6:withdrawn", "2 "+m.Night.String()+" main/a~2.gsm:10:expired")
}

func TestSealWaits(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, bogota, backup.StorageRSYNC, time.Now())
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	results, err := s.Sealer.Seal(ctx, servertest.Tenant, servertest.Destination, true)
	s.Must(err) // nothing is there to wait for
	if len(results) != 1 || len(results[0].Sealed) != 0 {
		t.Errorf("results %+v", results)
	}
	s.Write("a.gsm", "a", time.Now().Add(-time.Hour))
	time.AfterFunc(100*time.Millisecond, func() { cancel(stop) })
	if results, err = s.Sealer.Seal(ctx, servertest.Tenant, "", true); !errors.Is(err, stop) || results[0].UnsettledCount != 1 {
		t.Errorf("interrupted while waiting: %+v, %v", results, err)
	}
}
