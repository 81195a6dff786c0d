//go:build linux && peers

package prove

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wolkvox/backup/test/fleet"
)

// TestWitness has a real witness cosign the head of a night: the server's export has what it signed, and the stand-alone verifier
// says so; a ledger that lost its end afterwards is refused by it.
func TestWitness(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "witness.yaml")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	configure := func(logs string) {
		text := fmt.Sprintf("name: witness.example/w1\nstate_dir: %s\nlisten: %s\n%s", filepath.Join(dir, "state"), address, logs)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("")
	program := fleet.Program(t, "wolkvox-witness")
	made := fleet.Command(t.Context(), program, "-config", config, "init")
	key := strings.TrimSpace(made.Stdout)
	if made.Status != 0 {
		t.Fatal(made)
	}
	f := fleet.New(t, fleet.Options{Server: fmt.Sprintf("witnesses:\n  - {url: 'http://%s/', key: '%s'}\n", address, key)})
	f.Record(t, 1, 20, 1, 5000)
	f.Seal(t)
	f.Agent.Do(t, "run", "--once")
	before := export(t, f, "before")
	if r := witnessed(t, before, "--witness", key); r.Status != 1 || !strings.Contains(r.Stdout, "No witness signed") {
		t.Errorf("before any witness: %v", r)
	}
	origin, server := field(t, before, "origin"), field(t, before, "server-key")
	configure(fmt.Sprintf("logs:\n  - origin: %s\n    keys: ['%s']\n", origin, server))
	start(t, program, config)
	var after string
	for i := range 60 {
		after = export(t, f, fmt.Sprint("after-", i))
		if _, err := os.Stat(filepath.Join(after, "witness.txt")); err == nil {
			break
		}
		time.Sleep(time.Second)
	}
	if r := witnessed(t, after, "--witness", key); r.Status != 0 || !strings.Contains(r.Stdout, "witness.example/w1 signed ") {
		t.Errorf("the stand-alone verifier: %v", r)
	}
	// The ledger as it was before the receipts: both sides may have signed its head, but the witness knows more of it.
	cut := filepath.Join(t.TempDir(), "cut")
	if err := os.CopyFS(cut, os.DirFS(after)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(cut, "ledger.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cut, "ledger.txt"), text[:strings.LastIndex(string(text), "\nentry ")+1], 0o600); err != nil {
		t.Fatal(err)
	}
	if r := witnessed(t, cut, "--witness", key); r.Status != 1 {
		t.Errorf("a ledger without its end: %v", r)
	}
}

func export(t *testing.T, f *fleet.Fleet, name string) string {
	t.Helper()
	to := filepath.Join(f.Dir, name)
	f.Server.Do(t, "ledger", "export", fleet.TenantName, fleet.DestinationName, "--to", to)
	return to
}

func witnessed(t *testing.T, dir string, args ...string) fleet.Result {
	t.Helper()
	return fleet.Command(t.Context(), "node", append([]string{filepath.Join("..", "verifier", "verify.mjs"), "witness", dir}, args...)...)
}

// field returns the first value of that name in the entries of an export.
func field(t *testing.T, dir, name string) string {
	t.Helper()
	file, err := os.Open(filepath.Join(dir, "ledger.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return value
		}
	}
	t.Fatalf("no %s in %s", name, dir)
	return ""
}

// start starts the witness, and has it stop in good order when the test ends.
func start(t *testing.T, program, config string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "-config", config, "run")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("the witness: %v", err)
		}
	})
}
