package config

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup/internal/size"
)

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := Parse([]byte(`
state_dir: /var/lib/wolkvox
listen: 192.0.2.1:8443
names: [backup.example.com, 192.0.2.1, "2001:db8::1"]
address: backup.example.com:443
log_level: debug
limits:
  streams: 100
  streams_per_agent: 4
  bytes_per_second: 50MB
  times_per_night: 3
  connections: 2000
  connections_per_address: 500
metrics_listen: 127.0.0.1:9464
door: {listen: ":2022"}
state_reserve: 1GiB
storage_dir: /srv/storage
`))
	if err != nil {
		t.Fatal(err)
	}
	rate, reserve := size.Size(50e6), size.Size(1<<30)
	want := Config{
		StateDir: "/var/lib/wolkvox", Listen: "192.0.2.1:8443", Names: []string{"backup.example.com", "192.0.2.1", "2001:db8::1"},
		Address: "backup.example.com:443", LogLevel: slog.LevelDebug, Limits: Limits{Streams: 100, StreamsPerAgent: 4, BytesPerSecond: &rate, TimesPerNight: 3, Connections: 2000, ConnectionsPerAddress: 500},
		MetricsListen: "127.0.0.1:9464", StorageDir: "/srv/storage",
		Door:         Door{Listen: ":2022"},
		StateReserve: &reserve,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
	if address := got.ServerAddress(8443); address != "backup.example.com:443" {
		t.Errorf("ServerAddress = %q", address)
	}
}

func TestParseDefaults(t *testing.T) {
	t.Parallel()
	got, err := Parse([]byte("state_dir: /s\nnames: ['::1']\n"))
	if err != nil {
		t.Fatal(err)
	}
	reserve := size.Size(256 << 20)
	want := Config{StateDir: "/s", StorageDir: "/s/storage", Listen: ":443", Names: []string{"::1"}, Limits: Limits{Streams: 64, StreamsPerAgent: 8, TimesPerNight: 8, Connections: 16384, ConnectionsPerAddress: 1024}, StateReserve: &reserve}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
	if address := got.ServerAddress(8443); address != "[::1]:8443" {
		t.Errorf("ServerAddress = %q", address)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const good = "state_dir: /s\nnames: [backup.example.com]\n"
	if _, err := Parse([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for text, word := range map[string]string{
		"":                                                "empty",
		good + "door: {listen: '2022'}":                   "door: listen",
		good + "statedir: /x":                             "statedir",
		good + "limits: {stream: 3}":                      "stream",
		good + "---\nstate_dir: /x":                       "second document",
		"names: [a]":                                      "state_dir",
		"state_dir: relative\nnames: [a]":                 "absolute",
		"state_dir: /s":                                   "names",
		"state_dir: /s\nnames: ['a:443']":                 "without port",
		"state_dir: /s\nnames: ['https://a']":             "without port",
		good + "listen: 443":                              "listen",
		good + "listen: ':https'":                         "listen",
		good + "listen: ':65536'":                         "listen",
		good + "address: backup.example.com":              "address",
		good + "address: other.example.com:443":           "names has no",
		good + "log_level: loud":                          "loud",
		good + "limits: {streams: -1}":                    "streams",
		good + "limits: {streams_per_agent: 65}":          "streams_per_agent",
		good + "limits: {bytes_per_second: 1}":            "bytes_per_second",
		good + "limits: {times_per_night: 1}":             "times_per_night",
		good + "limits: {connections: 3}":                 "connections",
		good + "limits: {connections_per_address: 20000}": "connections_per_address",
		good + "metrics_listen: 9464":                     "metrics_listen",
		good + "limits: {bytes_per_second: 1QB}":          "1QB",
		good + "names: [b]":                               "already",
	} {
		_, err := Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("Parse(%q) = %v, want an error that names %q", text, err, word)
		}
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "server.yaml")
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Load of a missing file = %v", err)
	}
	if err := os.WriteFile(path, []byte("state_dirr: /s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("Load of a file with an unknown key = %v, want its name and the line", err)
	}
}
