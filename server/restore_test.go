package server_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server"
	"github.com/wolkvox/backup/server/internal/backup"
	"github.com/wolkvox/backup/server/internal/registry"
)

// backUp makes a key, and a backup of the running server, and returns their files.
func (f *fixture) backUp(t *testing.T) (file, key string) {
	t.Helper()
	file, key = f.path("server.age"), f.path("backup.key")
	made := f.must(t, "backup keygen --to "+key)
	if info, err := os.Stat(key); err != nil || info.Mode() != 0o600 {
		t.Errorf("the secret key: %v, %v, want mode 0600", info, err)
	}
	f.must(t, "backup --recipient "+made["recipient"].(string)+" --to "+file)
	return file, key
}

// lose takes the state away, as if the machine had gone.
func (f *fixture) lose(t *testing.T) {
	t.Helper()
	f.stop()
	f.address = ""
	if err := os.Rename(f.path("state"), f.path("lost")); err != nil {
		t.Fatal(err)
	}
}

// recoveries returns the recovery records of a server that does not run, by origin.
func (f *fixture) recoveries(t *testing.T) map[ledger.Origin]registry.Recovery {
	t.Helper()
	reg, err := registry.Open(f.path("state", "registry"), silent())
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	all, err := reg.Recoveries()
	if err != nil {
		t.Fatal(err)
	}
	by := map[ledger.Origin]registry.Recovery{}
	for _, rec := range all {
		by[rec.Origin] = rec
	}
	return by
}

func TestServerIsRestoredFromItsBackup(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	f.must(t, "tenant add acme --time-zone UTC --quiet 0s")
	f.must(t, "source add acme calls --directory "+recordings(t, map[string]string{"a.txt": "hello"}))
	f.must(t, "destination add acme nas --kind rsync")
	_, origin := f.enroll(t, "acme", "nas")
	f.must(t, "destination add acme cloud --kind s3")
	join := f.must(t, "token create acme cloud")["join"].(string)
	f.must(t, "seal acme --wait")
	before := f.must(t, "agents --tenant acme")
	destination := at(t, f.must(t, "destination list --tenant acme"), "destinations", 1)
	file, key := f.backUp(t)
	text := read(t, file)
	for _, secret := range []string{"acme", "PRIVATE KEY", string(origin), join} {
		if strings.Contains(text, secret) {
			t.Errorf("the backup shows %q", secret)
		}
	}
	f.must(t, "tenant add later --time-zone UTC")
	f.lose(t)

	if code, _, errs := f.do(t, "restore", "--config", f.path("server.yaml"), "--from", file, "--identity", key); code != 0 {
		t.Fatalf("restore: status %d, stderr %q", code, errs)
	}
	names, err := filepath.Glob(f.path("lost", "identity", "*"))
	if err != nil || len(names) < 4 { // the authority, its root's key, the server's certificate and key
		t.Fatalf("the identity was %q, %v", names, err)
	}
	for _, path := range append(names, f.path("lost", "operator.pem")) {
		name, err := filepath.Rel(f.path("lost"), path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(f.path("state", name))
		if err != nil || info.Mode() != 0o600 || read(t, f.path("state", name)) != read(t, f.path("lost", name)) {
			t.Errorf("%s: %v, %v, want what it was, with mode 0600", name, info, err)
		}
	}
	f.serve(t)
	if tenants := f.must(t, "tenant list")["tenants"].([]any); len(tenants) != 1 {
		t.Errorf("the tenants are %v, want that of the backup", tenants)
	}
	if diff := cmp.Diff(before, f.must(t, "agents --tenant acme")); diff != "" {
		t.Errorf("agents (-before +after):\n%s", diff)
	}
	restored := at(t, f.must(t, "destination list --tenant acme"), "destinations", 1)
	for _, what := range []string{"origin", "server_fingerprint", "kind"} {
		if at(t, restored, what) != at(t, destination, what) {
			t.Errorf("the destination's %s is %v, was %v", what, at(t, restored, what), at(t, destination, what))
		}
	}
	f.stop()
	f.inRegistry(t, func(r *registry.Registry) error {
		d, err := r.DestinationOf(origin)
		if err != nil {
			return err
		}
		last, made, err := r.LastBackup()
		if age := time.Since(last.At); !made || age < 0 || age > time.Hour || !last.Holds(d.ServerKey) {
			t.Errorf("after a restore the last backup is %v, %v, want the one that was restored", last, made)
		}
		return err
	})
	for origin, rec := range f.recoveries(t) {
		if !rec.Recovering || !rec.Begun {
			t.Errorf("after a restore %s is %+v, want it to recover", origin, rec)
		}
	}
	if len(f.recoveries(t)) != 2 {
		t.Errorf("recovery records: %v, want two", f.recoveries(t))
	}
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	file, key := f.backUp(t)
	f.must(t, "backup keygen --to "+f.path("other.key"))
	if code, _, errs := f.do(t, "backup", "keygen", "--to", key); code != 1 || !strings.Contains(errs, key) {
		t.Errorf("keygen over a key: status %d, stderr %q", code, errs)
	}
	if code, _, errs := f.do(t, "backup", "--recipient", "age1nonsense", "--to", f.path("x")); code != 1 || !strings.Contains(errs, "BAD_REQUEST") {
		t.Errorf("backup to no recipient: status %d, stderr %q", code, errs)
	}
	if _, err := os.Stat(f.path("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a backup that failed left a file: %v", err)
	}
	f.stop()
	f.address = ""
	c := f.load(t)
	if _, err := server.Restore(c, file, key); !errors.Is(err, server.ErrNotEmpty) {
		t.Errorf("Restore over a server = %v, want ErrNotEmpty", err)
	}
	c.StateDir = f.path("new")
	whole := []byte(read(t, file))
	half := f.path("half.age")
	if err := os.WriteFile(half, whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.path("open.key"), []byte(read(t, key)), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c2 := range map[string]struct {
		file, key string
		want      error
	}{
		"a byte is missing": {half, key, backup.ErrBroken},
		"another key":       {file, f.path("other.key"), backup.ErrNotFor},
		"no key":            {file, file, backup.ErrIdentity},
		"no file":           {f.path("none"), key, fs.ErrNotExist},
		"a key for all":     {file, f.path("open.key"), nil},
	} {
		_, err := server.Restore(c, c2.file, c2.key)
		if err == nil || c2.want != nil && !errors.Is(err, c2.want) {
			t.Errorf("%s: Restore = %v, want %v", name, err, c2.want)
		}
		if _, err := os.Stat(c.StateDir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the state directory was made: %v", name, err)
		}
	}
	if err := os.MkdirAll(filepath.Join(c.StateDir, "lost+found"), 0o700); err != nil { // a new volume is empty
		t.Fatal(err)
	}
	if _, err := server.Restore(c, file, key); err != nil {
		t.Errorf("Restore into a new volume = %v", err)
	}
}

// What a restore left half-way is neither served nor initialized.
func TestInterruptedRestore(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if err := os.WriteFile(f.path("state", "restore.unfinished"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"serve", "init"} {
		if code, _, errs := f.do(t, command, "--config", f.path("server.yaml")); code != 1 || !strings.Contains(errs, "restore` again") {
			t.Errorf("%s: status %d, stderr %q, want the way on", command, code, errs)
		}
	}
}

// serve --recover is said once: what the crash of a start left is done by the next.
func TestServeRecover(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	f.must(t, "tenant add acme --time-zone UTC")
	f.must(t, "destination add acme nas --kind rsync")
	f.must(t, "destination add acme cloud --kind s3")
	f.stop()
	for origin, rec := range f.recoveries(t) {
		if rec.Recovering {
			t.Fatalf("%s recovers before anybody asked", origin)
		}
	}
	f.serve(t, "--recover")
	f.stop()
	if _, err := os.Stat(f.path("state", "recover")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the note of a recovery that was taken down: %v", err)
	}
	f.serve(t)
	f.stop()
	origins := f.recoveries(t)
	for origin, rec := range origins {
		if !rec.Recovering {
			t.Errorf("%s does not recover any more, and nobody was heard", origin)
		}
	}
	if len(origins) != 2 {
		t.Errorf("recovery records: %v, want two", origins)
	}
}

// names returns what lies in the state directory under a prefix.
func (f *fixture) names(t *testing.T, prefix string) []string {
	t.Helper()
	entries, err := os.ReadDir(f.path("state"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), prefix) {
			names = append(names, entry.Name())
		}
	}
	slices.Sort(names)
	return names
}

func TestDamagedRegistryNamesTheWayOn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	f.must(t, "tenant add acme --time-zone UTC")
	f.stop()
	if err := os.WriteFile(f.path("state", "registry", "MANIFEST"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, errs := f.do(t, "serve", "--config", f.path("server.yaml"))
	if code != 1 || !strings.Contains(errs, "wolkvox-server restore") || !strings.Contains(errs, f.path("state")) {
		t.Errorf("serve with a damaged registry: status %d, stderr %q", code, errs)
	}
	if aside := f.names(t, "registry.set-aside"); len(aside) != 0 {
		t.Errorf("the registry was set aside: %v", aside)
	}
}
