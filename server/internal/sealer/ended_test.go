package sealer_test

import (
	"errors"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/sealer"
	"github.com/wolkvox/backup/server/internal/servertest"
)

// Nothing is sealed or withdrawn for a destination that has ended, and all goes on for the others until the tenant ends.
func TestEnded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 10, 17, 0, 0, 0, time.UTC)
	s := servertest.New(t, bogota, backup.StorageRSYNC, now)
	other, _ := s.Sequencers.Of(s.AddDestination("s3", backup.StorageS3))
	s.Write("a.gsm", "a", now.Add(-time.Hour))
	s.Look(false, now)
	s.Must(s.Sequencer().Retire(t.Context(), ledger.RetiredMoved, now))
	size, _ := s.Sequencer().Ledger().Position()
	s.Write("a.gsm", "changed", now.Add(-time.Minute))
	s.Write("b.gsm", "b", now.Add(-time.Hour))
	later := now.Add(48 * time.Hour)
	for range 2 {
		for _, result := range s.Look(true, later) {
			if result.Destination.Name != "s3" {
				t.Errorf("something was done for %s", result.Destination.Name)
			}
		}
	}
	checked, err := s.Sealer.CheckSource(t.Context(), s.Origin, 1, ledger.NewSet(ledger.Range{}), later)
	if err != nil || !checked.Changed.IsEmpty() {
		t.Errorf("checked %+v, %v", checked, err)
	}
	if now, _ := s.Sequencer().Ledger().Position(); now != size {
		t.Errorf("%d entries were appended after the end", now-size)
	}
	last := other.Last()
	if last < 2 {
		t.Errorf("the other destination has %d manifests", last)
	}
	if _, err := s.Sealer.Look(t.Context(), servertest.Tenant, servertest.Destination, false, later); !errors.Is(err, sealer.ErrEnded) {
		t.Errorf("sealing for what has ended: %v", err)
	}
	s.Must(s.Registry.EndTenant(servertest.Tenant, later))
	s.Write("c.gsm", "c", now.Add(-time.Hour))
	if _, err := s.Sealer.Look(t.Context(), servertest.Tenant, "", true, later.Add(time.Hour)); !errors.Is(err, sealer.ErrEnded) || other.Last() != last {
		t.Errorf("sealing for a tenant that has ended: %v, %d manifests", err, other.Last())
	}
}
