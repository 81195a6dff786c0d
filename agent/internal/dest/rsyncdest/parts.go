package rsyncdest

import (
	"slices"
	"strings"
	"sync"
)

const (
	// maxParts bounds how many processes send or compare the files of a round at the same time. One that syncs each file mostly
	// waits for the disk, and a file system takes the syncs of several at once; one that compares lets each side wait for the
	// other.
	maxParts = 4
	// minPartFiles is how many files each of them has at least.
	minPartFiles = 64
)

// inParts splits numbers and calls do for all parts at the same time. A part for which do reports that the server takes no
// more connections is done again when the others have ended, as is everything from then on.
func (r *Rsync) inParts(numbers []int, do func(part []int, alone bool) (crowded bool)) {
	count := max(1, min(maxParts, len(numbers)/minPartFiles))
	if r.crowded.Load() {
		count = 1
	}
	parts := slices.Collect(slices.Chunk(numbers, (len(numbers)+count-1)/count))
	if len(parts) == 1 {
		do(parts[0], true)
		return
	}
	again := make([]bool, len(parts))
	var group sync.WaitGroup
	for i, part := range parts {
		group.Go(func() { again[i] = do(part, false) })
	}
	group.Wait()
	for i, part := range parts {
		if again[i] {
			r.crowded.Store(true)
			do(part, true)
		}
	}
}

// isCrowded reports that a daemon takes no more connections (rsyncd.conf(5), max connections), or an SSH server no more sessions.
func (f *failure) isCrowded() bool {
	return slices.ContainsFunc(f.messages, func(message string) bool {
		return strings.Contains(message, "@ERROR: max connections") || strings.Contains(message, "Session open refused")
	})
}
