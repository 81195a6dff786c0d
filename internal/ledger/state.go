package ledger

import "github.com/wolkvox/backup"

// Next returns the state of an item in state s after an entry of kind k that applies to its index, the manifest
// being open or not (proto/README.md, section 3.2). It is total: what changes nothing returns s.
func Next(k Kind, open bool, s backup.State) backup.State {
	switch k {
	case KindDelivered:
		if s != backup.Forgotten {
			return backup.Confirmed
		}
	case KindLost:
		if s == backup.Confirmed && open {
			return backup.Pending
		}
		if s == backup.Confirmed {
			return backup.Expired
		}
	case KindWaived:
		if s == backup.Pending || s == backup.Expired {
			return backup.Waived
		}
	case KindReleased:
		if s == backup.Confirmed {
			return backup.Released
		}
	case KindClosed:
		if s == backup.Pending {
			return backup.Expired
		}
	case KindExtended:
		if s == backup.Expired {
			return backup.Pending
		}
	case KindWithdrawn:
		if s == backup.Pending || s == backup.Expired || s == backup.Waived {
			return backup.Withdrawn
		}
	case KindForgotten:
		return backup.Forgotten
	}
	return s
}

// ItemStates are the items of one manifest by state, indexed by [backup.State]; the set at 0 is empty. Every index of
// the manifest is in exactly one set.
type ItemStates [8]Set

// Counts returns how many items are in each state.
func (st *ItemStates) Counts() Counts {
	var c Counts
	for s, set := range st {
		c[s] = set.Len()
	}
	return c
}

// Of returns the state of the item with this index; false where the manifest has no such index.
func (st *ItemStates) Of(index int64) (backup.State, bool) {
	for _, s := range backup.States {
		if st[s].Contains(index) {
			return s, true
		}
	}
	return 0, false
}

// apply moves the items at indexes as an entry of kind k says.
func (st *ItemStates) apply(k Kind, open bool, indexes Set) {
	before := *st
	for _, s := range backup.States {
		next := Next(k, open, s)
		if next == s {
			continue
		}
		moved := before[s].Intersect(indexes)
		st[s] = st[s].Difference(moved)
		st[next] = st[next].Union(moved)
	}
}
