package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// step is one act of a schedule: what happens, and a number that says how.
type step struct {
	name string
	r    int
}

func (s step) String() string { return fmt.Sprintf("%s:%d", s.name, s.r) }

// schedule is what happens in one run, in order.
type schedule []step

func (s schedule) String() string {
	words := make([]string, len(s))
	for i, step := range s {
		words[i] = step.String()
	}
	return strings.Join(words, " ")
}

// parseSchedule reads what [schedule.String] wrote.
func parseSchedule(text string) (schedule, error) {
	var s schedule
	for word := range strings.FieldsSeq(text) {
		name, number, ok := strings.Cut(word, ":")
		r, err := strconv.Atoi(number)
		if _, known := acts[name]; !known || !ok || err != nil {
			return nil, fmt.Errorf("%q is no step of a schedule", word)
		}
		s = append(s, step{name, r})
	}
	return s, nil
}

// generate returns the schedule of a seed. In one of three schedules all kinds of faults come as often as their weights say; the
// others have a few kinds only, more often, so that what the rest would hide can be seen.
func generate(seed uint64) schedule {
	random := rand.New(rand.NewPCG(seed, 0))
	names, total := actNames(), 0.0
	weights := make(map[string]float64)
	for _, name := range names {
		weights[name] = acts[name].weight
	}
	if focus := random.IntN(6); focus < 4 {
		chosen := map[string]bool{}
		faults := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !acts[name].fault })
		for range 1 + focus {
			kind := acts[faults[random.IntN(len(faults))]].kind
			for _, name := range faults {
				chosen[name] = chosen[name] || acts[name].kind == kind
			}
		}
		for _, name := range faults {
			if weights[name] *= 3; !chosen[name] {
				weights[name] = 0
			}
		}
	}
	for _, name := range names {
		total += weights[name]
	}
	s := schedule{{"record", random.IntN(1000)}}
	for range 8 + random.IntN(50) {
		pick := random.Float64() * total
		for _, name := range names {
			if pick -= weights[name]; pick < 0 {
				s = append(s, step{name, random.IntN(1000)})
				break
			}
		}
	}
	return s
}

// shrink returns a shorter schedule for which fails still holds.
func shrink(s schedule, fails func(schedule) bool) schedule {
	for n := max(1, len(s)/2); ; n = max(1, n/2) {
		changed := false
		for i := 0; i < len(s); {
			shorter := append(append(schedule{}, s[:i]...), s[min(i+n, len(s)):]...)
			if fails(shorter) {
				s, changed = shorter, true
			} else {
				i += n
			}
		}
		if n == 1 && !changed {
			return s
		}
	}
}
