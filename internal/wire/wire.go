// Package wire translates between the generated messages of wolkvox.backup.v1 and the types of packages backup and
// ledger, and between errors and gRPC statuses. What comes from a peer is judged here: an unknown enum value, a set of
// indexes out of order or beyond its limits, a digest or a root of the wrong length is an error, never a default.
//
// It calls nothing, keeps nothing, and decides nothing about what a message means.
package wire

import (
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
)

// State returns s as it travels; the numbers are the same.
func State(s backup.State) backupv1.ItemState { return backupv1.ItemState(s) }

// ParseState is the inverse of [State]; UNSPECIFIED and unknown values are errors.
func ParseState(s backupv1.ItemState) (backup.State, error) {
	if s <= 0 || int(s) > len(backup.States) {
		return 0, fmt.Errorf("unknown item state %d", s)
	}
	return backup.State(s), nil
}

// MediaKind returns k as it travels; the numbers are the same.
func MediaKind(k backup.MediaKind) backupv1.MediaKind { return backupv1.MediaKind(k) }

// ParseMediaKind is the inverse of [MediaKind]; UNSPECIFIED and unknown values are errors.
func ParseMediaKind(k backupv1.MediaKind) (backup.MediaKind, error) {
	if k < backupv1.MediaKind_MEDIA_KIND_GSM || k > backupv1.MediaKind_MEDIA_KIND_OTHER {
		return 0, fmt.Errorf("unknown media kind %d", k)
	}
	return backup.MediaKind(k), nil
}

// StorageKind returns k as it travels; the numbers are the same.
func StorageKind(k backup.StorageKind) backupv1.StorageKind { return backupv1.StorageKind(k) }

// ParseStorageKind is the inverse of [StorageKind]; UNSPECIFIED and unknown values are errors.
func ParseStorageKind(k backupv1.StorageKind) (backup.StorageKind, error) {
	if k < backupv1.StorageKind_STORAGE_KIND_WOLKVOX || k > backupv1.StorageKind_STORAGE_KIND_S3 {
		return 0, fmt.Errorf("unknown storage kind %d", k)
	}
	return backup.StorageKind(k), nil
}

// Indexes returns the ranges of set, ascending and disjoint.
func Indexes(set ledger.Set) []*backupv1.IndexRange {
	ranges := set.Ranges()
	values := make([]backupv1.IndexRange, len(ranges))
	indexes := make([]*backupv1.IndexRange, len(ranges))
	for i, r := range ranges {
		values[i].First, values[i].Last = r.First, r.Last
		indexes[i] = &values[i]
	}
	return indexes
}

// ParseIndexes is the inverse of [Indexes]. Ranges that do not ascend, overlap, touch or run backwards are errors, as are
// more than [ledger.MaxRanges] of them and an index that is not below [ledger.MaxItems]. No ranges are the empty set.
func ParseIndexes(indexes []*backupv1.IndexRange) (ledger.Set, error) {
	if len(indexes) > ledger.MaxRanges {
		return ledger.Set{}, fmt.Errorf("the indexes have %d ranges, more than %d", len(indexes), ledger.MaxRanges)
	}
	ranges := make([]ledger.Range, len(indexes))
	last := int64(-2)
	for i, r := range indexes {
		first := r.GetFirst()
		switch {
		case first < 0 || r.GetLast() < first:
			return ledger.Set{}, fmt.Errorf("%d to %d is no range of indexes", first, r.GetLast())
		case first <= last+1:
			return ledger.Set{}, fmt.Errorf("the range from %d does not leave a gap after %d", first, last)
		case r.GetLast() >= ledger.MaxItems:
			return ledger.Set{}, fmt.Errorf("index %d is not below %d", r.GetLast(), ledger.MaxItems)
		}
		last = r.GetLast()
		ranges[i] = ledger.Range{First: first, Last: last}
	}
	return ledger.NewSet(ranges...), nil
}

// Position returns a prefix of a log: its size in entries and its root.
func Position(size int64, root tlog.Hash) *backupv1.LogPosition {
	return &backupv1.LogPosition{Size: size, Root: root[:]}
}

// ParsePosition is the inverse of [Position]. The root of the empty log has to be the empty tree's, or absent.
func ParsePosition(p *backupv1.LogPosition) (size int64, root tlog.Hash, err error) {
	size = p.GetSize()
	switch {
	case p == nil:
		return 0, root, fmt.Errorf("the log's position is missing")
	case size < 0 || size > ledger.MaxDecimal:
		return 0, root, fmt.Errorf("%d is no size of a log", size)
	case size == 0 && len(p.GetRoot()) == 0:
		return 0, ledger.EmptyRoot(), nil
	case len(p.GetRoot()) != len(root):
		return 0, root, fmt.Errorf("a root hash has %d bytes instead of %d", len(p.GetRoot()), len(root))
	}
	copy(root[:], p.GetRoot())
	if size == 0 && root != ledger.EmptyRoot() {
		return 0, root, fmt.Errorf("the empty log has another root hash than the empty tree's")
	}
	return size, root, nil
}

// Counts returns the number of items in each state.
func Counts(c ledger.Counts) *backupv1.StateCounts {
	return &backupv1.StateCounts{
		PendingCount:   c[backup.Pending],
		ConfirmedCount: c[backup.Confirmed],
		ExpiredCount:   c[backup.Expired],
		WaivedCount:    c[backup.Waived],
		ReleasedCount:  c[backup.Released],
		WithdrawnCount: c[backup.Withdrawn],
		ForgottenCount: c[backup.Forgotten],
	}
}

// ParseCounts is the inverse of [Counts]; a negative count is an error.
func ParseCounts(c *backupv1.StateCounts) (ledger.Counts, error) {
	counts := ledger.Counts{
		backup.Pending:   c.GetPendingCount(),
		backup.Confirmed: c.GetConfirmedCount(),
		backup.Expired:   c.GetExpiredCount(),
		backup.Waived:    c.GetWaivedCount(),
		backup.Released:  c.GetReleasedCount(),
		backup.Withdrawn: c.GetWithdrawnCount(),
		backup.Forgotten: c.GetForgottenCount(),
	}
	for _, s := range backup.States {
		if counts[s] < 0 {
			return ledger.Counts{}, fmt.Errorf("%d items cannot be %s", counts[s], s)
		}
	}
	return counts, nil
}

// Time returns t as it travels, and nil for the zero time.
func Time(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// ParseTime is the inverse of [Time], in UTC; a timestamp outside the years 1 to 9999 is an error.
func ParseTime(t *timestamppb.Timestamp) (time.Time, error) {
	if t == nil {
		return time.Time{}, nil
	}
	if err := t.CheckValid(); err != nil {
		return time.Time{}, fmt.Errorf("read a timestamp: %w", err)
	}
	return t.AsTime(), nil
}
