//go:build linux && peers

package byhand

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wolkvox/backup/test/fleet"
)

// completeElsewhere makes a bag whose recordings are to be fetched, and fetches them as somebody does who has a key for the door and
// nothing of ours.
func (s *site) completeElsewhere(t *testing.T) {
	t.Helper()
	address, err := os.ReadFile(filepath.Join(s.Server.State, "door"))
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(strings.TrimSpace(string(address)))
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "key")
	if r := fleet.Command(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key); r.Status != 0 {
		t.Fatal(r)
	}
	s.Server.Do(t, "door-key", "add", fleet.TenantName, "--file", key+".pub", "--comment", "Ana")
	dir := filepath.Join(t.TempDir(), "holey")
	said := s.Agent.Do(t, "expired", "export", dir, "--fetch-txt", fmt.Sprintf("sftp://%s@%s:%s", fleet.TenantName, host, port))
	checkBag(t, dir, false)
	list, err := os.ReadFile(filepath.Join(dir, "fetch.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(list), "\n"); got != len(s.expired)-2 || !strings.Contains(said, fmt.Sprintf("%d are to be fetched", got)) {
		t.Fatalf("fetch.txt has %d lines: %s", got, said)
	}
	var batch strings.Builder
	for line := range strings.Lines(string(list)) {
		fields := strings.Fields(line)
		from, err := url.Parse(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, fields[2])
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&batch, "get %q %q\n", from.Path, to)
	}
	commands := filepath.Join(t.TempDir(), "batch")
	write(t, commands, batch.String())
	r := fleet.Command(t.Context(), "sftp", "-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-P", port, "-b", commands, fleet.TenantName+"@"+host)
	if r.Status != 0 {
		t.Fatal(r)
	}
	checkBag(t, dir, true)
}
