package metrics

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/internal/limits"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// State is where a [Collector] reads. All of it may be read concurrently with everything else.
type State struct {
	Sequencers *sequencer.Set
	Registry   *registry.Registry
	Limits     *limits.Limits
	// Directories are those whose size is shown, by what they hold.
	Directories map[string]string
	// Heard returns the last heartbeat of an agent; its time is zero where it was never heard.
	Heard func(tenant, agent string) (registry.Heartbeat, error)
	// Served returns how many files were begun and how many bytes of them served of a destination since the start.
	Served func(ledger.Origin) (files, sizeBytes int64)
	// CertificateEnds returns when the server's own certificates end, by what each is called.
	CertificateEnds func() map[string]time.Time
	Logger          *slog.Logger
}

// Collector reads a server's state whenever it is asked. What cannot be read is left out, counted and logged.
type Collector struct{ state State }

// NewCollector returns the collector of a state.
func NewCollector(state State) *Collector { return &Collector{state} }

// Describe implements [prometheus.Collector]: it is an unchecked one, as what there is depends on the state.
func (c *Collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(samples chan<- prometheus.Metric) {
	s := scrape{samples: samples, state: c.state, current: map[ledger.Origin]bool{}}
	s.destinations()
	s.agents()
	s.alarms()
	s.whole()
}

// scrape is one reading of the state.
type scrape struct {
	samples chan<- prometheus.Metric
	state   State
	current map[ledger.Origin]bool // the logs of destinations; those before them, which ended, are not shown
	failed  int
}

// metric is the name of a metric with what it says, and what it is told apart by.
type metric struct {
	name, help string
	labels     []string
	kind       prometheus.ValueType
}

func (s *scrape) add(m metric, value float64, labels ...string) {
	sample, err := prometheus.NewConstMetric(prometheus.NewDesc("wolkvox_"+m.name, m.help, m.labels, nil), m.kind, value, labels...)
	if err != nil {
		s.fail(fmt.Errorf("metric %s: %w", m.name, err))
		return
	}
	s.samples <- sample
}

// time adds an instant as seconds since 1970, unless it is zero.
func (s *scrape) time(m metric, at time.Time, labels ...string) {
	if !at.IsZero() {
		s.add(m, float64(at.UnixMilli())/1000, labels...)
	}
}

func (s *scrape) fail(err error) {
	s.failed++
	s.state.Logger.Warn("metric not read", slog.Any("error", err))
}

func perDestination(name, help string, more ...string) metric {
	return metric{name, help, append([]string{"tenant", "destination"}, more...), prometheus.GaugeValue}
}

// destinations adds what stands in the logs.
func (s *scrape) destinations() {
	destinations, err := s.state.Registry.Destinations("")
	if err != nil {
		s.fail(err)
	}
	for _, d := range destinations {
		s.current[d.Origin] = true
		seq, ok := s.state.Sequencers.Of(d.Origin)
		if !ok {
			s.fail(fmt.Errorf("the log %s is not open", d.Origin))
			continue
		}
		if err := s.destination(seq.Ledger()); err != nil {
			s.fail(fmt.Errorf("read the log %s: %w", d.Origin, err))
		}
	}
}

func (s *scrape) destination(log *store.Ledger) error {
	labels := []string{log.Origin().Tenant(), log.Origin().Destination()}
	var manifests []ledger.Manifest
	log.View(func(state *ledger.Log) { manifests = state.Manifests })
	counts, err := log.Total()
	if err != nil {
		return err
	}
	for _, state := range backup.States {
		s.add(perDestination("items", "Recordings by state.", "state"), float64(counts[state]), labels[0], labels[1], state.String())
	}
	size, _ := log.Position()
	s.add(perDestination("log_entries", "Entries of the log."), float64(size), labels...)
	files, sizeBytes := s.state.Served(log.Origin())
	served := perDestination("served_files_total", "Recordings that were begun to be served since the start of the server.")
	served.kind = prometheus.CounterValue
	s.add(served, float64(files), labels...)
	served.name, served.help = "served_bytes_total", "Contents that were served since the start of the server."
	s.add(served, float64(sizeBytes), labels...)
	return s.nights(log, manifests, labels)
}

// nights adds what became of the manifests of a log.
func (s *scrape) nights(log *store.Ledger, manifests []ledger.Manifest, labels []string) error {
	open := 0
	var nearest, last time.Time
	faults := faultCounts{}
	if err := faults.add(log, 0, time.Now()); err != nil {
		return err
	}
	for _, m := range manifests {
		if night := time.Date(m.Night.Year, m.Night.Month, m.Night.Day, 0, 0, 0, 0, time.UTC); night.After(last) {
			last = night
		}
		if !m.Open {
			continue
		}
		open++
		counts, err := log.Counts(m.Number)
		if err != nil {
			return err
		}
		if counts[backup.Pending] > 0 && (nearest.IsZero() || m.Deadline.Before(nearest)) {
			nearest = m.Deadline
		}
		if err := faults.add(log, m.Number, time.Now()); err != nil {
			return err
		}
	}
	nights := perDestination("nights", "Sealed nights, by whether they are open.", "state")
	s.add(nights, float64(open), labels[0], labels[1], "open")
	s.add(nights, float64(len(manifests)-open), labels[0], labels[1], "closed")
	s.time(perDestination("last_night_timestamp_seconds", "The date of the last sealed night, as its midnight in UTC."), last, labels...)
	s.time(perDestination("nearest_deadline_timestamp_seconds", "When the first night closes that has pending recordings; none where all are copied."), nearest, labels...)
	for cause, items := range faults.most() {
		s.add(perDestination("faults", "Recordings that are not copied because of a fault, by its class and whose affair it is; a fault of the place as a whole counts as one.", "class", "party"),
			float64(items), labels[0], labels[1], cause.class, cause.party)
	}
	return nil
}

// agents adds when agents were heard, and what of them ends.
func (s *scrape) agents() {
	perAgent := func(name, help string) metric {
		return metric{name, help, []string{"tenant", "agent"}, prometheus.GaugeValue}
	}
	agents, err := s.state.Registry.Agents("")
	if err != nil {
		s.fail(err)
		return
	}
	for _, a := range agents {
		s.time(perAgent("agent_certificate_end_timestamp_seconds", "When the agent's certificate ends."), a.CertificateEnd, a.Tenant, a.Name)
		heard, err := s.state.Heard(a.Tenant, a.Name)
		if err != nil {
			s.fail(err)
			continue
		}
		if heard.At.IsZero() {
			continue
		}
		s.time(perAgent("agent_heard_timestamp_seconds", "When the agent was heard last; none where it never was."), heard.At, a.Tenant, a.Name)
		s.add(perAgent("agent_clock_offset_seconds", "The agent's clock less the server's, when it was heard last."), heard.ClockOffset.Seconds(), a.Tenant, a.Name)
	}
}

// alarms adds what people have to decide or look at.
func (s *scrape) alarms() {
	alarms, err := s.state.Registry.Alarms("")
	if err != nil {
		s.fail(err)
	}
	for _, a := range alarms {
		if !s.current[a.Origin] {
			continue
		}
		s.time(perDestination("alarm_timestamp_seconds", "Since when an alarm stands; none where none does.", "kind"), a.RaisedAt,
			a.Origin.Tenant(), a.Origin.Destination(), a.Kind.String())
	}
	recoveries, err := s.state.Registry.Recoveries()
	if err != nil {
		s.fail(err)
	}
	for _, r := range recoveries {
		if !s.current[r.Origin] {
			continue
		}
		value := 0.0
		if r.Recovering {
			value = 1
		}
		s.add(perDestination("recovering", "1 while the log is being recovered: nothing is sealed or closed then."), value, r.Origin.Tenant(), r.Origin.Destination())
	}
}

// whole adds what is the server's as a whole.
func (s *scrape) whole() {
	gauge := func(name, help string, labels ...string) metric {
		return metric{name, help, labels, prometheus.GaugeValue}
	}
	for name, dir := range s.state.Directories {
		sizeBytes, err := usage(dir)
		if err != nil {
			s.fail(fmt.Errorf("measure %s: %w", dir, err))
			continue
		}
		s.add(gauge("state_bytes", "What a part of the state directory takes of its volume.", "part"), float64(sizeBytes), name)
	}
	for name, end := range s.state.CertificateEnds() {
		s.time(gauge("certificate_end_timestamp_seconds", "When a certificate of the server's own ends.", "certificate"), end, name)
	}
	s.add(gauge("connections", "Connections that are open."), float64(s.state.Limits.Open()))
	refused := gauge("limit_refusals_total", "How often a caller met a limit since the start of the server.", "limit")
	refused.kind = prometheus.CounterValue
	for limit, count := range s.state.Limits.Refused() {
		s.add(refused, float64(count), limit.String())
	}
	s.add(gauge("unread", "Destinations and agents that could not be read for this answer."), float64(s.failed))
}
