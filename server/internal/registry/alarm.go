package registry

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/ledger"
)

// AlarmKind is what an alarm is about. The numbers equal those of the protocol.
type AlarmKind int32

// The kinds of alarms.
const (
	AlarmCloned   AlarmKind = 1 // two processes with the same keys serve a destination
	AlarmFork     AlarmKind = 2 // agents hold two histories of a log
	AlarmTailLost AlarmKind = 3 // nobody can supply the entries up to a head that the server signed
	AlarmCounts   AlarmKind = 4 // the counts in a closed entry differ from the fold
)

// String returns the kind as people read it, such as "TAIL_LOST".
func (k AlarmKind) String() string {
	switch k {
	case AlarmCloned:
		return "CLONED"
	case AlarmFork:
		return "FORK"
	case AlarmTailLost:
		return "TAIL_LOST"
	case AlarmCounts:
		return "COUNTS"
	}
	return fmt.Sprintf("AlarmKind(%d)", int32(k))
}

// Stops reports whether nothing is written to the log while an alarm of this kind stands.
func (k AlarmKind) Stops() bool { return k == AlarmFork || k == AlarmTailLost }

// Alarm is something about a log that people have to decide or look at. Of each kind a log has at most one.
type Alarm struct {
	Origin   ledger.Origin `json:"origin"`
	Kind     AlarmKind     `json:"kind"`
	RaisedAt time.Time     `json:"raised_at"`       // UTC
	Message  string        `json:"message"`         // one sentence for a person: what happened and what to do next
	Heads    [][]byte      `json:"heads,omitempty"` // that it is about, signed, as they were received
}

// RaiseAlarm keeps an alarm. Where one of its kind stands for its log already, that one stays as it is, and raised is
// false.
func (r *Registry) RaiseAlarm(a Alarm) (raised bool, err error) {
	if _, err := ledger.ParseOrigin(string(a.Origin)); err != nil || a.Kind < AlarmCloned || a.Kind > AlarmCounts {
		return false, fmt.Errorf("raise the alarm %s of %.200q: unknown kind or no origin", a.Kind, a.Origin)
	}
	a.RaisedAt = a.RaisedAt.UTC()
	err = r.update(func(txn *badger.Txn) error {
		err := create(txn, alarmKey(a.Origin, a.Kind), SubjectAlarm, alarmName(a.Origin, a.Kind), a)
		raised = err == nil
		if errors.Is(err, ErrExists) {
			return nil
		}
		return err
	})
	return raised, err
}

// Alarms returns the alarms that stand for the logs of a tenant, or all where tenant is empty, oldest first.
func (r *Registry) Alarms(tenant string) ([]Alarm, error) {
	var alarms []Alarm
	err := r.db.View(func(txn *badger.Txn) (err error) {
		alarms, err = list[Alarm](txn, alarmTable)
		return err
	})
	if err != nil {
		return nil, err
	}
	alarms = slices.DeleteFunc(alarms, func(a Alarm) bool { return tenant != "" && a.Origin.Tenant() != tenant })
	slices.SortStableFunc(alarms, func(a, b Alarm) int { return a.RaisedAt.Compare(b.RaisedAt) })
	return alarms, nil
}

// Alarm returns the alarm of this kind that stands for a log, or [ErrNotFound].
func (r *Registry) Alarm(origin ledger.Origin, kind AlarmKind) (a Alarm, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		a, err = get[Alarm](txn, alarmKey(origin, kind), SubjectAlarm, alarmName(origin, kind))
		return err
	})
	return a, err
}

// ClearAlarm removes the alarm of this kind of a log, or returns [ErrNotFound] where none stands.
func (r *Registry) ClearAlarm(origin ledger.Origin, kind AlarmKind) error {
	return r.update(func(txn *badger.Txn) error {
		if _, err := get[Alarm](txn, alarmKey(origin, kind), SubjectAlarm, alarmName(origin, kind)); err != nil {
			return err
		}
		return txn.Delete(alarmKey(origin, kind))
	})
}

func alarmKey(origin ledger.Origin, kind AlarmKind) []byte {
	return key(alarmTable, string(origin), strconv.Itoa(int(kind)))
}

func alarmName(origin ledger.Origin, kind AlarmKind) string {
	return kind.String() + " of " + string(origin)
}
