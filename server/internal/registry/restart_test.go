package registry

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

func TestRestartDestination(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	old, err := r.CreateDestination("acme", "nas", backup.StorageRSYNC, at)
	check(t, err)
	_, err = r.AddLogKey(old.Origin)
	check(t, err)
	oldKeys, err := r.LogKeys(old.Origin)
	check(t, err)
	for _, kind := range []AlarmKind{AlarmCloned, AlarmFork} {
		_, err := r.RaiseAlarm(Alarm{Origin: old.Origin, Kind: kind, RaisedAt: at})
		check(t, err)
	}
	last := ledger.KnownHead{Origin: old.Origin, Size: 17, Root: ledger.LineHash([]byte("x"))}
	restarted, err := r.RestartDestination(old.Origin, last, at.Add(time.Hour))
	check(t, err)
	if restarted.Origin == old.Origin || restarted.ServerKey == old.ServerKey || restarted.Previous != last || restarted.Agent != "" || restarted.Kind != old.Kind {
		t.Errorf("the restarted destination is %+v", restarted)
	}
	if got, err := r.Destination("acme", "nas"); err != nil || got != restarted {
		t.Errorf("Destination = %+v, %v, want the restarted one", got, err)
	}
	if got, err := r.DestinationOf(old.Origin); err != nil || got != old {
		t.Errorf("DestinationOf the old log = %+v, %v, want %+v", got, err, old)
	}
	if got, err := r.FormerDestinations(); err != nil || !cmp.Equal(got, []Destination{old}) {
		t.Errorf("FormerDestinations = %+v, %v", got, err)
	}
	if keys, err := r.LogKeys(old.Origin); err != nil || len(keys) != 2 || keys[0].Verifier() != oldKeys[0].Verifier() || keys[1].Verifier() != oldKeys[1].Verifier() {
		t.Errorf("LogKeys of the old log = %v, %v, want %v", keys, err, oldKeys)
	}
	if keys, err := r.LogKeys(restarted.Origin); err != nil || len(keys) != 1 || keys[0].Verifier() != restarted.ServerKey {
		t.Errorf("LogKeys of the new log = %v, %v, want %v", keys, err, restarted.ServerKey)
	}
	if alarms, err := r.Alarms(""); err != nil || len(alarms) != 0 {
		t.Errorf("Alarms = %v, %v, want none", alarms, err)
	}
	if _, err := r.RestartDestination(old.Origin, last, at); !errors.Is(err, ErrNotFound) {
		t.Errorf("a second restart of the same log = %v, want ErrNotFound", err)
	}
	if err := r.CreateToken([32]byte{1}, old.Origin, at.Add(time.Hour), at); !errors.Is(err, ErrNotFound) {
		t.Errorf("a token for the old log = %v, want ErrNotFound", err)
	}
	check(t, r.CreateToken([32]byte{2}, restarted.Origin, at.Add(time.Hour), at))
}
