//go:build linux && peers

package chaos

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/test/fleet"
)

// TestConflict: a different file is under the name of a recording. It stays as it is, the fault is named, and all others
// are copied; when it was moved away, so is this one.
func TestConflict(t *testing.T) {
	t.Parallel()
	f := fleet.New(t, fleet.Options{})
	f.Record(t, 1, 40, 1, 20_000)
	f.Seal(t)
	taken := filepath.Join(f.Destination, f.Server.Items(t, fleet.TenantName, fleet.DestinationName)[7].Path)
	const theirs = "the client's own file\n"
	write(t, taken, theirs)
	before, err := os.Stat(taken)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, f.RunOnce(t), "still pending")
	expectFault(t, f, "CONFLICT")
	expectItemFault(t, f, "CONFLICT", 1)
	text, err := os.ReadFile(taken)
	after, statErr := os.Stat(taken)
	if err != nil || statErr != nil || string(text) != theirs || !after.ModTime().Equal(before.ModTime()) || !os.SameFile(before, after) {
		t.Errorf("the client's file was touched: %q, %v, %v", text, err, statErr)
	}
	if counts := f.Agent.Only(t).Counts; counts.Confirmed != 39 || counts.Pending != 1 {
		t.Errorf("%+v, want 39 confirmed and 1 pending", counts)
	}
	f.CheckLedgers(t)
	if err := os.Rename(taken, filepath.Join(t.TempDir(), "moved")); err != nil {
		t.Fatal(err)
	}
	expectComplete(t, f)
}

// TestAdoption: equal files are there already. They are confirmed as they are, and not fetched.
func TestAdoption(t *testing.T) {
	t.Parallel()
	f := fleet.New(t, fleet.Options{Server: "log_level: debug\n"})
	f.Record(t, 1, 40, 2, 50_000)
	if err := os.CopyFS(filepath.Join(f.Destination, fleet.SourceName), os.DirFS(f.Source)); err != nil {
		t.Fatal(err)
	}
	for _, own := range []string{".wolkvox-source", ".wolkvox"} {
		if err := os.RemoveAll(filepath.Join(f.Destination, fleet.SourceName, own)); err != nil {
			t.Fatal(err)
		}
	}
	f.Seal(t)
	before := f.Line.Carried()
	expectComplete(t, f)
	if carried := f.Line.Carried() - before; carried > 100<<10 {
		t.Errorf("%d bytes were fetched, although all was there", carried)
	}
}

// TestHostileNames: what a source may hold. Everything that is a file arrives once, under a name that is good everywhere;
// everything else is named.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	f := fleet.New(t, fleet.Options{})
	long := strings.Repeat("n", 251) + ".gsm"
	names := []string{
		"plain.gsm", "a:b.gsm", "CON", "con.txt", "NUL.gsm", "aux/LPT1.mp3", "trailing.", "trailing ", " leading", "..hidden", "...",
		"Case.gsm", "case.gsm", "CASE.GSM", "caf\u00e9.gsm", "cafe\u0301.gsm", "star*?<>|\".gsm", `back\slash.gsm`, `..\..\up.gsm`,
		"new\nline.gsm", "tab\there", "bell\a", "esc\x1b[31m", "not utf-8 \xff\xfe.gsm", "per%cent", "%2e%2e", "right\u202eto-left.gsm",
		".wolkvox/staging/x", "CLOCK$", "COM\u00b9", "dash-", "~", "a~1.gsm", "~2.gsm", long,
		strings.Repeat("d", 250) + "/" + strings.Repeat("e", 250) + "/" + long,
		strings.Repeat(strings.Repeat("f", 100)+"/", 15) + "deep.gsm",
	}
	wanted := map[string]int{} // SHA-256 of what has to arrive, and how often
	add := func(name, text string) {
		path := filepath.Join(f.Source, name)
		write(t, path, text)
		sum, err := fleet.Sum(path)
		if err != nil {
			t.Fatal(err)
		}
		wanted[sum]++
	}
	for _, name := range names {
		add(name, "contents of "+name)
	}
	add("empty", "")
	outside := filepath.Join(t.TempDir(), "outside")
	write(t, filepath.Join(outside, "secret"), "must not leave this machine")
	for _, err := range []error{
		os.Symlink(filepath.Join(outside, "secret"), filepath.Join(f.Source, "link.gsm")),
		os.Symlink(outside, filepath.Join(f.Source, "folder")),
		os.Symlink("plain.gsm", filepath.Join(f.Source, "inner-link.gsm")),
		syscall.Mkfifo(filepath.Join(f.Source, "fifo.gsm"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	said := f.Server.Do(t, "seal", fleet.TenantName, "--wait")
	for _, named := range []string{"link.gsm", "folder", "inner-link.gsm", "fifo.gsm", "symbolic link", "FIFO"} {
		if !strings.Contains(said, named) {
			t.Errorf("sealing does not name %q:\n%s", named, said)
		}
	}
	for _, raw := range []string{"\x1b", "\a", "\xff"} {
		if strings.Contains(said, raw) {
			t.Errorf("sealing writes %q to the terminal", raw)
		}
	}
	folded := map[string]string{}
	for _, item := range f.Server.Items(t, fleet.TenantName, fleet.DestinationName) {
		if err := backup.CheckPath(item.Path); err != nil {
			t.Errorf("%q: %v", item.Path, err)
		}
		key := strings.ToLower(item.Path)
		if other := folded[key]; other != "" {
			t.Errorf("%q and %q are the same name where case does not count", item.Path, other)
		}
		folded[key] = item.Path
		f.Want(item.Path, item.SHA256)
	}
	expectComplete(t, f)
	arrived := map[string]int{}
	for _, sum := range fleet.Tree(t, f.Destination) {
		arrived[sum]++
	}
	if !maps.Equal(arrived, wanted) {
		t.Errorf("%d contents arrived, want %d; too many %q, missing %q", len(arrived), len(wanted), without(arrived, wanted), without(wanted, arrived))
	}
	for path := range fleet.Tree(t, f.Destination) {
		if info, err := os.Lstat(filepath.Join(f.Destination, path)); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s is no regular file: %v, %v", path, info, err)
		}
	}
}

func without(a, b map[string]int) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(a)), func(sum string) bool { return a[sum] == b[sum] })
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
