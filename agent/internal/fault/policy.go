package fault

import "time"

// Policy is what follows from faults of a class.
type Policy struct {
	// OpensAfter is after how many faults in a row the whole destination is left alone; 0 for never: only the item is.
	OpensAfter int
	// OpensAbovePercent is the share of the items looked at above which faults of single items mean the same; 0 for none.
	OpensAbovePercent int64
	// First and Longest bound the wait before a destination that is left alone is tried again: the bound doubles from First
	// to Longest. Where they are equal it is always that long.
	First, Longest time.Duration
	// Jitter makes the wait a random part of its bound (full jitter), and an eighth of it.
	Jitter bool
	// TriesPerHour is how many tries there are in any hour; 0 for no limit. Accounts are locked after too many.
	TriesPerHour int
	// WritesOnly says that only copying stops: reading and looking at the free space go on.
	WritesOnly bool
	// Told is who is told, and ToldAfter how long it has to last before.
	Told      []Reader
	ToldAfter time.Duration
	// CountsAgainstClient says that what is not copied because of it is the client's matter.
	CountsAgainstClient bool
}

// Reader is somebody who is told of faults.
type Reader string

// The readers.
const (
	ReaderClientIT      Reader = "client IT"
	ReaderClientBilling Reader = "client billing owner"
	ReaderOperator      Reader = "wolkvox"
)

// Classes returns all classes, in the order of the documentation.
func Classes() []string {
	return []string{
		ClassBilling, ClassCredential, ClassPermission, ClassDestConfig, ClassClock, ClassCapacity, ClassQuota, ClassDestLost, ClassNetwork,
		ClassThrottle, ClassTransient, ClassImmutable, ClassIntegrity, ClassName, ClassClientBug, ClassSource, ClassLocal, ClassOther,
	}
}

// PolicyOf returns the policy of a class; that of [ClassOther] for one that it does not know.
func PolicyOf(class string) Policy {
	policies := policies()
	if p, known := policies[class]; known {
		return p
	}
	return policies[ClassOther]
}

func policies() map[string]Policy {
	const most = 15 * time.Minute
	it := []Reader{ReaderClientIT}
	operator := []Reader{ReaderOperator}
	return map[string]Policy{
		ClassBilling:    {OpensAfter: 1, First: time.Hour, Longest: time.Hour, Told: []Reader{ReaderClientBilling, ReaderClientIT, ReaderOperator}, CountsAgainstClient: true},
		ClassCredential: {OpensAfter: 1, First: 30 * time.Minute, Longest: 30 * time.Minute, TriesPerHour: 3, Told: it, CountsAgainstClient: true},
		ClassPermission: {OpensAfter: 3, First: time.Hour, Longest: time.Hour, Told: it, CountsAgainstClient: true},
		ClassDestConfig: {OpensAfter: 3, First: time.Hour, Longest: time.Hour, Told: it, CountsAgainstClient: true},
		ClassClock:      {OpensAfter: 1, First: 10 * time.Minute, Longest: 10 * time.Minute, Told: it, CountsAgainstClient: true},
		ClassCapacity:   {OpensAfter: 1, First: time.Minute, Longest: most, Jitter: true, WritesOnly: true, Told: it, CountsAgainstClient: true},
		ClassQuota:      {OpensAfter: 1, First: time.Minute, Longest: most, Jitter: true, WritesOnly: true, Told: it, CountsAgainstClient: true},
		ClassDestLost:   {OpensAfter: 1, First: time.Minute, Longest: most, Jitter: true, Told: it, ToldAfter: 2 * time.Hour, CountsAgainstClient: true},
		ClassNetwork:    {OpensAfter: 1, First: time.Minute, Longest: most, Jitter: true, Told: it, ToldAfter: 2 * time.Hour, CountsAgainstClient: true},
		ClassThrottle:   {First: time.Minute, Longest: most, Jitter: true, CountsAgainstClient: true},
		ClassTransient:  {First: time.Minute, Longest: most, Jitter: true, CountsAgainstClient: true},
		ClassImmutable:  {First: time.Minute, Longest: most, Jitter: true, CountsAgainstClient: true},
		ClassIntegrity:  {OpensAfter: 3, OpensAbovePercent: 1, First: time.Minute, Longest: most, Jitter: true, Told: []Reader{ReaderClientIT, ReaderOperator}, CountsAgainstClient: true},
		ClassName:       {First: time.Minute, Longest: most, Jitter: true, Told: operator},
		ClassClientBug:  {First: time.Minute, Longest: most, Jitter: true, Told: operator},
		ClassSource:     {First: time.Minute, Longest: most, Jitter: true, Told: operator},
		ClassLocal:      {First: time.Minute, Longest: most, Jitter: true, Told: it, CountsAgainstClient: true},
		ClassOther:      {OpensAfter: 3, First: time.Minute, Longest: most, Jitter: true, Told: it, CountsAgainstClient: true},
	}
}

// Wait returns how long to wait after the given number of tries that ended with this class in a row, at least 1. random
// returns a number in [0, n).
func (p Policy) Wait(tries int, random func(n time.Duration) time.Duration) time.Duration {
	bound := p.First << min(max(tries-1, 0), 20)
	if bound > p.Longest || bound <= 0 {
		bound = p.Longest
	}
	if !p.Jitter {
		return bound
	}
	return bound/8 + random(bound)
}
