//go:build linux && peers

package storage

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup/test/fleet"
)

// newFleet returns a fleet whose destination is in wolkvox Storage, on the server; place are further settings of it.
func newFleet(t *testing.T, place string) *fleet.Fleet {
	t.Helper()
	f := fleet.New(t, fleet.Options{Kind: "wolkvox", Where: "  wolkvox: {" + place + "}\n"})
	f.Destination = filepath.Join(f.Server.State, "storage", fleet.TenantName, fleet.DestinationName, "files")
	return f
}

// What a file may put on the line, on the average, where it is copied on the server: for copying it, and with its line of the
// manifest, which the agent has to know.
const (
	copyBytesPerFile = 100
	allBytesPerFile  = 400
)

// A night is copied on the server: it ends confirmed and agreed, by the service's own comparison, and the contents never cross
// the line.
func TestNight(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "")
	const count = 600
	f.Record(t, 1, count, 2, 20_000)
	f.Seal(t)
	// The evidence is the agent's own word and does cross the line: it has to wait until the copying was measured.
	evidence := filepath.Join(f.Destination, ".wolkvox", "evidence")
	if err := os.WriteFile(evidence, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	both := func() int64 { return f.Line.Carried() + f.Line.Sent() }
	whole := both()
	// A quota of a byte has the agent take in the log and be refused the copies, so that what is measured is copying alone.
	f.Server.Do(t, "tenant", "set-quota", fleet.TenantName, "1")
	if r := f.RunOnce(t); r.Status == 0 {
		t.Error("a night that no quota has room for is complete")
	}
	f.Server.Do(t, "tenant", "set-quota", fleet.TenantName, "0")
	before := both()
	f.Agent.Do(t, "run", "--once")
	carried, whole := both()-before, both()-whole
	if err := os.Remove(evidence); err != nil {
		t.Fatal(err)
	}
	f.Agent.Do(t, "run", "--once")
	if info, err := os.Stat(evidence); err != nil || !info.IsDir() {
		t.Errorf("there is no evidence: %v", err)
	}
	f.CheckComplete(t)
	t.Logf("%d bytes crossed the line for copying %d files, %d for each; %d with the manifest", carried, count, carried/count, whole)
	if carried > copyBytesPerFile*count || whole > allBytesPerFile*count {
		t.Errorf("%d bytes crossed the line for copying %d files, %d with the manifest", carried, count, whole)
	}
	export := filepath.Join(t.TempDir(), "export")
	f.Server.Do(t, "ledger", "export", fleet.TenantName, fleet.DestinationName, "--to", export)
	if text := readAll(t, export); !strings.Contains(text, "provider-sha256") || strings.Contains(text, "readback") {
		t.Error("the receipts do not name the service's comparison, or name another")
	}
	// Programs that know nothing of this module find the same.
	verifier := append([]string{filepath.Join("..", "verifier", "verify.mjs"), "ledger", export}, f.Fingerprints(t)...)
	if r := fleet.Command(t.Context(), "node", verifier...); r.Status != 0 {
		t.Errorf("the stand-alone verifier: %v", r)
	}
	var sums strings.Builder
	for path, sum := range fleet.Tree(t, f.Source) {
		fmt.Fprintf(&sums, "%s  %s\n", sum, filepath.Join(f.Destination, fleet.SourceName, path))
	}
	list := filepath.Join(t.TempDir(), "sums")
	if err := os.WriteFile(list, []byte(sums.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := fleet.Command(t.Context(), "sha256sum", "--check", "--strict", "--quiet", list); r.Status != 0 {
		t.Errorf("sha256sum: %v", r)
	}
}

// Where the destination asks for it, everything is read back over the line as well, and the receipts say so.
func TestReadback(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "check: readback")
	f.Record(t, 1, 20, 1, 20_000)
	f.Seal(t)
	f.Agent.Do(t, "run", "--once")
	f.CheckComplete(t)
	export := filepath.Join(t.TempDir(), "export")
	f.Server.Do(t, "ledger", "export", fleet.TenantName, fleet.DestinationName, "--to", export)
	if text := readAll(t, export); !strings.Contains(text, "readback-sha256 cached") || strings.Contains(text, "provider-sha256") {
		t.Error("the receipts do not name read-back, or name another method")
	}
}

// readAll returns all files below a directory, one after the other.
func readAll(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for path := range fleet.Tree(t, dir) {
		text, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// A quota that is used up in the middle of a night is named as such, and nothing half is visible; once it was raised the night
// goes on.
func TestQuota(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "")
	f.Record(t, 1, 100, 1, 20_000)
	f.Seal(t)
	f.Server.Do(t, "tenant", "set-quota", fleet.TenantName, "500KiB")
	f.Agent.Start(t)
	if complete, message, err := f.Agent.RunNow(t.Context()); complete || err != nil || !strings.Contains(message, "quota") {
		t.Errorf("a night with too small a quota: complete %t, %q, %v", complete, message, err)
	}
	if f := f.Agent.Only(t).LastFault; f == nil || f.Class != "quota" || f.Party != "client" || f.Code != "STORAGE_QUOTA" {
		t.Errorf("the agent's last fault is %+v, want the client's quota", f)
	}
	f.CheckDestination(t, false)
	var used int64
	for path := range fleet.Tree(t, f.Destination) {
		info, err := os.Stat(filepath.Join(f.Destination, path))
		if err != nil {
			t.Fatal(err)
		}
		used += info.Size()
	}
	if used == 0 || used > 500<<10 {
		t.Errorf("%d bytes are stored with a quota of 500 KiB", used)
	}
	t.Log(f.Server.Do(t, "tenant", "set-quota", fleet.TenantName, "1GB"))
	if complete, message, err := f.Agent.RunNow(t.Context()); !complete || err != nil {
		t.Errorf("after the quota was raised: complete %t, %q, %v", complete, message, err)
	}
	f.CheckComplete(t)
}

// The server is killed again and again in the middle of copying: nothing false is visible or confirmed, and the night ends.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "")
	f.Record(t, 1, 1500, 1, 60_000)
	f.Seal(t)
	f.Agent.Start(t)
	inTheMiddle := 0
	for range 4 {
		run := make(chan struct{}) // a person asks for it: after a broken connection the agent itself waits a while
		go func() {
			defer close(run)
			_, _, err := f.Agent.RunNow(t.Context())
			t.Logf("a run ended: %v", err)
		}()
		before := len(fleet.Tree(t, f.Destination))
		for deadline := time.Now().Add(30 * time.Second); len(fleet.Tree(t, f.Destination)) == before && before < f.WantedCount(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("nothing was copied for 30 seconds, with %d there\n%s", before, fleet.Tail(f.Agent.Log))
			}
		}
		f.Server.Kill()
		f.Server.Wait()
		<-run
		if n := len(fleet.Tree(t, f.Destination)); n < f.WantedCount() {
			inTheMiddle++
		}
		f.CheckDestination(t, false)
		f.Server.Start(t)
	}
	t.Logf("%d of 4 kills came in the middle of copying", inTheMiddle)
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		complete, message, err := f.Agent.RunNow(t.Context())
		if err == nil && complete {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not complete: %s, %v\n%s", message, err, fleet.Tail(f.Agent.Log))
		}
	}
	f.CheckComplete(t)
}

// A client gets recordings back: from the agent's machine and with a credential of the tenant's, going on where an earlier
// attempt broke off; and nobody of another tenant does.
func TestGet(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "")
	f.Record(t, 1, 30, 1, 300_000)
	f.Seal(t)
	f.Agent.Do(t, "run", "--once")
	f.CheckComplete(t)
	names := slices.Sorted(maps.Keys(fleet.Tree(t, f.Destination)))
	listed := f.Agent.Do(t, "storage", "ls")
	t.Log(listed[:200], f.Agent.Do(t, "check"), f.Agent.Do(t, "storage", "get", names[29], "--to", t.TempDir()))
	if got := strings.Count(listed, "\n"); got != len(names) {
		t.Errorf("storage ls has %d lines, want %d:\n%s", got, len(names), listed)
	}
	credential := func(tenant string) string {
		path := filepath.Join(t.TempDir(), tenant+".pem")
		f.Server.Do(t, "credential", "issue", "client", tenant, "ana", "--to", path)
		return path
	}
	f.Server.Do(t, "tenant", "add", "globex", "--time-zone", "UTC")
	ana, other := credential(fleet.TenantName), credential("globex")
	program := fleet.Program(t, "wolkvox-server")
	asClient := func(credential string, args ...string) fleet.Result {
		return fleet.Command(t.Context(), program, append(args, "--credential", credential, "--server", f.Server.Address())...)
	}
	if r := asClient(ana, "storage", "ls", fleet.TenantName, fleet.DestinationName, "--output", "json"); r.Status != 0 || strings.Count(r.Stdout, "\n") != len(names) {
		t.Errorf("a client's storage ls: %v", r)
	}
	for _, args := range [][]string{{"storage", "ls", fleet.TenantName, fleet.DestinationName}, {"storage", "get", fleet.TenantName, fleet.DestinationName, names[0], "--to", t.TempDir()}} {
		if r := asClient(other, args...); r.Status == 0 || !strings.Contains(r.Stderr, "OTHER_TENANT") {
			t.Errorf("a client of another tenant: %v", r)
		}
	}
	for i, name := range names[:6] {
		to := t.TempDir()
		want, err := os.ReadFile(filepath.Join(f.Destination, name))
		if err != nil {
			t.Fatal(err)
		}
		left := map[int][]byte{0: nil, 1: want[:len(want)/2], 2: []byte("something else"), 3: want, 4: append(slices.Clone(want), 1), 5: {}}[i]
		partial := filepath.Join(to, name+".wolkvox-partial")
		if err := os.MkdirAll(filepath.Dir(partial), 0o755); err != nil {
			t.Fatal(err)
		}
		if left != nil {
			if err := os.WriteFile(partial, left, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var told struct {
			SHA256       string
			Sealed       bool
			FetchedBytes int64 `json:"fetched_bytes"`
			Already      bool
		}
		get := func() {
			t.Helper()
			out := ""
			if i%2 == 0 {
				out = f.Agent.Do(t, "storage", "get", name, "--to", to, "--output", "json")
			} else if r := asClient(ana, "storage", "get", fleet.TenantName, fleet.DestinationName, name, "--to", to, "--output", "json"); r.Status == 0 {
				out = r.Stdout
			} else {
				t.Fatal(r)
			}
			if err := json.Unmarshal([]byte(out), &told); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		get()
		sum := sha256.Sum256(want)
		if got, err := fleet.Sum(filepath.Join(to, name)); err != nil || got != hex.EncodeToString(sum[:]) || told.SHA256 != got || !told.Sealed {
			t.Errorf("%s after %d bytes: %s, %v, told %+v", name, len(left), got, err, told)
		}
		fetched := map[int]int64{1: int64(len(want) - len(want)/2), 3: 0}
		if n, known := fetched[i]; known && told.FetchedBytes != n {
			t.Errorf("%s after %d of %d bytes: %d bytes were fetched", name, len(left), len(want), told.FetchedBytes)
		}
		if _, err := os.Stat(partial); err == nil {
			t.Errorf("%s is still there", partial)
		}
		if get(); !told.Already || told.FetchedBytes != 0 {
			t.Errorf("%s again: %+v", name, told)
		}
	}
	// What was damaged in the storage does not get the recording's name.
	victim, to := names[10], t.TempDir()
	data, err := os.ReadFile(filepath.Join(f.Destination, victim))
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(filepath.Join(f.Destination, victim), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := f.Agent.Try(t, "storage", "get", victim, "--to", to); r.Status == 0 {
		t.Errorf("a damaged file: %v", r)
	}
	if left := fleet.Tree(t, to); len(left) != 0 {
		t.Errorf("of a damaged file is left %v", left)
	}
	// All of it, but for that one; and that one too once it is well.
	if r := f.Agent.Try(t, "storage", "get", "--recursive", "--to", to); r.Status == 0 || !strings.Contains(r.Stderr, fmt.Sprintf("1 of %d files did not come", len(names))) {
		t.Errorf("everything, with a damaged file: %v", r)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(filepath.Join(f.Destination, victim), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := f.Agent.Do(t, "storage", "get", "--recursive", "--to", to); !strings.Contains(out, fmt.Sprintf("%d files are there, %d of them were before; %d bytes", len(names), len(names)-1, len(data))) {
		t.Errorf("everything again: %s", out)
	}
	want := fleet.Tree(t, f.Destination)
	if diff := cmp.Diff(want, fleet.Tree(t, to)); diff != "" {
		t.Errorf("what came back is not what is stored (-want +got):\n%s", diff)
	}
	folder, _, _ := strings.Cut(victim, "/")
	maps.DeleteFunc(want, func(name, _ string) bool { return !strings.HasPrefix(name, folder+"/") })
	anas := t.TempDir()
	if r := asClient(ana, "storage", "get", fleet.TenantName, fleet.DestinationName, folder, "-r", "--to", anas); r.Status != 0 {
		t.Errorf("a client's storage get of a folder: %v", r)
	}
	if diff := cmp.Diff(want, fleet.Tree(t, anas)); diff != "" {
		t.Errorf("a client's folder is not what is stored (-want +got):\n%s", diff)
	}
}
