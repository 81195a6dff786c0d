package simulation

import "testing"

// found are schedules in which a fault of the product was found once, shrunk.
var found = []struct{ name, schedule string }{
	{"a destination that was away is retired in another history", "histories:490 retire:532"},
}

// TestFound runs them again.
func TestFound(t *testing.T) {
	for _, f := range found {
		t.Run(f.name, func(t *testing.T) {
			s, err := parseSchedule(f.schedule)
			if err != nil {
				t.Fatal(err)
			}
			if violations := run(t, s, false, testLogger()).violations; len(violations) > 0 {
				t.Errorf("%s: %v", s, violations)
			}
		})
	}
}
