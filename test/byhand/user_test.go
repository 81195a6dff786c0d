//go:build linux && peers

package byhand

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wolkvox/backup/test/fleet"
)

// TestOtherUser has a service that runs as nobody take files that only the administrator can read, before they expire.
func TestOtherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("it starts a service as another user: only root can")
	}
	f := fleet.New(t, fleet.Options{Agent: "heartbeat: 1s\n"})
	f.Record(t, 2, 8, 1, 20_000)
	f.Seal(t)
	program := filepath.Join(f.Dir, "wolkvox-agent")
	for _, args := range [][]string{
		{"cp", fleet.Program(t, "wolkvox-agent"), program},
		{"chown", "-R", "65534:65534", f.Agent.State, f.Destination, f.Agent.Config},
		{"chmod", "0711", filepath.Dir(f.Dir)},
		{"chmod", "0777", f.Dir},
	} {
		if r := fleet.Command(t.Context(), args[0], args[1:]...); r.Status != 0 {
			t.Fatal(r)
		}
	}
	asNobody := filepath.Join(f.Dir, "as-nobody")
	write(t, asNobody, fmt.Sprintf("#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups %s \"$@\"\n", program))
	if err := os.Chmod(asNobody, 0o755); err != nil {
		t.Fatal(err)
	}
	carried := filepath.Join(t.TempDir(), "mine")
	if r := fleet.Command(t.Context(), "cp", "-r", filepath.Join(f.Source, "0000000000000002"), carried); r.Status != 0 {
		t.Fatal(r)
	}
	if err := os.Chmod(carried, 0o700); err != nil {
		t.Fatal(err)
	}
	// What the server would give is out of reach, so that what arrives came by hand.
	if err := os.Rename(f.Source, f.Source+".away"); err != nil {
		t.Fatal(err)
	}
	f.Agent.Become(asNobody)
	f.Agent.Start(t)
	f.Agent.Become(program)
	r := f.Agent.Try(t, "import", carried)
	if want := "8 recordings are confirmed that were not"; r.Status != 0 || !strings.Contains(r.Stdout, want) {
		t.Fatalf("want %s: %v\n%s", want, r, fleet.Tail(f.Agent.Log))
	}
	f.CheckDestination(t, true)
	acts, err := os.ReadFile(filepath.Join(f.Agent.State, "acts.log"))
	if err != nil || !strings.Contains(string(acts), `"user":"root"`) {
		t.Errorf("the list of acts says %s, %v", acts, err)
	}
	text, err := os.Stat(filepath.Join(f.Agent.State, "acts.log"))
	if err != nil || text.Mode().Perm() != 0o600 {
		t.Errorf("the list of acts is %v, %v", text, err)
	}
}
