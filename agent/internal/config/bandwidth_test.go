package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// withBandwidth is a configuration whose line 4 is the first span.
func withBandwidth(t *testing.T, spans string) []byte {
	t.Helper()
	return []byte("state_dir: '" + absolute(t, "state") + "'\ndestinations:\n  - {name: nas, directory: '" + absolute(t, "nas") + "', bandwidth: [\n" + spans + "]}\n")
}

func TestBandwidth(t *testing.T) {
	t.Parallel()
	c, err := Parse(withBandwidth(t, `{from: "07:00", to: "20:00", limit: 1MB},
		{from: 20:00, to: 22:30, limit: 4MiB}, {from: 23:00, to: 07:00, limit: 1KiB}`))
	if err != nil {
		t.Fatal(err)
	}
	want := Bandwidth{
		{From: 7 * time.Hour, To: 20 * time.Hour, BytesPerSecond: 1e6, Line: 4},
		{From: 20 * time.Hour, To: 22*time.Hour + 30*time.Minute, BytesPerSecond: 4 << 20, Line: 5},
		{From: 23 * time.Hour, To: 7 * time.Hour, BytesPerSecond: 1 << 10, Line: 5},
	}
	if diff := cmp.Diff(want, c.Destinations[0].Bandwidth); diff != "" {
		t.Errorf("bandwidth (-want +got):\n%s", diff)
	}
}

func TestBandwidthRefused(t *testing.T) {
	t.Parallel()
	const good = `{from: "07:00", to: "20:00", limit: 1MB},` + "\n"
	for spans, words := range map[string][]string{
		good + `{from: "19:59", to: "21:00", limit: 1MB}`: {"line 5", "19:59-21:00 overlaps 07:00-20:00 of line 4"},
		good + `{from: "22:00", to: "07:01", limit: 1MB}`: {"line 5", "overlaps", "line 4"},
		good + `{from: "08:00", to: "09:00", limit: 1MB}`: {"line 5", "overlaps"},
		good + `{from: "21:00", to: "21:00", limit: 1MB}`: {"line 5", "bytes_per_second"},
		good + `{from: "21:00", to: "22:00", limit: 10}`:  {"line 5", "at least 1KiB"},
		good + `{from: "21:00", to: "24:00", limit: 1MB}`: {"line 5", `to: "24:00" is no time of day`},
		good + `{from: "9", to: "10:00", limit: 1MB}`:     {"line 5", `from: "9" is no time of day`},
		good + `{from: "21:00", to: "22:00", limit: 1QB}`: {"line 5", "limit", "1QB"},
		good + `{from: "21:00", to: "22:00"}`:             {"line 5", "limit is missing"},
		good + `{until: "21:00"}`:                         {"line 5", `no key "until"`},
		good + `{to: "21:00", to: "22:00"}`:               {"line 5", "twice"},
		good + `"07:00-20:00 1MB"`:                        {"line 5", `"07:00-20:00 1MB" is no span`},
	} {
		_, err := Parse(withBandwidth(t, spans))
		for _, word := range words {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v, want an error with %q", spans, err, word)
			}
		}
	}
	text := strings.Replace(string(withBandwidth(t, "")), "[\n]", "fast", 1)
	if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), "line 3: bandwidth is no list") {
		t.Errorf("%s: %v", text, err)
	}
}
