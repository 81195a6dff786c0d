//go:build linux && peers

package nas

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup/test/fleet"
)

const (
	soundsPackage = "asterisk-core-sounds-en-gsm"
	minSounds     = 400 // the package has more than 500
)

// TestNight has a night of real recordings copied by every driver. All is confirmed and agreed; sha256sum, at the peer, and
// rsync find the files as they were; and the stand-alone verifier accepts what both sides export.
func TestNight(t *testing.T) {
	t.Parallel()
	here := driver{name: "local", start: startFolder, method: "readback-sha256 uncached"}
	forEach(t, append(drivers(), here), func(t *testing.T, d driver) {
		dir := t.TempDir()
		p := d.start(t, dir)
		f := fleet.New(t, fleet.Options{Destination: dir, Where: p.where("")})
		count := copySounds(t, f)
		f.Seal(t)
		began := time.Now()
		f.Agent.Do(t, "run", "--once")
		t.Logf("%d recordings in %v", count, time.Since(began).Round(time.Millisecond))
		f.Agent.Do(t, "status") // its exit status says that all is well
		if far, ok := p.(remote); ok {
			far.fetch(t, dir)
		}
		f.CheckComplete(t)
		confirmed := f.Server.Items(t, fleet.TenantName, fleet.DestinationName, "confirmed")
		if f.CheckStored(t, confirmed); len(confirmed) != count {
			t.Errorf("%d recordings are confirmed, want %d", len(confirmed), count)
		}
		said := fleet.Command(t.Context(), "rsync", "--dry-run", "--checksum", "--checksum-choice=md5", "--recursive", "--delete", "--itemize-changes",
			"--omit-dir-times", "--exclude=/.wolkvox*", f.Source+"/", filepath.Join(dir, fleet.SourceName)+"/")
		if said.Status != 0 || said.Stdout != "" {
			t.Errorf("rsync finds differences: %v", said)
		}
		ofServer, ofAgent := filepath.Join(f.Dir, "of-server"), filepath.Join(f.Dir, "of-agent")
		f.Server.Do(t, "ledger", "export", fleet.TenantName, fleet.DestinationName, "--to", ofServer)
		f.Agent.Do(t, "ledger", "export", "--destination", fleet.DestinationName, "--to", ofAgent)
		for _, export := range []string{ofServer, ofAgent} {
			checkExport(t, f, export, count, d.method)
		}
	})
}

// copySounds fills the source with every sound of the Debian package, made yesterday, and returns how many there are.
func copySounds(t *testing.T, f *fleet.Fleet) int {
	t.Helper()
	list := fleet.Command(t.Context(), "dpkg", "-L", soundsPackage)
	if list.Status != 0 {
		t.Fatal(list)
	}
	count := 0
	made := time.Now().Add(-24 * time.Hour)
	for line := range strings.Lines(list.Stdout) {
		sound := strings.TrimSpace(line)
		if !strings.HasSuffix(sound, ".gsm") {
			continue
		}
		data, err := os.ReadFile(sound)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(f.Source, sound)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, made, made); err != nil {
			t.Fatal(err)
		}
		count++
	}
	if count < minSounds {
		t.Fatalf("%s has %d sounds, want at least %d", soundsPackage, count, minSounds)
	}
	for path, sum := range fleet.Tree(t, f.Source) {
		f.Want(fleet.SourceName+"/"+path, sum)
	}
	return count
}

// checkExport has the stand-alone verifier check a ledger, in which all must be confirmed, agreed, and compared by one
// method.
func checkExport(t *testing.T, f *fleet.Fleet, dir string, confirmed int, method string) {
	t.Helper()
	args := []string{filepath.Join("..", "verifier", "verify.mjs"), "ledger", dir, "--output", "json"}
	for line := range strings.Lines(f.Enrolled) {
		if word := strings.Fields(line); len(word) == 2 && len(word[1]) == 64 && (word[0] == "server" || word[0] == "agent") {
			args = append(args, "--"+word[0]+"-fingerprint", word[1])
		}
	}
	r := fleet.Command(t.Context(), "node", args...)
	var summary struct {
		Valid     bool
		NotAgreed int
		Alarms    []json.RawMessage
		Totals    struct{ Counts map[string]int }
	}
	if err := json.Unmarshal([]byte(r.Stdout), &summary); err != nil || r.Status != 0 || len(args) != 8+1 {
		t.Fatalf("the verifier does not accept %s: %v (%v)", dir, r, err)
	}
	if !summary.Valid || len(summary.Alarms) > 0 || summary.NotAgreed != 0 || summary.Totals.Counts["confirmed"] != confirmed {
		t.Errorf("of %s the verifier says, want %d confirmed: %s", dir, confirmed, r.Stdout)
	}
	text, err := os.ReadFile(filepath.Join(dir, "ledger.txt"))
	if err != nil {
		t.Fatal(err)
	}
	receipts, methods := 0, map[string]int{}
	for line := range strings.Lines(string(text)) {
		if m, ok := strings.CutPrefix(strings.TrimSpace(line), "method "); ok {
			receipts++
			methods[m]++
		}
	}
	if receipts == 0 || methods[method] != receipts {
		t.Errorf("the receipts of %s have the methods %v, want %q alone", dir, methods, method)
	}
}
