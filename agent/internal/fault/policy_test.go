package fault

import (
	"testing"
	"time"
)

func TestPolicies(t *testing.T) {
	t.Parallel()
	for _, class := range Classes() {
		p := PolicyOf(class)
		if p.First <= 0 || p.Longest < p.First || p.ToldAfter < 0 || p.OpensAfter < 0 {
			t.Errorf("%s: %+v", class, p)
		}
		if p.TriesPerHour > 0 && p.First < time.Hour/time.Duration(p.TriesPerHour) {
			t.Errorf("%s is tried every %v, more than %d times an hour", class, p.First, p.TriesPerHour)
		}
	}
	for _, class := range []string{ClassName, ClassClientBug, ClassSource} {
		if PolicyOf(class).CountsAgainstClient {
			t.Errorf("%s counts against the client", class)
		}
	}
	if p := PolicyOf("made up"); p.OpensAfter != PolicyOf(ClassOther).OpensAfter {
		t.Errorf("an unknown class has %+v", p)
	}
	if p := PolicyOf(ClassDestLost); p.ToldAfter != 2*time.Hour {
		t.Errorf("dest-lost is told after %v", p.ToldAfter)
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	all := func(n time.Duration) time.Duration { return n - 1 }
	none := func(time.Duration) time.Duration { return 0 }
	lost := PolicyOf(ClassDestLost)
	for tries, bound := range map[int]time.Duration{1: 1, 2: 2, 3: 4, 4: 8, 5: 15, 6: 15, 1000: 15} {
		bound *= time.Minute
		if got := lost.Wait(tries, all); got < bound || got > bound+bound/8 {
			t.Errorf("after %d tries it waits up to %v, want about %v", tries, got, bound)
		}
		if got := lost.Wait(tries, none); got != bound/8 {
			t.Errorf("after %d tries it waits at least %v", tries, got)
		}
	}
	for class, want := range map[string]time.Duration{ClassCredential: 30 * time.Minute, ClassPermission: time.Hour, ClassDestConfig: time.Hour, ClassBilling: time.Hour, ClassClock: 10 * time.Minute} {
		for _, tries := range []int{1, 2, 9} {
			if got := PolicyOf(class).Wait(tries, all); got != want {
				t.Errorf("%s waits %v after %d tries, want %v", class, got, tries, want)
			}
		}
	}
}
