package store

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

const (
	// durationGroup is how many items' durations stand in one record.
	durationGroup = 4096
	// durationGroups is how many records one transaction changes; each has at most some 20 KiB.
	durationGroups = 32
	// maxDuration is the longest that is kept: a recording of more than a month is none.
	maxDuration = 1000 * time.Hour
)

// UnknownDuration stands for that of an item of which none was put.
const UnknownDuration time.Duration = -1

// PutDurations keeps how long some items of manifest n sound, by index, whatever was kept before. What is negative or longer
// than 1000 hours is not kept. Nobody else has them: they are gone with the store.
func (l *Ledger) PutDurations(n int64, durations map[int64]time.Duration) error {
	groups := map[int64][]int64{}
	for index := range durations {
		group := index / durationGroup
		groups[group] = append(groups[group], index)
	}
	l.writer.Lock()
	defer l.writer.Unlock()
	for part := range slices.Chunk(slices.Sorted(maps.Keys(groups)), durationGroups) {
		err := l.update("put durations", func(tx *badger.Txn) error {
			for _, group := range part {
				key := l.id.key(tableDurations, n, group)
				value, err := read(tx, key)
				if err != nil {
					return err
				}
				kept, err := l.decodeDurations(n, group, value)
				if err != nil {
					return err
				}
				for _, index := range groups[group] {
					if d := durations[index]; d >= 0 && d <= maxDuration {
						kept[index%durationGroup] = d
					}
				}
				if err := tx.Set(key, encodeDurations(kept)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Durations returns how long items of manifest n sound, to the millisecond, from index from on: at least one, and not all.
// What is not known is [UnknownDuration], also of items that do not exist.
func (l *Ledger) Durations(n, from int64) ([]time.Duration, error) {
	var value []byte
	err := l.db.view(func(tx *badger.Txn) (err error) {
		value, err = read(tx, l.id.key(tableDurations, n, from/durationGroup))
		return err
	})
	if err != nil {
		return nil, err
	}
	durations, err := l.decodeDurations(n, from/durationGroup, value)
	if err != nil {
		return nil, err
	}
	return durations[from%durationGroup:], nil
}

// A record has for each item of the group a varint: milliseconds and one, 0 for not known. Those at the end that are not known
// are left out.
func encodeDurations(durations []time.Duration) []byte {
	var value []byte
	used := 0
	for _, d := range durations {
		if d == UnknownDuration {
			value = append(value, 0)
			continue
		}
		value = binary.AppendUvarint(value, uint64(d/time.Millisecond)+1)
		used = len(value)
	}
	return value[:used]
}

func (l *Ledger) decodeDurations(n, group int64, value []byte) ([]time.Duration, error) {
	durations := make([]time.Duration, durationGroup)
	for i := range durations {
		durations[i] = UnknownDuration
		if len(value) == 0 {
			continue
		}
		number, size := binary.Uvarint(value)
		if size <= 0 || number > uint64(maxDuration/time.Millisecond)+1 {
			return nil, damaged(l.origin, "the durations of manifest %d from item %d on are unreadable", n, group*durationGroup)
		}
		value = value[size:]
		if number > 0 {
			durations[i] = time.Duration(number-1) * time.Millisecond
		}
	}
	if len(value) > 0 {
		return nil, damaged(l.origin, "the durations of manifest %d from item %d on are too many", n, group*durationGroup)
	}
	return durations, nil
}
