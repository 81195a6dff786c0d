package store

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// maxSessions is how many identifiers are remembered: more processes than that never compete for one destination.
const maxSessions = 16

// sessionGap bounds how many numbers are left out before the first that is given after the ledger was opened. The store may
// have gone back in time before, and numbers that it does not know any more may still be in use: that a new one equals one of
// these is as good as impossible. They begin with the time, in nanoseconds, so that a number given later is higher also where
// the store that gave the earlier one was lost and comes back afterwards: nobody is superseded by his own past. The gap is
// about a millisecond, for servers whose clock went back too.
const sessionGap = 1 << 20

// sessionRecord is the number given last, to whom the last numbers were given, oldest first, and the highest number used.
type sessionRecord struct {
	Last     int64           `json:"last"`
	Sessions []sessionNumber `json:"sessions"`
	Used     *int64          `json:"used,omitempty"` // nil in older records, where it is Last
}

func (r sessionRecord) used() int64 {
	if r.Used == nil {
		return r.Last
	}
	return *r.Used
}

type sessionNumber struct {
	Process string `json:"process"` // hexadecimal
	Number  int64  `json:"number"`
}

// Session returns the number of a process's session: for an identifier that was given one since the ledger was opened, and
// that is remembered, the one it has; for any other a number higher than all before, as far as the store knows, and none that
// was given before the ledger was opened, also where the store went back in time since: the number that it remembers may be
// lower than one that the process was given in between. The last 16 are remembered. It is durable before it is returned. It supersedes
// no other before [Ledger.UseSession].
func (l *Ledger) Session(processID [16]byte) (number int64, err error) {
	l.writer.Lock()
	defer l.writer.Unlock()
	r := l.state.Load().sessions
	process := hex.EncodeToString(processID[:])
	if i := slices.IndexFunc(r.Sessions, func(s sessionNumber) bool { return s.Process == process }); i >= 0 && l.given[process] {
		return r.Sessions[i].Number, nil
	}
	used := r.used()
	r.Used = &used
	if r.Last++; len(l.given) == 0 {
		r.Last = max(r.Last, time.Now().UnixNano()) + rand.Int64N(sessionGap)
	}
	r.Sessions = slices.DeleteFunc(slices.Clone(r.Sessions), func(s sessionNumber) bool { return s.Process == process })
	r.Sessions = append(r.Sessions, sessionNumber{process, r.Last})
	r.Sessions = r.Sessions[max(len(r.Sessions)-maxSessions, 0):]
	err = l.update("session", func(tx *badger.Txn) error { return set(tx, l.id.key(tableSessions), r) })
	if err != nil {
		return 0, err
	}
	if l.given == nil {
		l.given = make(map[string]bool)
	}
	l.given[process] = true
	l.publish(func(s *snapshot) { s.sessions = r })
	return r.Last, nil
}

// UseSession makes a number that was given the current one, if it is higher than that; who waits at [Ledger.Changed] learns
// it. The error is [ErrNotFound] for a number that was not given.
func (l *Ledger) UseSession(number int64) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	r := l.state.Load().sessions
	if number <= r.used() {
		return nil
	}
	if number > r.Last {
		return fmt.Errorf("session %d of %s: %w", number, l.origin, ErrNotFound)
	}
	r.Used = &number
	if err := l.update("use session", func(tx *badger.Txn) error { return set(tx, l.id.key(tableSessions), r) }); err != nil {
		return err
	}
	l.publish(func(s *snapshot) { s.sessions = r })
	l.announce()
	return nil
}

// CurrentSession returns the highest number that was used, 0 where none was.
func (l *Ledger) CurrentSession() int64 { return l.state.Load().sessions.used() }

// LastSession returns the highest number that was given, 0 where none was.
func (l *Ledger) LastSession() int64 { return l.state.Load().sessions.Last }
