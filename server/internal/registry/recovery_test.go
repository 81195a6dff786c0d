package registry

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
)

const (
	logA = ledger.Origin("wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff")
	logB = ledger.Origin("wolkvox.com/backup/acme-2/nas/00112233445566778899aabbccddeeff")
)

func TestRecovery(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := open(t, dir)
	empty, err := r.Recovery(logA)
	check(t, err)
	if diff := cmp.Diff(Recovery{Origin: logA}, empty); diff != "" {
		t.Errorf("a record that was never written (-want +got):\n%s", diff)
	}
	want := Recovery{Origin: logA, Begun: true, LastHead: []byte("head"), HeldSize: 7, Recovering: true,
		Wanted: [][]byte{[]byte("kept")}, CatalogStale: true, Acts: [][]byte{[]byte("act")}}
	got, err := r.UpdateRecovery(logA, func(rec *Recovery) { *rec = want; rec.Origin = logB })
	check(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("UpdateRecovery (-want +got):\n%s", diff)
	}
	_, err = r.UpdateRecovery(logB, func(rec *Recovery) { rec.Begun = true })
	check(t, err)
	if _, err := r.UpdateRecovery("x", func(*Recovery) {}); err == nil {
		t.Error("a record of no log was written")
	}
	check(t, r.Close())
	r = open(t, dir)
	defer func() { check(t, r.Close()) }()
	all, err := r.Recoveries()
	check(t, err)
	if diff := cmp.Diff([]Recovery{{Origin: logB, Begun: true}, want}, all); diff != "" {
		t.Errorf("Recoveries after opening again (-want +got):\n%s", diff)
	}
}

func TestAlarms(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	raise := func(origin ledger.Origin, kind AlarmKind, at time.Time) bool {
		raised, err := r.RaiseAlarm(Alarm{Origin: origin, Kind: kind, RaisedAt: at, Message: "m", Heads: [][]byte{[]byte("h")}})
		check(t, err)
		return raised
	}
	if !raise(logA, AlarmFork, at.Add(time.Hour)) || !raise(logA, AlarmCloned, at) || !raise(logB, AlarmFork, at) {
		t.Error("an alarm was not raised")
	}
	if raise(logA, AlarmFork, at.Add(2*time.Hour)) {
		t.Error("an alarm was raised twice")
	}
	kinds := func(tenant string) (kinds []AlarmKind) {
		alarms, err := r.Alarms(tenant)
		check(t, err)
		for _, a := range alarms {
			kinds = append(kinds, a.Kind)
		}
		return kinds
	}
	if got := kinds("acme"); !slices.Equal(got, []AlarmKind{AlarmCloned, AlarmFork}) {
		t.Errorf("alarms of acme: %v", got)
	}
	if got := kinds(""); len(got) != 3 {
		t.Errorf("all alarms: %v", got)
	}
	if a, err := r.Alarm(logA, AlarmFork); err != nil || !a.RaisedAt.Equal(at.Add(time.Hour)) {
		t.Errorf("the first alarm was changed: %v, %v", a, err)
	}
	check(t, r.ClearAlarm(logA, AlarmFork))
	if err := r.ClearAlarm(logA, AlarmFork); !errors.Is(err, ErrNotFound) {
		t.Errorf("clearing again: %v", err)
	}
	if got := kinds("acme"); !slices.Equal(got, []AlarmKind{AlarmCloned}) {
		t.Errorf("alarms of acme after clearing one: %v", got)
	}
	for _, bad := range []Alarm{{Origin: logA}, {Origin: logA, Kind: 5}, {Kind: AlarmFork}} {
		if _, err := r.RaiseAlarm(bad); err == nil {
			t.Errorf("%+v was raised", bad)
		}
	}
}

// The numbers are those of the protocol, and only what stops a log says so.
func TestAlarmKinds(t *testing.T) {
	t.Parallel()
	for number, name := range backupv1.AlarmKind_name {
		if kind := AlarmKind(number); kind != 0 && "ALARM_KIND_"+kind.String() != name {
			t.Errorf("%d is %s here and %s in the protocol", number, kind, name)
		}
	}
	if len(backupv1.AlarmKind_name) != 5 || AlarmCloned.Stops() || AlarmCounts.Stops() || !AlarmFork.Stops() || !AlarmTailLost.Stops() {
		t.Error("kinds of alarms changed")
	}
}
