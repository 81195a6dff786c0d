package config

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/internal/size"
)

func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestParse(t *testing.T) {
	t.Parallel()
	state, nas, archive := absolute(t, "state"), absolute(t, "nas"), absolute(t, "archive")
	got, err := Parse([]byte(`
state_dir: '` + state + `'
proxy: http://proxy.example:3128
language: es
destinations:
  - name: nas
    directory: '` + nas + `'
    reserve: 20GiB
    window: 22:30-06:00
  - name: archive
    directory: '` + archive + `'
    streams: 8
    bytes_per_second: 2MB
`))
	if err != nil {
		t.Fatal(err)
	}
	stateReserve, reserve, rate := size.Size(DefaultStateReserve), size.Size(20<<30), size.Size(2e6)
	want := Config{
		StateDir: state, Socket: filepath.Join(state, "control.sock"), Proxy: "http://proxy.example:3128", Language: fault.Spanish,
		Heartbeat: Duration(DefaultHeartbeat), StateReserve: &stateReserve,
		Destinations: []Destination{
			{Name: "nas", Place: Place{Directory: nas}, Reserve: &reserve, Streams: 4, Window: &Window{22*time.Hour + 30*time.Minute, 6 * time.Hour}},
			{Name: "archive", Place: Place{Directory: archive}, Streams: 8, BytesPerSecond: &rate},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
	if d, ok := got.Destination("archive"); !ok || d.Directory != archive {
		t.Errorf("Destination(archive) = %v, %v", d, ok)
	}
	if _, ok := got.Destination("tape"); ok {
		t.Error("Destination(tape) is there")
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	state, nas := absolute(t, "state"), absolute(t, "nas")
	good := "state_dir: '" + state + "'\ndestinations: [{name: nas, directory: '" + nas + "'}]\n"
	if _, err := Parse([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for text, word := range map[string]string{
		"":                                      "empty",
		good + "reserv: 1":                      "reserv",
		good + "---\nstate_dir: /x":             "second document",
		"state_dir: relative\ndestinations: []": "absolute",
		strings.Replace(good, "directory", "direktory", 1):  "direktory",
		strings.Replace(good, "name: nas", "name: NAS!", 1): "name",
		strings.Replace(good, "'"+nas+"'", "relative", 1):   "absolute",
		strings.Replace(good, "}]", ", streams: 100}]", 1):  "streams",
		strings.Replace(good, "}]", ", reserve: lots}]", 1): "lots",
		strings.Replace(good, "}]", ", window: 9-5}]", 1):   "9-5",
		strings.Replace(good, "}]", ", window: 9:00}]", 1):  "window",
		good + "proxy: ftp://x":                             "proxy",
		good + "language: fr":                               "language",
		good + "heartbeat: 1h":                              "heartbeat",
		good + "heartbeat: often":                           "often",
		"state_dir: '" + state + "'\ndestinations: []":      "destinations",
		"state_dir: '" + state + "'\ndestinations: [{name: nas, directory: '" + nas + "'},{name: nas, directory: '" + nas + "'}]": "twice",
	} {
		_, err := Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("Parse(%q) = %v, want an error that names %q", text, err, word)
		}
	}
}
