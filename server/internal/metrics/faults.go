package metrics

import (
	"cmp"
	"slices"
	"time"

	"github.com/wolkvox/backup/internal/store"
)

// maxCauses is how many causes of one destination are told apart: agents name them, and an agent can make up any number.
const maxCauses = 32

// cause is what faults have in common.
type cause struct{ class, party string }

// otherCause is all causes beyond [maxCauses].
func otherCause() cause { return cause{"other", "other"} }

// faultCounts is how many items are not copied, by cause.
type faultCounts map[cause]int64

// wholeShown is how long a fault of a destination as a whole is counted after it was met last: nobody says that it is over,
// and while it lasts it is met again with every try.
const wholeShown = 2 * time.Hour

// add adds the faults of a manifest; 0 is the destination as a whole.
func (f faultCounts) add(log *store.Ledger, manifest int64, at time.Time) error {
	faults, err := log.Faults(manifest)
	for _, fault := range faults {
		if manifest == 0 && at.Sub(fault.Fault.Last) > wholeShown {
			continue
		}
		f[cause{fault.Fault.Class, fault.Fault.Party}] += max(fault.Items.Len(), 1)
	}
	return err
}

// most returns the causes that hit the most items, and what is left as one.
func (f faultCounts) most() faultCounts {
	if len(f) <= maxCauses {
		return f
	}
	causes := make([]cause, 0, len(f))
	for c := range f {
		causes = append(causes, c)
	}
	slices.SortFunc(causes, func(a, b cause) int {
		return cmp.Or(cmp.Compare(f[b], f[a]), cmp.Compare(a.class, b.class), cmp.Compare(a.party, b.party))
	})
	kept := faultCounts{}
	for i, c := range causes {
		if i >= maxCauses-1 {
			kept[otherCause()] += f[c]
			continue
		}
		kept[c] += f[c]
	}
	return kept
}
