package server_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// scrape returns what the server shows, by name and labels as they are written.
func (f *fixture) scrape(t *testing.T) (samples map[string]string, text string) {
	t.Helper()
	address, err := os.ReadFile(f.path("state", "metrics"))
	check(t, err)
	res, err := http.Get("http://" + strings.TrimSpace(string(address)) + "/metrics")
	check(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	check(t, err)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", res.Status, body)
	}
	samples = map[string]string{}
	for line := range strings.Lines(string(body)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "#") {
			samples[name] = value
		}
	}
	return samples, string(body)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.configure(t, "metrics_listen: 127.0.0.1:0\n")
	f.serve(t)
	f.must(t, "tenant add acme --time-zone America/Bogota --quiet 0s")
	f.must(t, "source add acme calls --directory "+recordings(t, map[string]string{"secret-name.txt": "hello", "b.txt": "world!"}))
	f.must(t, "destination add acme nas --kind rsync")
	f.must(t, "destination add acme cloud --kind s3")
	g := newGuest(t, f, "acme", "nas", "127.0.0.1")
	f.must(t, "seal acme --wait")
	heartbeats := backupv1.NewHeartbeatServiceClient(g.dial(t))
	_, err := heartbeats.Heartbeat(t.Context(), &backupv1.HeartbeatRequest{AgentTime: timestamppb.New(time.Now().Add(-time.Hour))})
	check(t, err)

	if list := f.must(t, "agents --tenant acme"); !regexp.MustCompile(`clock_offset:-3(599|60\d)`).MatchString(fmt.Sprint(list)) {
		t.Errorf("the operator is not told that the agent's clock is an hour behind: %v", list)
	}

	samples, text := f.scrape(t)
	for name, want := range map[string]string{
		`wolkvox_items{destination="nas",state="pending",tenant="acme"}`:                               "2",
		`wolkvox_items{destination="nas",state="confirmed",tenant="acme"}`:                             "0",
		`wolkvox_items{destination="cloud",state="pending",tenant="acme"}`:                             "2",
		`wolkvox_nights{destination="nas",state="open",tenant="acme"}`:                                 "1",
		`wolkvox_nights{destination="nas",state="closed",tenant="acme"}`:                               "0",
		`wolkvox_served_bytes_total{destination="nas",tenant="acme"}`:                                  "0",
		`wolkvox_limit_refusals_total{limit="calls"}`:                                                  "0",
		`wolkvox_call_seconds_count{code="OK",method="/wolkvox.backup.v1.HeartbeatService/Heartbeat"}`: "1",
		`wolkvox_unread`: "0",
	} {
		if samples[name] != want {
			t.Errorf("%s is %q, want %s", name, samples[name], want)
		}
	}
	for _, pattern := range []string{
		`(?m)^wolkvox_nearest_deadline_timestamp_seconds\{destination="nas",tenant="acme"\} 1\.\d+e\+09$`,
		`(?m)^wolkvox_agent_heard_timestamp_seconds\{agent="[0-9a-f]{16}",tenant="acme"\} 1\.\d+e\+09$`,
		`(?m)^wolkvox_agent_clock_offset_seconds\{agent="[0-9a-f]{16}",tenant="acme"\} -3(599|60\d)`,
		`(?m)^wolkvox_agent_certificate_end_timestamp_seconds\{`,
		`(?m)^wolkvox_certificate_end_timestamp_seconds\{certificate="server"\} `,
		`(?m)^wolkvox_last_night_timestamp_seconds\{destination="nas",tenant="acme"\} `,
		`(?m)^wolkvox_state_bytes\{part="ledgers"\} [1-9]`, `(?m)^wolkvox_state_bytes\{part="registry"\} [1-9]`, `(?m)^wolkvox_connections [1-9]`, `(?m)^go_goroutines `,
	} {
		if !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("nothing is like %s", pattern)
		}
	}
	if strings.Contains(text, "secret-name") {
		t.Error("the name of a recording is shown")
	}

	if confirmed := g.night(t, 1); confirmed != 2 {
		t.Fatalf("%d recordings came whole", confirmed)
	}
	samples, text = f.scrape(t)
	for name, want := range map[string]string{
		`wolkvox_items{destination="nas",state="pending",tenant="acme"}`:                            "0",
		`wolkvox_items{destination="nas",state="confirmed",tenant="acme"}`:                          "2",
		`wolkvox_served_files_total{destination="nas",tenant="acme"}`:                               "2",
		`wolkvox_served_bytes_total{destination="nas",tenant="acme"}`:                               "11",
		`wolkvox_streams_total{code="OK",method="/wolkvox.backup.v1.ContentService/FetchContents"}`: "1",
	} {
		if samples[name] != want {
			t.Errorf("after the night %s is %q, want %s", name, samples[name], want)
		}
	}
	if strings.Contains(text, `wolkvox_nearest_deadline_timestamp_seconds{destination="nas"`) {
		t.Error("a deadline is shown where nothing is pending")
	}

	address, err := os.ReadFile(f.path("state", "metrics"))
	check(t, err)
	for path, want := range map[string]int{"/": http.StatusNotFound, "/debug/pprof/": http.StatusNotFound} {
		res, err := http.Get("http://" + strings.TrimSpace(string(address)) + path)
		check(t, err)
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("GET %s: %s", path, res.Status)
		}
	}
	f.stop()
	if _, err := os.Stat(f.path("state", "metrics")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the address of the metrics is left behind: %v", err)
	}
}
