//go:build linux && peers

package nas

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wolkvox/backup/internal/peertest/versitygw"
	"github.com/wolkvox/backup/test/fleet"
)

// objectStores are the drivers of object stores.
func objectStores() []driver {
	return []driver{s3Driver(), azureDriver(bySignature)}
}

func s3Driver() driver {
	return driver{"s3", func(t testing.TB, dir string) peer { return startS3(t, dir, "provider") }, "provider-sha256", true, cases{
		killed:   said{"network", "network", ""},
		full:     said{"capacity", "client", "InsufficientStorage"},
		noInodes: said{"capacity", "client", "InsufficientStorage"},
		locked:   said{"credential", "client", "SignatureDoesNotMatch"},
		readOnly: said{"permission", "client", "AccessDenied"},
		slow:     nothing,
		altered:  cannotHappen, // the service compares while it stores
		cut:      said{"network", "network", ""},
	}}
}

// bucket is a bucket of versitygw.
type bucket struct {
	network
	*versitygw.Server
	check string
}

func startS3(t testing.TB, dir, check string) *bucket {
	t.Helper()
	p := &bucket{newNetwork(t), versitygw.Start(t, versitygw.Options{Dir: dir}), check}
	p.unlock(t)
	return p
}

func (p *bucket) where(address string) string {
	return fmt.Sprintf("  s3:\n    bucket: %q\n    endpoint: http://%s\n    path_style: true\n    region: %s\n    key: {file: %s}\n    check: %s\n",
		p.Bucket, or(address, p.Address), versitygw.Region, p.secret, p.check)
}

func (p *bucket) address() string      { return p.Address }
func (p *bucket) kill()                { p.Kill() }
func (p *bucket) restart(t testing.TB) { p.Restart(t) }

func (p *bucket) lock(t testing.TB) {
	p.SetKey(p.KeyID, "another secret")
	p.Restart(t)
}

func (p *bucket) unlock(t testing.TB) { p.tell(t, []byte(p.KeyID+"\n"+p.SecretKey+"\n")) }

func (p *bucket) readOnly(t testing.TB, on bool) {
	p.SetReadOnly(on)
	p.Restart(t)
}

// TestS3Altered: a bucket whose objects are read back, because it is configured, in which some are altered before.
func TestS3Altered(t *testing.T) {
	t.Parallel()
	d := s3Driver()
	d.start = func(t testing.TB, dir string) peer { return startS3(t, dir, "readback") }
	testAltered(t, d, said{"integrity", "client", "READ_BACK"})
}

// TestS3Tool has s3cmd list and fetch a bucket after a night of real recordings, and sha256sum compare what came.
func TestS3Tool(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "recordings")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := startS3(t, dir, "provider")
	f := fleet.New(t, fleet.Options{Destination: dir, Where: p.where("")})
	count := copySounds(t, f)
	f.Seal(t)
	f.Agent.Do(t, "run", "--once")
	fetched, settings := t.TempDir(), filepath.Join(t.TempDir(), "s3cfg")
	text := fmt.Sprintf("[default]\naccess_key = %s\nsecret_key = %s\nhost_base = %s\nhost_bucket = %s\nuse_https = False\nbucket_location = %s\n",
		p.KeyID, p.SecretKey, p.Address, p.Address, versitygw.Region)
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	listed := fleet.Command(t.Context(), "s3cmd", "--config="+settings, "ls", "--recursive", "s3://"+p.Bucket+"/"+fleet.SourceName+"/")
	if got := strings.Count(listed.Stdout, ".gsm\n"); listed.Status != 0 || got != count {
		t.Fatalf("s3cmd lists %d recordings, want %d: %s", got, count, listed.Stderr)
	}
	got := fleet.Command(t.Context(), "s3cmd", "--config="+settings, "get", "--recursive", "--no-progress", "s3://"+p.Bucket+"/"+fleet.SourceName+"/", fetched+"/")
	if got.Status != 0 {
		t.Fatal(got)
	}
	sums := fleet.Tree(t, fetched)
	if len(sums) != count {
		t.Errorf("s3cmd fetched %d recordings, want %d", len(sums), count)
	}
	for path, sum := range sums {
		if want, ok := f.Wanted(fleet.SourceName + "/" + path); !ok || want != sum {
			t.Errorf("%s came as %s, was recorded as %s", path, sum, want)
		}
	}
}
