package night

import (
	"errors"
	"maps"
)

// ErrNoLosses says that no audit waits for a decision.
var ErrNoLosses = errors.New("no audit waits for a decision")

// suspicion is what an audit found missing or altered where that is more than may be signed at once. It does not outlive
// the process: the next one finds it again.
type suspicion struct {
	found         map[int64]losses
	lost, audited int64
	accepted      bool // by a person
}

// AcceptLosses lets the next audit sign what the last one found, and returns how many recordings that are of how many
// that it looked at. It is [ErrNoLosses] where no audit found more than may be signed at once.
func (n *Night) AcceptLosses() (lost, audited int64, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.suspicion == nil {
		return 0, 0, ErrNoLosses
	}
	n.suspicion.accepted = true
	return n.suspicion.lost, n.suspicion.audited, nil
}

// maySign reports whether what an audit found may be signed: it is 1 % or less, or what the audit before found, or no more
// than a person accepted. Otherwise it is kept for the next audit, or a person, to decide. At a place that was marked before
// anybody looked at it, which moving says, only a person decides: an empty mount point is as empty the second time.
func (n *Night) maySign(found map[int64]losses, lost, audited int64, moving bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.suspicion
	switch {
	case lost*100 <= audited:
		n.suspicion = nil
		return true
	case before != nil && before.accepted && before.covers(found), !moving && before != nil && maps.EqualFunc(before.found, found, losses.equal):
		return true
	}
	n.suspicion = &suspicion{found: found, lost: lost, audited: audited}
	return false
}

// covers reports whether everything found now was found then.
func (s *suspicion) covers(found map[int64]losses) bool {
	for manifest, l := range found {
		then := s.found[manifest]
		if !l.missing.Union(l.altered).Difference(then.missing.Union(then.altered)).IsEmpty() {
			return false
		}
	}
	return true
}

// settleSuspicion forgets what was suspected: it is signed. A place that is another version of itself may hold what had
// expired: all that was closed is looked for again.
func (n *Night) settleSuspicion() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.suspicion = nil
	n.scanned = 0
}
