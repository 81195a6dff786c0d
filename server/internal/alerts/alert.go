// Package alerts tells people what they have to do something about: what expires, who is silent, what was not sealed. It
// looks at intervals, writes one digest a day to each recipient and another word as a deadline comes near, and delivers by
// mail and by webhook from an outbox that outlives the process. It decides nothing about recordings; what it says is the
// server's own record and no part of a ledger.
package alerts

import (
	"cmp"
	"slices"
	"time"
)

// Kind is what is wrong.
type Kind string

// The kinds, the gravest first.
const (
	KindExpiring    Kind = "expiring"       // recordings will expire
	KindBilling     Kind = "billing"        // a provider stopped an account that was not paid
	KindNotSealed   Kind = "not-sealed"     // a night was not sealed
	KindStalled     Kind = "nothing-copied" // something is pending, and nothing was confirmed for 26 hours
	KindSilent      Kind = "silent-agent"   // an agent is not heard
	KindSmall       Kind = "small-night"    // a night has far fewer recordings than its weekday's median
	KindCertificate Kind = "certificate"    // a certificate ends soon
)

func kinds() []Kind {
	return []Kind{KindExpiring, KindBilling, KindNotSealed, KindStalled, KindSilent, KindSmall, KindCertificate}
}

// Whose affair an alert is.
const (
	PartyClient  = "client"
	PartyWolkvox = "wolkvox"
)

// Alert is one thing that somebody has to do something about.
type Alert struct {
	Kind        Kind      `json:"kind"`
	Tenant      string    `json:"tenant"`      // empty where it is the server's own
	Destination string    `json:"destination"` // empty where it is about an agent, or the server's own
	Subject     string    `json:"subject"`     // the agent, the certificate or the night; empty where the destination is
	Manifest    int64     `json:"manifest,omitempty"`
	Party       string    `json:"party"`
	Count       int64     `json:"count,omitempty"`         // recordings
	Usual       int64     `json:"usual_count,omitempty"`   // what a night of that weekday has
	At          time.Time `json:"time,omitzero"`           // the deadline, the end, or since when
	Fault       string    `json:"fault,omitempty"`         // the last one, in the agent's words
	FaultClass  string    `json:"fault_class,omitempty"`   // its class
	Estimated   bool      `json:"rate_unknown,omitempty"`  // expiring: no night was measured; all that is pending is meant
	Pending     int64     `json:"pending_count,omitempty"` // expiring: what is pending of that manifest
	PerNight    int64     `json:"per_night,omitempty"`     // expiring: recordings that a night brings
	HeardBefore bool      `json:"heard_before,omitempty"`  // silent: the agent was heard once
}

// sorted orders alerts by gravity, deadline and place.
func sorted(all []Alert) []Alert {
	order := kinds()
	slices.SortStableFunc(all, func(a, b Alert) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)), a.At.Compare(b.At),
			cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Destination, b.Destination), cmp.Compare(a.Subject, b.Subject))
	})
	return all
}
