//go:build linux && peers

package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/wolkvox/backup/internal/peertest/versitygw"
	"github.com/wolkvox/backup/test/fleet"
)

// TestNights has two nights copied. At a folder and in a bucket, sha256sum finds every recording, the stand-alone verifier accepts
// the evidence alone, and refuses it after each of some changes; so with the kit of the month.
func TestNights(t *testing.T) {
	t.Parallel()
	for name, where := range map[string]func(t *testing.T, dir string) string{
		"local":  func(_ *testing.T, dir string) string { return "  directory: " + dir + "\n" },
		"bucket": bucket,
		"locked": lockedBucket,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), name)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			f := fleet.New(t, fleet.Options{Destination: dir, Where: where(t, dir)})
			f.Record(t, 1, 60, 2, 5000)
			f.Seal(t)
			f.Agent.Do(t, "run", "--once")
			f.Record(t, 2, 40, 1, 5000)
			f.Seal(t)
			f.Agent.Do(t, "run", "--once")
			if said := f.Agent.Do(t, "status"); !strings.Contains(said, "evidence: through night ") || strings.Contains(said, "! evidence") {
				t.Errorf("status says %s", said)
			}
			trusted := f.Fingerprints(t)
			found, err := filepath.Glob(filepath.Join(dir, ".wolkvox/evidence", fleet.TenantName+"-"+fleet.DestinationName, "*"))
			if err != nil || len(found) != 1 {
				t.Fatalf("%d folders of evidence, %v", len(found), err)
			}
			checkSums(t, dir, found[0], 100)
			checkVerifier(t, found[0], trusted, 100)
			testTampered(t, found[0])
			testKit(t, f, dir, trusted)
			if name == "locked" {
				checkOnce(t, found[0])
				return // nobody alters a recording there
			}
			testAltered(t, f, dir, found[0])
		})
	}
}

func bucket(t *testing.T, dir string) string {
	return ofBucket(t, versitygw.Start(t, versitygw.Options{Dir: dir}), filepath.Base(dir), "")
}

// lockedBucket is one with object lock, where nothing is replaced.
func lockedBucket(t *testing.T, dir string) string {
	beside := filepath.Join(filepath.Dir(dir), "unlocked")
	if err := errors.Join(os.Mkdir(beside, 0o755), os.Remove(dir)); err != nil { // the server makes it
		t.Fatal(err)
	}
	server := versitygw.Start(t, versitygw.Options{Dir: beside, Versions: true})
	client := s3.New(s3.Options{
		Region: versitygw.Region, BaseEndpoint: &server.Endpoint, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(server.KeyID, server.SecretKey, ""),
	})
	name := filepath.Base(dir)
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name, ObjectLockEnabledForBucket: new(true)}); err != nil {
		t.Fatal(err)
	}
	return ofBucket(t, server, name, "    object_lock: {mode: governance, days: 3}\n")
}

// checkOnce makes sure that no file of the evidence took a second name.
func checkOnce(t *testing.T, evidence string) {
	t.Helper()
	for name := range fleet.Tree(t, evidence) {
		if strings.Contains(name, ".txt.") || strings.Contains(name, "SHA256SUMS.") {
			t.Errorf("%s was written again", name)
		}
	}
}

func ofBucket(t *testing.T, server *versitygw.Server, name, more string) string {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(secret, []byte(server.KeyID+"\n"+server.SecretKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("  s3:\n    bucket: %q\n    endpoint: http://%s\n    path_style: true\n    region: %s\n    key: {file: %s}\n    check: provider\n%s",
		name, server.Address, versitygw.Region, secret, more)
}

// latest returns the SHA256SUMS of each night at its last head, as sha256sum takes them.
func latest(t *testing.T, evidence string) (names []string) {
	t.Helper()
	nights, err := filepath.Glob(filepath.Join(evidence, "nights", "*"))
	if err != nil || len(nights) == 0 {
		t.Fatalf("%d nights, %v", len(nights), err)
	}
	for _, night := range nights {
		heads, err := os.ReadDir(night) // by name, and so by size
		if err != nil || len(heads) == 0 {
			t.Fatalf("%s: %d heads, %v", night, len(heads), err)
		}
		pieces, err := filepath.Glob(filepath.Join(night, heads[len(heads)-1].Name(), "SHA256SUMS*"))
		if err != nil || len(pieces) == 0 {
			t.Fatalf("%s: %d pieces, %v", night, len(pieces), err)
		}
		names = append(names, pieces...)
	}
	return names
}

// sha256sum compares what files list, in a directory.
func sha256sum(t *testing.T, dir string, names []string) fleet.Result {
	t.Helper()
	return fleet.Command(t.Context(), "env", append([]string{"-C", dir, "sha256sum", "--check", "--strict"}, names...)...)
}

func checkSums(t *testing.T, dir, evidence string, recordings int) {
	t.Helper()
	r := sha256sum(t, dir, latest(t, evidence))
	found := 0
	for line := range strings.Lines(r.Stdout) {
		if !strings.HasPrefix(line, ".wolkvox/") && strings.HasSuffix(line, ": OK\n") {
			found++
		}
	}
	if r.Status != 0 || found != recordings {
		t.Errorf("sha256sum finds %d recordings, want %d: %v", found, recordings, r)
	}
}

// verify has the stand-alone verifier of the tree look at evidence.
func verify(t *testing.T, evidence string, trusted []string) fleet.Result {
	t.Helper()
	args := []string{filepath.Join("..", "verifier", "verify.mjs"), "evidence", evidence, "--output", "json"}
	return fleet.Command(t.Context(), "node", append(args, trusted...)...)
}

func checkVerifier(t *testing.T, evidence string, trusted []string, confirmed int) {
	t.Helper()
	r := verify(t, evidence, trusted)
	var summary struct {
		Valid      bool
		NotAgreed  int
		Unfinished int
		Totals     struct{ Counts map[string]int }
	}
	if err := json.Unmarshal([]byte(r.Stdout), &summary); err != nil || r.Status != 0 {
		t.Fatalf("the verifier does not accept %s: %v (%v)", evidence, r, err)
	}
	if !summary.Valid || summary.NotAgreed != 0 || summary.Unfinished != 0 || summary.Totals.Counts["confirmed"] != confirmed {
		t.Errorf("of %s the verifier says, want %d confirmed: %s", evidence, confirmed, r.Stdout)
	}
	if r := verify(t, evidence, []string{trusted[0], trusted[3], trusted[2], trusted[1]}); r.Status != 1 {
		t.Errorf("with the fingerprints of other keys: %v", r)
	}
}

// testTampered changes a copy of the evidence in one way after the other.
func testTampered(t *testing.T, evidence string) {
	t.Helper()
	glob := func(dir, pattern string) string {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		return found[0]
	}
	flip := func(pattern string) func(string) error {
		return func(dir string) error {
			name := glob(dir, pattern)
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			text[len(text)/2] ^= 1
			return os.WriteFile(name, text, 0o600)
		}
	}
	for what, change := range map[string]func(dir string) error{
		"a bit of the log":             flip("ledger/*"),
		"a bit of a list":              flip("manifests/1/*"),
		"a bit of a head":              flip("heads/*"),
		"a bit of a SHA256SUMS":        flip("nights/*/*/SHA256SUMS"),
		"the log's beginning is gone":  func(dir string) error { return os.Remove(glob(dir, "ledger/0000000000.txt")) },
		"a list is gone":               func(dir string) error { return os.RemoveAll(glob(dir, "manifests/1")) },
		"the sums of a night are gone": func(dir string) error { return os.RemoveAll(glob(dir, "nights/*")) },
	} {
		copied := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(copied, os.DirFS(evidence)); err != nil {
			t.Fatal(err)
		}
		if err := change(copied); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, copied, nil); r.Status != 1 || !strings.Contains(r.Stdout, `"valid": false`) {
			t.Errorf("%s: the verifier says %v", what, r)
		}
	}
}

// testKit has the month's kit check itself, as its page says, and the recordings.
func testKit(t *testing.T, f *fleet.Fleet, dir string, trusted []string) {
	t.Helper()
	kit := filepath.Join(t.TempDir(), "kit")
	month := nightOf(t, f).Format("2006-01")
	f.Agent.Do(t, "evidence", "export", fleet.DestinationName, "--month", month, "--to", kit)
	if r := sha256sum(t, kit, []string{"SHA256SUMS"}); r.Status != 0 {
		t.Errorf("the kit: %v", r)
	}
	page, err := os.ReadFile(filepath.Join(kit, "README.html"))
	if err != nil {
		t.Fatal(err)
	}
	command := "node verifier/verify.mjs evidence evidence " + strings.Join(trusted, " ")
	if !strings.Contains(string(page), "<pre>"+command+"</pre>") {
		t.Errorf("the page does not say %q", command)
	}
	if r := fleet.Command(t.Context(), "env", append([]string{"-C", kit}, strings.Fields(command)...)...); r.Status != 0 || !strings.HasSuffix(r.Stdout, "\nvalid\n") {
		t.Errorf("the kit's verifier: %v", r)
	}
	checkSums(t, dir, filepath.Join(kit, "evidence"), 100)
	if r := f.Agent.Try(t, "evidence", "export", fleet.DestinationName, "--month", "1999-01", "--to", filepath.Join(t.TempDir(), "none")); r.Status != 1 || !strings.Contains(r.Stderr, "1999-01") {
		t.Errorf("of a month without nights: %v", r)
	}
}

// nightOf returns the night that was sealed last.
func nightOf(t *testing.T, f *fleet.Fleet) time.Time {
	t.Helper()
	nights, err := filepath.Glob(filepath.Join(f.Destination, ".wolkvox/evidence/*/*/nights/*"))
	if err != nil || len(nights) == 0 {
		t.Fatalf("%d nights, %v", len(nights), err)
	}
	night, err := time.Parse(time.DateOnly, filepath.Base(nights[len(nights)-1]))
	if err != nil {
		t.Fatal(err)
	}
	return night
}

// testAltered changes a recording, which sha256sum then names, and no other.
func testAltered(t *testing.T, f *fleet.Fleet, dir, evidence string) {
	t.Helper()
	var altered string
	for path := range fleet.Tree(t, dir) {
		if _, ok := f.Wanted(path); ok {
			altered = path
			break
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, altered))
	if err == nil {
		text[0] ^= 1
		err = os.WriteFile(filepath.Join(dir, altered), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r := sha256sum(t, dir, latest(t, evidence)); r.Status == 0 || !strings.Contains(r.Stdout, altered+": FAILED\n") || strings.Count(r.Stdout, "FAILED") != 1 {
		t.Errorf("after %s was altered: %v", altered, r)
	}
}
