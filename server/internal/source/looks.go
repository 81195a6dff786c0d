package source

import "time"

// Looks remembers what the files of one source looked like at earlier scans, to tell which are finished. It is
// kept in memory: after a restart every file needs two looks again. It is not for concurrent use.
type Looks struct {
	quiet time.Duration
	seen  map[string]look
}

// look is since when a file has looked like this.
type look struct {
	identity Identity
	since    time.Time
}

// NewLooks returns a Looks that has seen nothing. Quiet is for how long a finished file has not been modified.
func NewLooks(quiet time.Duration) *Looks {
	return &Looks{quiet: quiet, seen: map[string]look{}}
}

// Settle takes what a scan found at the instant at, and divides it into the files that are finished and those that
// are still being written. A file is finished when it looked the same at an earlier scan (size and time of
// modification) and was not modified for the quiet time. Where the time of modification lies in the future, because
// of a wrong clock, the quiet time counts from the first of these equal looks. Files that are not among the
// candidates any more are forgotten.
func (l *Looks) Settle(candidates []Candidate, at time.Time) (finished, writing []Candidate) {
	seen := make(map[string]look, len(candidates))
	for _, c := range candidates {
		was, ok := l.seen[c.SourcePath]
		if !ok || !was.identity.SameLook(c.Identity) {
			was = look{c.Identity, at}
		}
		seen[c.SourcePath] = was
		restSince := c.ModTime
		if restSince.After(at) {
			restSince = was.since
		}
		if was.since.Before(at) && at.Sub(restSince) >= l.quiet {
			finished = append(finished, c)
		} else {
			writing = append(writing, c)
		}
	}
	l.seen = seen
	return finished, writing
}
