package alerts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/forecast"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/internal/expiring"
	"github.com/wolkvox/backup/server/internal/registry"
)

// What is too long, too near or too little.
const (
	horizon          = 31 * 24 * time.Hour // how far ahead is looked for what expires
	near             = 72 * time.Hour      // what is pending so near to its deadline is told where no night was measured
	stalledAfter     = 26 * time.Hour
	silentAfter      = 6 * time.Hour
	sealGrace        = 3 * time.Hour // after the cut-off and the quiet time
	certificateNear  = 14 * 24 * time.Hour
	faultsCountFor   = 26 * time.Hour
	weekdaysCompared = 8
	weekdaysNeeded   = 3
	smallPart        = 4 // a night with less than a quarter of its weekday's median is small
)

// Looker finds what people have to do something about. Its fields are required and set before the first call.
type Looker struct {
	expiring.Reader
	// CertificateEnds returns when the server's own certificates end, by what each is called.
	CertificateEnds func() map[string]time.Time
}

// Look returns what there is at the instant at, the gravest first. What can be read is returned beside an error.
func (l *Looker) Look(ctx context.Context, at time.Time) ([]Alert, error) {
	var all []Alert
	for name, end := range l.CertificateEnds() {
		if end.Before(at.Add(certificateNear)) {
			all = append(all, Alert{Kind: KindCertificate, Subject: name, Party: PartyWolkvox, At: end})
		}
	}
	tenants, err := l.Registry.Tenants()
	problems := []error{err}
	for _, t := range tenants {
		found, err := l.tenant(ctx, t, at)
		if err != nil {
			problems = append(problems, fmt.Errorf("look for alerts of %s: %w", t.Name, err))
		}
		all = append(all, found...)
	}
	return sorted(all), errors.Join(problems...)
}

func (l *Looker) tenant(ctx context.Context, t registry.Tenant, at time.Time) (all []Alert, err error) {
	zone, err := t.Location()
	if err != nil {
		return nil, err
	}
	err = l.Each(ctx, t.Name, at, at.Add(horizon), func(d expiring.Destination) error {
		all = append(all, expiringAlerts(d, at)...)
		return nil
	})
	problems := []error{err}
	destinations, err := l.Registry.Destinations(t.Name)
	problems = append(problems, err)
	agents := map[string]bool{}
	for _, d := range destinations {
		seq, open := l.Sequencers.Of(d.Origin)
		if !open {
			continue
		}
		place := place{log: seq.Ledger(), destination: d, tenant: t, zone: zone, at: at}
		if place.log.View(func(state *ledger.Log) { place.retired, place.manifests = state.Retired, slices.Clone(state.Manifests) }); place.retired {
			continue
		}
		if name, _, ok := seq.Assigned(); ok {
			agents[name] = true
		}
		found, err := place.look()
		all, problems = append(all, found...), append(problems, err)
	}
	found, err := l.agents(t.Name, agents, at)
	return append(all, found...), errors.Join(append(problems, err)...)
}

// expiringAlerts returns what will expire, or is near its deadline where no night was measured.
func expiringAlerts(d expiring.Destination, at time.Time) (all []Alert) {
	for _, m := range d.Pending {
		count, unknown := m.ExpiringItems, !d.Rate.Known()
		if unknown && m.Deadline.Before(at.Add(near)) {
			count = m.Items
		}
		if count == 0 {
			continue
		}
		perNight, _ := d.Rate.PerNight()
		a := Alert{Kind: KindExpiring, Tenant: d.Origin.Tenant(), Destination: d.Origin.Destination(), Subject: m.Night.String(), Manifest: m.Manifest,
			Party: PartyClient, Count: count, At: m.Deadline, Estimated: unknown, Pending: m.Items, PerNight: perNight}
		a.blame(m.Fault)
		all = append(all, a)
	}
	return all
}

// blame names a fault as the cause.
func (a *Alert) blame(f *store.Fault) {
	if f != nil {
		a.Party, a.Fault, a.FaultClass = f.Party, f.Message, f.Class
	}
}

// agents returns those that are silent, or whose certificate ends.
func (l *Looker) agents(tenant string, serving map[string]bool, at time.Time) (all []Alert, err error) {
	known, err := l.Registry.Agents(tenant)
	problems := []error{err}
	for _, agent := range known {
		if !serving[agent.Name] {
			continue
		}
		heard, err := l.Heard(tenant, agent.Name)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		all = append(all, agentAlerts(agent, heard.At, at)...)
	}
	return all, errors.Join(problems...)
}

// agentAlerts returns what is wrong with an agent that was last heard at heard, zero for never.
func agentAlerts(agent registry.Agent, heard, at time.Time) (all []Alert) {
	if agent.CertificateEnd.Before(at.Add(certificateNear)) {
		all = append(all, Alert{Kind: KindCertificate, Tenant: agent.Tenant, Subject: agent.Name, Party: PartyClient, At: agent.CertificateEnd})
	}
	since := heard
	if since.IsZero() {
		since = agent.EnrolledAt
	}
	if at.Sub(since) > silentAfter {
		all = append(all, Alert{Kind: KindSilent, Tenant: agent.Tenant, Subject: agent.Name, Party: PartyClient, At: since, HeardBefore: !heard.IsZero()})
	}
	return all
}

// place is a destination at one moment.
type place struct {
	log         *store.Ledger
	destination registry.Destination
	tenant      registry.Tenant
	zone        *time.Location
	manifests   []ledger.Manifest
	retired     bool
	at          time.Time
}

func (p place) alert(kind Kind, party string) Alert {
	return Alert{Kind: kind, Tenant: p.tenant.Name, Destination: p.destination.Name, Party: party}
}

func (p place) look() (all []Alert, err error) {
	all = p.nights()
	fault, err := p.lastFault()
	if err != nil {
		return all, err
	}
	if fault != nil && fault.Class == "billing" {
		a := p.alert(KindBilling, PartyClient)
		a.At = fault.Last
		a.blame(fault)
		all = append(all, a)
	}
	stalled, since, err := p.stalled()
	if err != nil || stalled == 0 {
		return all, err
	}
	a := p.alert(KindStalled, PartyClient)
	a.Count, a.At = stalled, since
	a.blame(fault)
	return append(all, a), nil
}

// lastFault returns the fault of the destination or of its open manifests that was met last, nil where there is none that
// still counts.
func (p place) lastFault() (last *store.Fault, err error) {
	take := func(f store.Fault) {
		if p.at.Sub(f.Last) < faultsCountFor && (last == nil || f.Last.After(last.Last)) {
			last = &f
		}
	}
	whole, err := p.log.Faults(0)
	if err != nil {
		return nil, err
	}
	for _, f := range whole {
		take(f.Fault)
	}
	for _, m := range p.manifests {
		if !m.Open {
			continue
		}
		f, ok, err := p.log.LastFault(m.Number)
		if err != nil {
			return nil, err
		}
		if ok {
			take(f)
		}
	}
	return last, nil
}

// stalled returns how much is pending where nothing was confirmed for a day, and since when.
func (p place) stalled() (pending int64, since time.Time, err error) {
	for _, m := range p.manifests {
		counts, err := p.log.Counts(m.Number)
		if err != nil {
			return 0, time.Time{}, err
		}
		if !m.Open || counts[backup.Pending] == 0 {
			continue
		}
		if pending == 0 {
			if since, err = forecast.SealedAt(p.log, m); err != nil {
				return 0, time.Time{}, err
			}
		}
		pending += counts[backup.Pending]
	}
	if pending == 0 || p.at.Sub(since) <= stalledAfter {
		return 0, time.Time{}, nil
	}
	delivered, err := forecast.LastDelivered(p.log, p.at.Add(-stalledAfter))
	if delivered.After(since) {
		since = delivered
	}
	if err != nil || p.at.Sub(since) <= stalledAfter {
		return 0, time.Time{}, err
	}
	return pending, since, nil
}

// nights returns that last night was not sealed, or is small against its weekday's median.
func (p place) nights() []Alert {
	today := backup.DateOf(p.at.In(p.zone))
	night := today.AddDays(-1)
	due := today.AddDays(-1).EndIn(p.zone).Add(p.tenant.CutOff + p.tenant.Quiet + sealGrace)
	if p.at.Before(due) {
		night = night.AddDays(-1)
	}
	if night.Compare(backup.DateOf(p.destination.CreatedAt.In(p.zone))) < 0 {
		return nil
	}
	items := map[backup.Date]int64{}
	for _, m := range p.manifests {
		items[m.Night] += m.Items
	}
	count, sealed := items[night]
	if !sealed {
		a := p.alert(KindNotSealed, PartyWolkvox)
		a.Subject, a.At = night.String(), due
		return []Alert{a}
	}
	var before []int64
	for week := 1; week <= weekdaysCompared; week++ {
		if n, ok := items[night.AddDays(-7*week)]; ok {
			before = append(before, n)
		}
	}
	if len(before) < weekdaysNeeded {
		return nil
	}
	slices.Sort(before)
	if usual := before[len(before)/2]; usual > 0 && count < (usual+smallPart-1)/smallPart {
		a := p.alert(KindSmall, PartyWolkvox)
		a.Subject, a.Count, a.Usual = night.String(), count, usual
		return []Alert{a}
	}
	return nil
}
