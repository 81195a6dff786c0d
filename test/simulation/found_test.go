package simulation

import "testing"

// found are schedules in which a fault of the product, or of what is checked, was found once, shrunk.
var found = []struct{ name, schedule string }{
	{"a destination that was away is retired in another history", "histories:490 retire:532"},
	{"an agent that a server put back does not know", "copy-server:314 replace:498 tick:810 back-server:743"},
	{"ledgers of another history beside a later registry", "copy-server:465 copy-server:129 record:320 copy-server:85 back-server:951 tick:129 back-server:248"},
	{"a history that ends within one step", "clone:497 wake:775 histories:550"},
	{"agent, server and destination all go back", "copy-place:794 histories:390 back-place:672"},
	{"what is being fetched comes back with the share", "record:567 copy-place:557 tick:841 copy-place:471 copy-place:308 back-place:531 tick:349 record:539 tick:310 back-place:584"},
	{"a decision is sent to a server that went back in the same instant", "waive:798 copy-server:263 record:676 tick:189 release:577 back-server:531 tick:289"},
	{"a server goes back twice in one instant", "tick:75 copy-server:82 back-server:180 copy-server:715 tick:352 record:228 tick:100 copy-server:705 tick:449 back-server:217 copy-server:278 tick:411 wake:222 back-server:224"},
	{"an agent is replaced in mid-pass", "record:582 tick:195 kill:694 harm:952 change:869 tick:689 tick:763 replace:982 tick:321"},
	{"an agent that was replaced reads a manifest while the server goes back", "tick:417 copy-server:314 replace:498 record:213 tick:810 back-server:743"},
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
