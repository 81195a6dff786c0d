package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlaceExamples reads the examples of the page on destinations, which shows each of them whole.
func TestPlaceExamples(t *testing.T) {
	t.Parallel()
	if !filepath.IsAbs("/var") {
		t.Skip("the examples' paths are those of Linux")
	}
	page, err := os.ReadFile("../../../docs/destinations.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, location := range map[string]string{
		"smb":          `\\nas.example.com:445\recordings\wolkvox`,
		"sftp":         "sftp://wolkvox-backup@nas.example.com:22/volume1/recordings",
		"rsync-daemon": "rsync://nas.example.com:873/recordings/wolkvox",
		"wolkvox":      "wolkvox Storage",
		"rsync-ssh":    "wolkvox-backup@nas.example.com:22:/volume1/recordings (rsync)",
	} {
		text, err := os.ReadFile("../../../docs/examples/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		c, err := Parse(text)
		if err != nil {
			t.Errorf("Parse(%s): %v", name, err)
			continue
		}
		if got := c.Destinations[0].Location(); got != location {
			t.Errorf("%s is at %s, want %s", name, got, location)
		}
		if !strings.Contains(string(page), "```yaml\n"+string(text)+"```\n") {
			t.Errorf("docs/destinations.md does not show docs/examples/%s.yaml as it is", name)
		}
	}
}

// TestPlaceRefuses names the key and the remedy for every mistake.
func TestPlaceRefuses(t *testing.T) {
	t.Parallel()
	secret := "{file: '" + absolute(t, "secret") + "'}"
	login := "user: u, password: " + secret
	ssh := "address: h, user: u, host_key: k, key: " + secret
	for place, words := range map[string]string{
		"directory: '" + absolute(t, "nas") + "', sftp: {" + ssh + ", folder: f}": "exactly one",
		"wolkvox: {check: peer}":                               "service or readback",
		"wolkvox: {}, directory: '" + absolute(t, "nas") + "'": "exactly one",
		"streams: 2": "exactly one of directory, smb, sftp, rsync",
		"smb: {address: h, share: a/b, " + login + "}":                       "share",
		"smb: {address: h, " + login + "}":                                   "share",
		"smb: {share: s, " + login + "}":                                     "address",
		"smb: {address: 'h:1:2', share: s, " + login + "}":                   "address",
		"smb: {address: h, share: s, user: u}":                               "password is missing",
		"smb: {address: h, share: s, password: " + secret + "}":              "user is empty",
		"smb: {address: h, share: s, folder: ../x, " + login + "}":           "folder",
		"smb: {address: h, share: s, user: u, password: {file: relative}}":   "absolute",
		"smb: {address: h, share: s, user: u, password: {}}":                 "exactly one of file, environment and credential",
		"smb: {address: h, share: s, user: u, password: {text: hunter2}}":    "text",
		"sftp: {" + ssh + "}":                                                "folder is empty",
		"sftp: {address: h, user: u, key: " + secret + ", folder: f}":        "host_key is empty",
		"sftp: {address: h, user: u, host_key: k, folder: f}":                "password or key",
		"rsync: {address: h}":                                                "module",
		"rsync: {address: h, module: m, user: u}":                            "user and password go together",
		"rsync: {address: h, module: m, check: crc}":                         "check",
		"rsync: {address: h, module: m, spool: x}":                           "spool",
		"rsync: {ssh: {" + ssh + "}, folder: f, module: m}":                  "those of a daemon",
		"rsync: {ssh: {" + ssh + "}}":                                        "folder is empty",
		"rsync: {ssh: {address: h, user: u, host_key: k}, folder: f}":        "password or key",
		"login: {" + login + "}, smb: {address: h, share: s, " + login + "}": "login goes with directory",
	} {
		text := "state_dir: '" + absolute(t, "state") + "'\ndestinations: [{name: nas, " + place + "}]\n"
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("Parse(%q) = %v, want an error with %q", text, err, words)
		}
	}
}
