package config

import (
	"strings"
	"testing"
)

// TestLoginNeedsWindows: here the system mounts shares, and the remedy is named.
func TestLoginNeedsWindows(t *testing.T) {
	t.Parallel()
	_, err := Parse([]byte(`
state_dir: /var/lib/wolkvox-agent
destinations:
  - name: nas
    directory: /srv/recordings
    login: {user: backup, password: {file: /etc/wolkvox/nas}}
`))
	if err == nil || !strings.Contains(err.Error(), "mount the share") || !strings.Contains(err.Error(), "smb") {
		t.Errorf("login beside a directory: %v", err)
	}
}
