package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "agent.yaml")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("Load of nothing = %v, want fs.ErrNotExist with the path", err)
	}
	if err := os.WriteFile(path, []byte("state_dir: relative\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "state_dir") {
		t.Errorf("Load = %v, want an error with the path and the key", err)
	}
}

// TestLimits refuses what no server would take of one agent.
func TestLimits(t *testing.T) {
	t.Parallel()
	config := func(destinations, streams int) []byte {
		var text strings.Builder
		fmt.Fprintf(&text, "state_dir: '%s'\nsocket: '%s'\ndestinations:\n", absolute(t, "state"), absolute(t, "socket"))
		for i := range destinations {
			fmt.Fprintf(&text, "  - {name: d%d, directory: '%s', streams: %d}\n", i, absolute(t, "nas"), streams)
		}
		return []byte(text.String())
	}
	if _, err := Parse(config(64, 64)); err != nil {
		t.Errorf("64 destinations with 64 streams: %v", err)
	}
	for word, text := range map[string][]byte{"64": config(65, 1), "streams": config(1, 65), "empty": config(0, 1)} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("Parse = %v, want an error with %q", err, word)
		}
	}
	long := strings.Replace(string(config(1, 1)), absolute(t, "socket"), absolute(t, strings.Repeat("s", 104)), 1)
	if _, err := Parse([]byte(long)); err == nil || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("a long socket: %v", err)
	}
}

func TestParseWindow(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Window{
		"02:00-06:00": {2 * time.Hour, 6 * time.Hour}, "22:30 - 06:15": {22*time.Hour + 30*time.Minute, 6*time.Hour + 15*time.Minute}, "00:00-00:00": {},
	} {
		if got, err := ParseWindow(text); err != nil || got != want {
			t.Errorf("ParseWindow(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-", "02:00", "24:00-06:00", "02:60-06:00", "2-6", "02:00-06:00-07:00", "02:00:00-06:00"} {
		if got, err := ParseWindow(text); err == nil {
			t.Errorf("ParseWindow(%q) = %v, want an error", text, got)
		}
	}
}

// TestProxy shows no password of a proxy that is refused.
func TestProxy(t *testing.T) {
	t.Parallel()
	for _, proxy := range []string{"environment", "none", "http://proxy:3128", "https://joe:secret@proxy", "http://[::1]:3128"} {
		if err := checkProxy(proxy); err != nil {
			t.Errorf("proxy %s: %v", proxy, err)
		}
	}
	for _, proxy := range []string{"proxy:3128", "socks5://joe:secret@proxy", "http://joe:secret@", "http://joe:secret@bad host", "//joe:secret@proxy"} {
		if err := checkProxy(proxy); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("proxy %s: %v, want an error without its password", proxy, err)
		}
	}
}
