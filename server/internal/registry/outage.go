package registry

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/ledger"
)

const (
	// LeastOutage is the shortest time without a note of [Registry.NotePresence] that counts as an outage.
	LeastOutage = 10 * time.Minute
	// OutagesKept is for how long outages are listed.
	OutagesKept = 400 * day
)

// Outage is a time in which the server was not there.
type Outage struct {
	Number     int64     `json:"number"` // from 1
	Start      time.Time `json:"start"`  // when it was last known to be there
	End        time.Time `json:"end"`    // when it was there again
	AnsweredAt time.Time `json:"answered_at"`
}

// Length returns for how long it lasted, in whole seconds, rounded up: deadlines have no fractions.
func (o Outage) Length() time.Duration {
	return (o.End.Sub(o.Start) + time.Second - 1).Truncate(time.Second)
}

// ExtendedTo is the deadline that a manifest has, or is going to have, as the answer to an outage.
type ExtendedTo struct {
	Manifest int64     `json:"manifest"`
	Deadline time.Time `json:"deadline"`
}

type presence struct {
	At time.Time `json:"at"`
}

// NotePresence notes that the server is there at the instant at. Where the last note is older than [LeastOutage], it
// keeps the time in between as an outage and returns it; otherwise the outage's number is 0. A clock that was set back
// makes no outage.
func (r *Registry) NotePresence(at time.Time) (found Outage, err error) {
	err = r.update(func(txn *badger.Txn) error {
		found = Outage{}
		last, err := get[presence](txn, key(presenceTable), SubjectOutage, "presence")
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if err == nil && at.Sub(last.At) > LeastOutage {
			all, err := list[Outage](txn, outageTable)
			if err != nil {
				return err
			}
			found = Outage{Number: 1, Start: last.At, End: at.UTC()}
			if len(all) > 0 {
				found.Number = all[len(all)-1].Number + 1
			}
			if err := put(txn, outageKey(found.Number), found); err != nil {
				return err
			}
		}
		return put(txn, key(presenceTable), presence{at.UTC()})
	})
	return found, err
}

// Outages returns those that ended less than [OutagesKept] before the instant at, newest first.
func (r *Registry) Outages(at time.Time) (outages []Outage, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		outages, err = list[Outage](txn, outageTable)
		return err
	})
	slices.Reverse(outages)
	return slices.DeleteFunc(outages, func(o Outage) bool { return at.Sub(o.End) >= OutagesKept }), err
}

// Outage returns the outage of that number, or [ErrNotFound].
func (r *Registry) Outage(number int64) (o Outage, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		o, err = get[Outage](txn, outageKey(number), SubjectOutage, fmt.Sprint(number))
		return err
	})
	return o, err
}

// AnswerOutage takes down that extensions answered an outage, unless that is known. The error is [ErrNotFound].
func (r *Registry) AnswerOutage(number int64, at time.Time) error {
	return r.update(func(txn *badger.Txn) error {
		o, err := get[Outage](txn, outageKey(number), SubjectOutage, fmt.Sprint(number))
		if err != nil || !o.AnsweredAt.IsZero() {
			return err
		}
		o.AnsweredAt = at.UTC()
		return put(txn, outageKey(number), o)
	})
}

// Extended returns, by manifest, to which deadlines manifests of a log were extended for an outage.
func (r *Registry) Extended(outage int64, origin ledger.Origin) (deadlines map[int64]time.Time, err error) {
	deadlines = map[int64]time.Time{}
	err = r.db.View(func(txn *badger.Txn) error {
		kept, err := extended(txn, outage, origin)
		for _, e := range kept {
			deadlines[e.Manifest] = e.Deadline
		}
		return err
	})
	return deadlines, err
}

// NoteExtended takes down, before it is done, to which deadlines manifests are going to be extended for an outage, so that
// none is extended for it twice. What is known of a manifest stays.
func (r *Registry) NoteExtended(outage int64, origin ledger.Origin, to []ExtendedTo) error {
	return r.update(func(txn *badger.Txn) error {
		kept, err := extended(txn, outage, origin)
		if err != nil {
			return err
		}
		for _, e := range to {
			if !slices.ContainsFunc(kept, func(k ExtendedTo) bool { return k.Manifest == e.Manifest }) {
				kept = append(kept, ExtendedTo{e.Manifest, e.Deadline.UTC()})
			}
		}
		return put(txn, extendedKey(outage, origin), kept)
	})
}

func extended(txn *badger.Txn, outage int64, origin ledger.Origin) ([]ExtendedTo, error) {
	kept, err := get[[]ExtendedTo](txn, extendedKey(outage, origin), SubjectOutage, fmt.Sprint(outage))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return kept, err
}

func outageKey(number int64) []byte { return key(outageTable, fmt.Sprintf("%09d", number)) }

func extendedKey(outage int64, origin ledger.Origin) []byte {
	return key(extendedTable, fmt.Sprintf("%09d", outage), origin.LogID())
}
