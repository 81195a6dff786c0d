package alerts

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)

func expiringAt(deadline time.Time) Alert {
	return Alert{Kind: KindExpiring, Tenant: "acme", Destination: "nas", Subject: "2026-03-01", Manifest: 7, Party: PartyClient, Count: 5, Pending: 9, PerNight: 2, At: deadline}
}

// A month of looks every 15 minutes: one digest a day, each level of a deadline once, and nothing where nothing is.
func TestPlanMonth(t *testing.T) {
	t.Parallel()
	operator, client, other := Recipient{Mail: "ops@wolkvox.example"}, Recipient{Tenant: "acme", Mail: "it@acme.example", Language: "es"}, Recipient{Tenant: "globex", Mail: "it@globex.example"}
	deadline := noon.Add(10*24*time.Hour + 5*time.Hour)
	var s state
	urgent := map[string][]time.Duration{}
	digests := map[string]int{}
	for at := noon; at.Before(noon.AddDate(0, 1, 0)); at = at.Add(15 * time.Minute) {
		var all []Alert
		if at.Before(deadline) {
			all = append(all, expiringAt(deadline))
		}
		s.plan([]Recipient{operator, client, other}, all, at)
		for _, m := range s.Queue {
			if m.Urgent {
				urgent[m.Recipient] = append(urgent[m.Recipient], deadline.Sub(at))
			} else {
				digests[m.Recipient]++
			}
		}
		s.Queue = nil
	}
	for _, r := range []Recipient{operator, client} {
		if digests[r.Key()] != 11 || fmt.Sprint(urgent[r.Key()]) != "[72h0m0s 24h0m0s 6h0m0s]" {
			t.Errorf("%s: %d digests, and told %v before", r.Key(), digests[r.Key()], urgent[r.Key()])
		}
	}
	if digests[other.Key()]+len(urgent[other.Key()]) != 0 {
		t.Error("a tenant was told of another's recordings")
	}
}

func TestPlanTellsOfNewDeadlines(t *testing.T) {
	t.Parallel()
	var s state
	r := []Recipient{{Mail: "ops@wolkvox.example"}}
	if n := s.plan(r, []Alert{expiringAt(noon.Add(5 * time.Hour))}, noon); n != 1 || s.Queue[0].Urgent {
		t.Fatalf("the first: %d", n)
	}
	if n := s.plan(r, []Alert{expiringAt(noon.Add(5 * time.Hour))}, noon.Add(time.Hour)); n != 0 {
		t.Error("told again of what the digest said")
	}
	if n := s.plan(r, []Alert{expiringAt(noon.Add(50 * time.Hour))}, noon.Add(2*time.Hour)); n != 1 || !s.Queue[1].Urgent {
		t.Error("a deadline that was moved counts anew")
	}
	many := make([]Alert, 300)
	for i := range many {
		many[i] = expiringAt(noon.Add(20 * time.Hour))
		many[i].Manifest = int64(i)
	}
	if n := s.plan(r, many, noon.Add(3*time.Hour)); n != 1 || s.Queue[2].Count != 300 || len(s.Queue[2].Alerts) != maxShown {
		t.Errorf("many at once: %d", n)
	}
}

// Every kind says in both languages what is wrong, the cause, whose affair it is and what to do.
func TestWords(t *testing.T) {
	t.Parallel()
	for _, language := range []string{"en", "es"} {
		w := wordsOf(language)
		for _, kind := range kinds() {
			a := expiringAt(noon)
			a.Kind, a.Usual = kind, 100
			text := w.write([]Alert{a})
			s, ok := w.kinds[kind]
			if !ok || s.because == "" || s.nextSteps == "" {
				t.Errorf("%s: %s has no words", language, kind)
				continue
			}
			for _, want := range []string{"acme", s.because, s.nextSteps, w.parties["client"]} {
				if !strings.Contains(text, want) {
					t.Errorf("%s: %q does not say %q", language, text, want)
				}
			}
			if strings.Contains(text, "%!") {
				t.Errorf("%s: %q", language, text)
			}
			a.Fault, a.FaultClass, a.Estimated = "the disk is full", "capacity", true
			if text := w.write([]Alert{a}); !strings.Contains(text, "the disk is full (capacity)") {
				t.Errorf("%s: %q does not say the fault", language, text)
			}
		}
		if text := w.write(make([]Alert, 0)); text == "" {
			t.Error("nothing")
		}
	}
}
