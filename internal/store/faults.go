package store

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

const (
	// maxFaults is how many distinct faults are kept of one manifest; more are told apart by class, party and code only.
	maxFaults = 256
	// maxMessageBytes is how much of a fault's message is kept.
	maxMessageBytes = 1024
)

// Fault is why an attempt failed.
type Fault struct {
	Class    string // disk full, credentials …: what decides the remedy
	Party    string // whose affair it is
	Code     string // the provider's or the operating system's own code
	Message  string // for people; cut after 1 KiB
	Last     time.Time
	Attempts int64 // how many attempts ended so; as given to [Ledger.PutFault], those since the last report, at least 1
}

// ItemsFault is a fault and the items that it is about.
type ItemsFault struct {
	Items ledger.Set // none where it is about the destination as a whole
	Fault Fault
}

type faultRecord struct {
	Class    string    `json:"class"`
	Party    string    `json:"party"`
	Code     string    `json:"code"`
	Message  string    `json:"message"`
	Last     time.Time `json:"last"`
	Attempts int64     `json:"attempts"`
	Items    []byte    `json:"items,omitempty"` // a roaring bitmap
}

// faultGroup is a faultRecord in use.
type faultGroup struct {
	number int64
	fault  Fault
	items  *roaring.Bitmap
	dirty  bool // differs from its record
}

// PutFault records that the last attempt at some items of sealed manifest n ended with f, whatever was recorded of
// these items before; with n = 0, that f stands in the way of the destination as a whole. Faults that are alike except
// for items and times are counted together.
func (l *Ledger) PutFault(n int64, items ledger.Set, f Fault) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	f.Attempts = max(f.Attempts, 1)
	f.Message = strings.ToValidUTF8(f.Message[:min(len(f.Message), maxMessageBytes)], "")
	groups, err := l.faults(n)
	if err != nil {
		return err
	}
	about := bitmapOf(items)
	for i := range groups {
		if g := &groups[i]; g.items.Intersects(about) {
			g.items, g.dirty = roaring.AndNot(g.items, about), true
		}
	}
	groups = addFault(groups, f, about)
	return l.update("put a fault", func(tx *badger.Txn) error {
		for _, g := range groups {
			if err := g.write(tx, l.id, n); err != nil {
				return err
			}
		}
		return nil
	})
}

// addFault adds f to the group of its like, or to a new one.
func addFault(groups []faultGroup, f Fault, about *roaring.Bitmap) []faultGroup {
	at := slices.IndexFunc(groups, func(g faultGroup) bool {
		return g.fault.sameCause(f) && (g.fault.Message == f.Message || len(groups) >= maxFaults)
	})
	if at < 0 {
		number := int64(1)
		if len(groups) > 0 {
			number = groups[len(groups)-1].number + 1
		}
		return append(groups, faultGroup{number, f, about, true})
	}
	g := &groups[at]
	f.Attempts += g.fault.Attempts
	if f.Last.Before(g.fault.Last) {
		f.Last = g.fault.Last
	}
	g.fault, g.items, g.dirty = f, roaring.Or(g.items, about), true
	return groups
}

func (f Fault) sameCause(g Fault) bool {
	return f.Class == g.Class && f.Party == g.Party && f.Code == g.Code
}

// write keeps the group, or removes it where no item is left.
func (g faultGroup) write(tx *badger.Txn, id ledgerID, n int64) error {
	if !g.dirty {
		return nil
	}
	key := id.key(tableFaults, n, g.number)
	if n > 0 && g.items.IsEmpty() {
		return tx.Delete(key)
	}
	g.items.RunOptimize()
	items, err := g.items.ToBytes()
	if err != nil {
		return fmt.Errorf("encode the items of a fault: %w", err)
	}
	f := g.fault
	return set(tx, key, faultRecord{f.Class, f.Party, f.Code, f.Message, f.Last.UTC(), f.Attempts, items})
}

// faults reads the groups of manifest n in the order of their numbers, each with those of its items only that are still
// pending or expired; groups without any are among them.
func (l *Ledger) faults(n int64) ([]faultGroup, error) {
	var open *roaring.Bitmap
	if n != 0 {
		st, err := l.states(l.state.Load(), n)
		if err != nil {
			return nil, err
		}
		open = roaring.Or(st[backup.Pending], st[backup.Expired])
	}
	var groups []faultGroup
	err := l.db.view(func(tx *badger.Txn) error {
		return each(tx, l.id.key(tableFaults, n), func(key, value []byte) error {
			var r faultRecord
			if err := decode(key, value, &r); err != nil {
				return err
			}
			items := roaring.New()
			if err := decodeBitmap(items, r.Items); err != nil {
				return damaged(l.origin, "the items of a fault of manifest %d: %v", n, err)
			}
			g := faultGroup{lastNumber(key), Fault{r.Class, r.Party, r.Code, r.Message, r.Last, r.Attempts}, items, false}
			if open != nil {
				g.items = roaring.And(items, open)
				g.dirty = g.items.GetCardinality() != items.GetCardinality()
			}
			groups = append(groups, g)
			return nil
		})
	})
	return groups, err
}

// Faults returns the faults of manifest n, those seen last first, without the items that are neither pending nor expired
// any more; with n = 0 those of the destination as a whole.
func (l *Ledger) Faults(n int64) ([]ItemsFault, error) {
	groups, err := l.faults(n)
	if err != nil {
		return nil, err
	}
	var faults []ItemsFault
	for _, g := range groups {
		if n == 0 || !g.items.IsEmpty() {
			faults = append(faults, ItemsFault{setOf(g.items), g.fault})
		}
	}
	slices.SortStableFunc(faults, func(a, b ItemsFault) int { return b.Fault.Last.Compare(a.Fault.Last) })
	return faults, nil
}

// LastFault returns the fault of manifest n that was seen last, as [Ledger.Faults] does; false where there is none.
func (l *Ledger) LastFault(n int64) (Fault, bool, error) {
	faults, err := l.Faults(n)
	if err != nil || len(faults) == 0 {
		return Fault{}, false, err
	}
	return faults[0].Fault, true, nil
}
