package config

import (
	"testing"
)

// FuzzParse reads configurations: what is taken passes its own check, and names a server.
func FuzzParse(f *testing.F) {
	f.Add([]byte("state_dir: /s\nnames: [backup.example.com]\nlimits: {streams: 3, bytes_per_second: 50MB}\n"))
	f.Add([]byte("state_dir: /s\nnames: ['::1']\nlisten: 192.0.2.1:8443\nlog_level: debug\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		if err := c.check(); err != nil || c.ServerAddress(443) == "" {
			t.Errorf("Parse(%q) = %+v: %v", text, c, err)
		}
	})
}
