package door_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/server/internal/door"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/servertest"
)

// keep stores a file in wolkvox Storage.
func (s *site) keep(tenant, destination, name, contents string) {
	s.t.Helper()
	place, err := s.store.Place(tenant, destination)
	s.Must(err)
	if own, isOwn := strings.CutPrefix(name, backup.OwnPrefix+"/"); isOwn {
		s.Must(place.WriteOwn(own, []byte(contents)))
		return
	}
	s.Must(place.Put(s.t.Context(), name, backup.Digest{SHA256: sha256.Sum256([]byte(contents)), SizeBytes: int64(len(contents))}, nil, strings.NewReader(contents)))
}

// What is kept in wolkvox Storage is there, but for what agents keep for themselves, and nothing of another tenant or place.
func TestStorage(t *testing.T) {
	t.Parallel()
	s := newSite(t, door.Limits{})
	client := s.sftp()
	if got := names(t, client, "/"); got != "expired/ pending/" {
		t.Errorf("without wolkvox Storage there is %q", got)
	}
	s.AddDestination("vault", backup.StorageWolkvox)
	if got := names(t, client, "/storage"); got != "" {
		t.Errorf("before anything was stored there is %q", got)
	}
	long := strings.Repeat("0123456789abcdef", 100_000)
	s.keep(servertest.Tenant, "vault", "main/calls/one.gsm", "one")
	s.keep(servertest.Tenant, "vault", "main/long.wav", long)
	s.keep(servertest.Tenant, "vault", backup.OwnPrefix+"/marker", "own")
	s.keep(servertest.Tenant, servertest.Destination, "not-shown.gsm", "that destination is elsewhere")
	s.rival()
	_, err := s.Registry.CreateDestination(other, "vault", backup.StorageWolkvox, noon)
	s.Must(err)
	s.keep(other, "vault", "main/theirs.gsm", "not yours")
	want := map[string]string{"/storage/main/calls/one.gsm": "one", "/storage/main/long.wav": long}
	if diff := cmp.Diff(want, tree(t, client)); diff != "" {
		t.Errorf("-want +got:\n%.2000s", diff)
	}
	if got := read(t, client, "/storage/vault/main/calls/one.gsm"); got != "one" {
		t.Errorf("by the destination's name: %q", got)
	}
	file, err := client.Open("/storage/main/long.wav")
	s.Must(err)
	if _, err := file.Seek(1_000_000, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(file); err != nil || string(got) != long[1_000_000:] {
		t.Errorf("from the middle: %d bytes, %v", len(got), err)
	}
	s.Must(file.Close())
	for _, name := range []string{
		"/storage/.wolkvox", "/storage/.wolkvox/marker", "/storage/vault/.wolkvox/marker", "/storage/.WOLKVOX/marker", "/storage/main/theirs.gsm", "/storage/nas", "/storage/nas/not-shown.gsm",
		"/storage/../" + other, "/storage/main/calls/one.gsm/x", "/storage/main/calls/../../../x", "/storage/vault/../" + other + "/vault/main/theirs.gsm", "/storage/files", "/storage/staging",
	} {
		if _, err := client.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for what, err := range map[string]error{
		"rm": client.Remove("/storage/main/calls/one.gsm"), "mkdir": client.Mkdir("/storage/new"), "rename": client.Rename("/storage/main", "/storage/other"),
		"chmod": client.Chmod("/storage/main", 0o777), "rmdir": client.RemoveDirectory("/storage/main/calls"),
	} {
		if err == nil {
			t.Errorf("%s was not refused", what)
		}
	}
	if _, err := client.Create("/storage/new.gsm"); err == nil {
		t.Error("put was not refused")
	}
	acts := s.acts("DoorRead")
	if a := acts[len(acts)-1]; a.Outcome != registry.OutcomeOK || field(t, a, "path") != "/storage/main/long.wav" || field(t, a, "size_bytes") != float64(len(long)) {
		t.Errorf("the last record is %+v", a)
	}
}

// Links in the store are not there.
func TestLinksInStorage(t *testing.T) {
	t.Parallel()
	s := newSite(t, door.Limits{})
	s.AddDestination("vault", backup.StorageWolkvox)
	s.keep(servertest.Tenant, "vault", "main/one.gsm", "one")
	outside := t.TempDir()
	writeFile(t, filepath.Join(outside, "secret"), "secret", noon)
	files := filepath.Join(s.dir, servertest.Tenant, "vault", "files")
	for link, to := range map[string]string{
		"file": filepath.Join(outside, "secret"), "folder": outside, "inner": "main", "up": "../..",
	} {
		s.Must(os.Symlink(to, filepath.Join(files, link)))
	}
	client := s.sftp()
	if got := names(t, client, "/storage"); got != "main/" {
		t.Errorf("/storage has %q", got)
	}
	for _, name := range []string{"file", "folder", "folder/secret", "inner", "up", "up/vault"} {
		if _, err := client.Open("/storage/" + name); err == nil {
			t.Errorf("%s was opened", name)
		}
		if entries, err := client.ReadDir("/storage/" + name); err == nil {
			t.Errorf("%s was listed: %v", name, entries)
		}
	}
}

// A file that became shorter while it is read is an error, not its end.
func TestStoredFileIsCut(t *testing.T) {
	t.Parallel()
	s := newSite(t, door.Limits{})
	s.AddDestination("vault", backup.StorageWolkvox)
	s.keep(servertest.Tenant, "vault", "one.gsm", strings.Repeat("x", 200_000))
	client := s.sftp()
	file, err := client.Open("/storage/one.gsm")
	s.Must(err)
	defer file.Close()
	s.Must(os.Truncate(filepath.Join(s.dir, servertest.Tenant, "vault", "files", "one.gsm"), 100_000))
	var data bytes.Buffer
	if _, err := io.Copy(&data, file); err == nil {
		t.Errorf("%d bytes are taken for all", data.Len())
	}
}
