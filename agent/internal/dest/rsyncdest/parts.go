package rsyncdest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxParts bounds how many processes send or compare the files of a round at the same time. One that syncs each file mostly
	// waits for the disk, and a file system takes the syncs of several at once; one that compares lets each side wait for the
	// other.
	maxParts = 4
	// minPartFiles is how many files each of them has at least.
	minPartFiles = 64
)

// inParts splits numbers and calls do for all parts at the same time.
func (r *Rsync) inParts(numbers []int, do func(part []int)) {
	count := max(1, min(maxParts, len(numbers)/minPartFiles))
	if r.crowded.Load() {
		count = 1
	}
	var group sync.WaitGroup
	for part := range slices.Chunk(numbers, (len(numbers)+count-1)/count) {
		group.Go(func() { do(part) })
	}
	group.Wait()
}

// How often, and after how long, a daemon that takes no more connections is asked again: it notices a little late that one was
// closed.
const (
	crowdedTries = 20
	crowdedStep  = 100 * time.Millisecond
)

// inTurn calls run, which runs one process. Where the daemon takes no more connections (rsyncd.conf(5), max connections) it calls
// it again, as long as other processes of this opener may be what holds them, and for a moment longer.
func (r *Rsync) inTurn(ctx context.Context, run func() error) error {
	for tries := 0; ; tries++ {
		r.running.Add(1)
		err := run()
		others := r.running.Add(-1) > 0
		failed, ok := errors.AsType[*failure](err)
		if !ok || !failed.isCrowded() {
			return err
		}
		if others {
			r.crowded.Store(true)
			tries = 0
		}
		if tries == crowdedTries {
			return err
		}
		select {
		case <-time.After(crowdedStep):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// isCrowded reports that a daemon takes no more connections.
func (f *failure) isCrowded() bool {
	return slices.ContainsFunc(f.messages, func(message string) bool { return strings.Contains(message, "@ERROR: max connections") })
}
