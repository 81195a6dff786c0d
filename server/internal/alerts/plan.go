package alerts

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"time"
)

// digestEvery is how often a recipient gets a digest at most. It is a little less than a day, so that rounds which come a
// little late do not move it from day to day.
const digestEvery = 24*time.Hour - time.Minute

// levels are how long before a deadline somebody is told again, in hours.
func levels() []int { return []int{6, 24, 72} }

// Recipient is one address or webhook.
type Recipient struct {
	Tenant   string // empty for the operator, who is told of all
	Mail     string
	Webhook  *Hook // where Mail is empty
	Language string
}

// Key tells recipients apart, also after a restart.
func (r Recipient) Key() string {
	if r.Webhook != nil {
		return fmt.Sprintf("%s webhook %s", r.Tenant, r.Webhook.URL)
	}
	return fmt.Sprintf("%s mail %s", r.Tenant, r.Mail)
}

// concerns reports whether an alert is for the recipient.
func (r Recipient) concerns(a Alert) bool { return r.Tenant == "" || r.Tenant == a.Tenant }

// Message is what waits to be delivered.
type Message struct {
	ID        string    `json:"id"`
	Recipient string    `json:"recipient"` // its key
	MadeAt    time.Time `json:"made_at"`
	Urgent    bool      `json:"urgent,omitempty"` // a deadline comes near; else a digest
	Subject   string    `json:"subject"`
	Text      string    `json:"text"`
	Alerts    []Alert   `json:"alerts"` // at most maxShown
	Count     int       `json:"count"`  // of all
	Attempts  int       `json:"attempts,omitempty"`
	NextTry   time.Time `json:"next_try"`
}

// told is what a recipient knows.
type told struct {
	DigestAt time.Time      `json:"digest_at"`
	Levels   map[string]int `json:"levels,omitempty"` // by deadline: the nearest level that was told, in hours
}

// state is what outlives the process: who was told what, and what waits.
type state struct {
	Told  map[string]*told `json:"told,omitempty"`
	Queue []Message        `json:"queue,omitempty"`
}

// plan queues what each recipient has to be told at the instant at: a digest a day, or, between two, what has come nearer
// to its deadline. Each level of a deadline is told once; many of them at once are one message.
func (s *state) plan(recipients []Recipient, all []Alert, at time.Time) (added int) {
	if s.Told == nil {
		s.Told = map[string]*told{}
	}
	current := map[string]bool{}
	for _, r := range recipients {
		key := r.Key()
		current[key] = true
		known := s.Told[key]
		if known == nil {
			known = &told{}
			s.Told[key] = known
		}
		concerned := slices.DeleteFunc(slices.Clone(all), func(a Alert) bool { return !r.concerns(a) })
		nearer := known.nearer(concerned, at)
		w := wordsOf(r.Language)
		switch {
		case len(concerned) > 0 && at.Sub(known.DigestAt) >= digestEvery:
			known.DigestAt = at.UTC()
			s.queue(key, fmt.Sprintf(w.digest, len(concerned)), w.write(concerned), concerned, false, at)
			added++
		case len(nearer) > 0:
			s.queue(key, fmt.Sprintf(w.urgent, len(nearer)), w.write(nearer), nearer, true, at)
			added++
		}
	}
	maps.DeleteFunc(s.Told, func(key string, _ *told) bool { return !current[key] })
	return added
}

func (s *state) queue(recipient, subject, text string, all []Alert, urgent bool, at time.Time) {
	s.Queue = append(s.Queue, Message{ID: "msg_" + rand.Text(), Recipient: recipient, MadeAt: at.UTC(), Urgent: urgent, Subject: subject, Text: text,
		Alerts: all[:min(len(all), maxShown)], Count: len(all), NextTry: at.UTC()})
}

// nearer returns the expiring recordings whose deadline came to another level since somebody was told, and takes that down.
// What expires no more, or at another time, is forgotten.
func (t *told) nearer(concerned []Alert, at time.Time) (all []Alert) {
	before := t.Levels
	t.Levels = map[string]int{}
	for _, a := range concerned {
		if a.Kind != KindExpiring {
			continue
		}
		key := fmt.Sprintf("%s/%s/%d %s", a.Tenant, a.Destination, a.Manifest, a.At.UTC().Format(time.RFC3339))
		level, known := before[key]
		for _, hours := range levels() {
			if a.At.Sub(at) <= time.Duration(hours)*time.Hour {
				if !known || hours < level {
					all, level, known = append(all, a), hours, true
				}
				break
			}
		}
		if known {
			t.Levels[key] = level
		}
	}
	return all
}
