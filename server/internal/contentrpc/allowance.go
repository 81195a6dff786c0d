package contentrpc

import (
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
)

const (
	// allowancePeriod is the night that what was fetched is counted over, from its first byte on.
	allowancePeriod = 24 * time.Hour
	// allowanceSlackBytes is let through however small a manifest is.
	allowanceSlackBytes = 64 << 20
)

// fetched is what an allowance is for.
type fetched struct {
	role     identity.Role
	origin   ledger.Origin
	manifest int64
}

// allowances bound how often agents fetch the same contents. They are in memory only: a server that starts again has
// forgotten them. Its methods may be called concurrently.
type allowances struct {
	times int64

	mu    sync.Mutex // guards what follows
	used  map[fetched]*allowance
	swept time.Time
}

// allowance is that of one agent for one manifest.
type allowance struct {
	limitBytes int64

	mu        sync.Mutex // guards what follows
	began     time.Time  // of the period; zero before the first byte
	usedBytes int64
}

// of returns the allowance of an agent for a manifest.
func (a *allowances) of(role identity.Role, origin ledger.Origin, m ledger.Manifest, at time.Time) *allowance {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweep(at)
	key := fetched{role, origin, m.Number}
	allowed := a.used[key]
	if allowed == nil {
		allowed = &allowance{limitBytes: limitOf(m.Bytes, a.times)}
		a.used[key] = allowed
	}
	return allowed
}

// limitOf returns so many times a manifest's bytes and the slack, without an overflow.
func limitOf(sizeBytes, times int64) int64 {
	return min(sizeBytes, (ledger.MaxDecimal-allowanceSlackBytes)/times)*times + allowanceSlackBytes
}

// sweep forgets, once an hour, what was begun longer ago than the period. a.mu is held.
func (a *allowances) sweep(at time.Time) {
	if at.Sub(a.swept) < time.Hour {
		return
	}
	a.swept = at
	for key, allowed := range a.used {
		allowed.mu.Lock()
		if at.Sub(allowed.began) > allowancePeriod {
			delete(a.used, key)
		}
		allowed.mu.Unlock()
	}
}

// check returns an error where the allowance is used up.
func (a *allowance) check(at time.Time) error { return a.take(0, at) }

// take uses n bytes of the allowance. The error, TOO_MUCH_FETCHED, says when it begins anew; nothing was used then.
func (a *allowance) take(n int64, at time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at.Sub(a.began) > allowancePeriod {
		a.began, a.usedBytes = at, 0
	}
	if a.usedBytes+n > a.limitBytes || n == 0 && a.usedBytes == a.limitBytes {
		return wire.RetryError(codes.ResourceExhausted, wire.ReasonTooMuchFetched, a.began.Add(allowancePeriod).Sub(at),
			"%d bytes of the manifest's contents were fetched since %s, and no more than %d are served in a day: look for why the agent fetches them again and again",
			a.usedBytes, a.began.UTC().Format(time.RFC3339), a.limitBytes)
	}
	a.usedBytes += n
	return nil
}
