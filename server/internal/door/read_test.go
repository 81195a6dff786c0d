package door_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pkg/sftp"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/door"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/servertest"
)

func withCancel(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(context.WithoutCancel(t.Context()))
}

func writeFile(t *testing.T, name, contents string, modified time.Time) {
	t.Helper()
	err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(contents), 0o600), os.Chtimes(name, modified, modified))
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, client *sftp.Client, name string) string {
	t.Helper()
	data, err := readAll(client, name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(data)
}

func readAll(client *sftp.Client, name string) ([]byte, error) {
	file, err := client.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var data bytes.Buffer
	_, err = file.WriteTo(&data) // many reads at once
	return data.Bytes(), err
}

func TestListAndRead(t *testing.T) {
	t.Parallel()
	s := newSite(t, door.Limits{})
	long := strings.Repeat("0123456789abcdef", 40_000)
	s.Write("calls/one.gsm", "one", noon)
	s.Write("calls/deep/er/two.gsm", long, noon.Add(time.Second))
	s.Write("calls-too.gsm", "", noon)
	s.Write("calls0.gsm", "zero", noon)
	s.seal()
	client := s.sftp()
	const base = "/pending/" + night + "/main/"
	want := map[string]string{base + "calls/one.gsm": "one", base + "calls/deep/er/two.gsm": long, base + "calls-too.gsm": "", base + "calls0.gsm": "zero"}
	if diff := cmp.Diff(want, tree(t, client)); diff != "" {
		t.Errorf("what is seen (-want +got):\n%.2000s", diff)
	}
	for folder, want := range map[string]string{
		"/": "expired/ pending/", "/pending": night + "/", "/pending/" + night: "main/", "/expired": "",
		"/pending/" + night + "/main": "calls-too.gsm calls/ calls0.gsm", "/pending/" + servertest.Destination: night + "/",
	} {
		if got := names(t, client, folder); got != want {
			t.Errorf("%s has %q, want %q", folder, got, want)
		}
	}
	info, err := client.Lstat(base + "calls/deep/er/two.gsm")
	s.Must(err)
	if info.Size() != int64(len(long)) || !info.ModTime().Equal(noon.Add(time.Second)) || info.Mode() != 0o444 {
		t.Errorf("%d bytes, %v, %v", info.Size(), info.ModTime(), info.Mode())
	}
	if info, err := client.Stat(base + "calls"); err != nil || info.Mode() != fs.ModeDir|0o555 {
		t.Errorf("the folder is %v, %v", info, err)
	}
	if _, err := client.ReadDir(base + "calls0.gsm"); err == nil {
		t.Error("a file was listed")
	}
	if _, err := client.Open(base + "calls"); err == nil {
		t.Error("a folder was opened")
	}
	if got := s.door.Stats(); got.Connections != 1 || got.Logins != 1 || got.Files != 4 || got.Bytes != int64(len(long)+7) {
		t.Errorf("%+v", got)
	}
}

// Who reads from the middle, or backwards, gets what is there.
func TestReadAtOffsets(t *testing.T) {
	t.Parallel()
	s := newSite(t, door.Limits{})
	contents := make([]byte, 3<<20+17)
	for i := range contents {
		contents[i] = byte(i * i >> 3)
	}
	s.Write("long.gsm", string(contents), noon)
	s.seal()
	client := s.sftp()
	file, err := client.Open("/pending/" + night + "/main/long.gsm")
	s.Must(err)
	defer file.Close()
	size := int64(len(contents))
	for _, offset := range []int64{size - 1, size - 70_000, 2 << 20, 1<<20 + 5, 0} {
		if _, err := file.Seek(offset, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(file)
		if err != nil || !bytes.Equal(got, contents[offset:]) {
			t.Errorf("from %d: %d bytes, %v, want %d", offset, len(got), err, size-offset)
		}
	}
	if n, err := file.ReadAt(make([]byte, 10), size); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d, %v", n, err)
	}
}

// What is confirmed goes away, and what was not copied in time is expired.
func TestStatesShow(t *testing.T) {
	t.Parallel()
	s := newSite(t, door.Limits{})
	for i := range 3 {
		s.Write(fmt.Sprintf("%d.gsm", i), fmt.Sprint(i), noon)
	}
	s.seal()
	client := s.sftp()
	s.confirm(1, ledger.NewSet(ledger.Range{First: 1, Last: 1}))
	if got := names(t, client, "/pending/"+night+"/main"); got != "0.gsm 2.gsm" {
		t.Errorf("pending: %q", got)
	}
	if _, err := client.Open("/pending/" + night + "/main/1.gsm"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is confirmed: %v", err)
	}
	m, _ := s.Sequencer().Manifest(1)
	for _, uptime := range []time.Duration{0, 25 * time.Hour} {
		_, err := s.Sequencer().Close(t.Context(), m.Deadline.Add(time.Hour), uptime)
		s.Must(err)
	}
	if got := names(t, client, "/pending"); got != "" {
		t.Errorf("pending after the deadline: %q", got)
	}
	if got := tree(t, client); len(got) != 2 || got["/expired/"+night+"/main/2.gsm"] != "2" {
		t.Errorf("after the deadline: %q", got)
	}
}

func TestSeveralDestinations(t *testing.T) {
	t.Parallel()
	s := newSite(t, door.Limits{})
	s.AddDestination("cloud", backup.StorageS3)
	s.Write("one.gsm", "one", noon)
	s.seal()
	client := s.sftp()
	if got := names(t, client, "/pending"); got != "cloud/ nas/" {
		t.Errorf("/pending has %q", got)
	}
	want := map[string]string{"/pending/cloud/" + night + "/main/one.gsm": "one", "/pending/nas/" + night + "/main/one.gsm": "one"}
	if diff := cmp.Diff(want, tree(t, client)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := client.Stat("/pending/" + night); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a night of no destination: %v", err)
	}
}

// A file that was changed so that only its hash shows it is not given whole, and its source is checked.
func TestChangedSource(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(s *site, name string) error{
		"other contents": func(s *site, name string) error {
			return errors.Join(os.WriteFile(name, bytes.Repeat([]byte("y"), 100_000), 0o600), os.Chtimes(name, noon, noon))
		},
		"longer":  func(_ *site, name string) error { return os.WriteFile(name, make([]byte, 100_001), 0o600) },
		"touched": func(_ *site, name string) error { return os.Chtimes(name, noon, noon.Add(time.Minute)) },
		"gone":    func(_ *site, name string) error { return os.Remove(name) },
		"a link": func(s *site, name string) error {
			writeFile(s.t, filepath.Join(s.Directory, "elsewhere"), strings.Repeat("x", 100_000), noon)
			return errors.Join(os.Remove(name), os.Symlink("elsewhere", name))
		},
		"a link out": func(s *site, name string) error {
			outside := filepath.Join(s.t.TempDir(), "outside")
			writeFile(s.t, outside, strings.Repeat("x", 100_000), noon)
			return errors.Join(os.Remove(name), os.Symlink(outside, name))
		},
		"a folder": func(_ *site, name string) error { return errors.Join(os.Remove(name), os.Mkdir(name, 0o700)) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, door.Limits{})
			s.Write("one.gsm", strings.Repeat("x", 100_000), noon)
			s.seal()
			client := s.sftp()
			s.Must(change(s, filepath.Join(s.Directory, "one.gsm")))
			data, err := readAll(client, "/pending/"+night+"/main/one.gsm")
			if err == nil || errors.Is(err, fs.ErrNotExist) || len(data) >= 100_000 {
				t.Errorf("read %d bytes, %v", len(data), err)
			}
			if got := s.checker.indexes(); got != "0" {
				t.Errorf("asked for a check of %q", got)
			}
			if acts := s.acts("DoorRead"); len(acts) != 1 || acts[0].Outcome != "SOURCE_CHANGED" {
				t.Errorf("the admin log has %+v", acts)
			}
		})
	}
}

// A folder of the source that became a link to somewhere else is not followed.
func TestLinkedFolder(t *testing.T) {
	t.Parallel()
	s := newSite(t, door.Limits{})
	s.Write("calls/one.gsm", "one", noon)
	s.seal()
	outside := t.TempDir()
	writeFile(t, filepath.Join(outside, "one.gsm"), "one", noon)
	writeFile(t, filepath.Join(outside, "passwd"), "secret", noon)
	s.Must(os.RemoveAll(filepath.Join(s.Directory, "calls")))
	s.Must(os.Symlink(outside, filepath.Join(s.Directory, "calls")))
	client := s.sftp()
	if data, err := readAll(client, "/pending/"+night+"/main/calls/one.gsm"); err == nil {
		t.Errorf("read %q behind a link", data)
	}
	if got := names(t, client, "/pending/"+night+"/main/calls"); got != "one.gsm" {
		t.Errorf("listed %q", got)
	}
}

// A source that is not mounted says nothing of its files.
func TestUnreachableSource(t *testing.T) {
	t.Parallel()
	s := newSite(t, door.Limits{})
	s.Write("one.gsm", "one", noon)
	s.seal()
	client := s.sftp()
	s.Must(os.Rename(s.Directory, s.Directory+"-away"))
	s.Must(os.Mkdir(s.Directory, 0o700))
	t.Cleanup(func() { os.RemoveAll(s.Directory + "-away") })
	_, err := client.Open("/pending/" + night + "/main/one.gsm")
	status, ok := errors.AsType[*sftp.StatusError](err)
	if !ok || status.FxCode() != sftp.ErrSSHFxFailure || !strings.Contains(err.Error(), "cannot be reached") || strings.Contains(err.Error(), s.Directory) {
		t.Errorf("a source that is not there: %v", err)
	}
	if got := s.checker.indexes(); got != "" {
		t.Errorf("asked for a check of %q", got)
	}
	if got := names(t, client, "/pending/"+night+"/main"); got != "one.gsm" {
		t.Errorf("listed %q", got)
	}
}

// Every file that is opened is in the admin log, with what was sent of it.
func TestReadsAreRecorded(t *testing.T) {
	t.Parallel()
	s := newSite(t, door.Limits{})
	s.Write("one.gsm", strings.Repeat("x", 100_000), noon)
	s.seal()
	client := s.sftp()
	name := "/pending/" + night + "/main/one.gsm"
	file, err := client.Open(name)
	s.Must(err)
	if _, err := file.ReadAt(make([]byte, 100), 7); err != nil {
		t.Fatal(err)
	}
	s.Must(file.Close())
	read(t, client, name)
	acts := s.acts("DoorRead")
	if len(acts) != 2 {
		t.Fatalf("%d records", len(acts))
	}
	for i, sent := range []float64{100, 100_000} {
		a := acts[i]
		if a.Outcome != registry.OutcomeOK || a.Tenant != servertest.Tenant || !strings.HasPrefix(a.Who, "door SHA256:") ||
			field(t, a, "path") != name || field(t, a, "sent_bytes") != sent || field(t, a, "size_bytes") != 1e5 ||
			field(t, a, "manifest") != 1.0 || field(t, a, "comment") != "Ana, laptop" || !strings.HasPrefix(fmt.Sprint(field(t, a, "from")), "127.0.0.1:") {
			t.Errorf("record %d: %+v", i, a)
		}
	}
	if _, err := s.Registry.VerifyAdminLog(); err != nil {
		t.Error(err)
	}
}

// Folders over several manifests of a night, of which some items are pending, are what a walk over all their lines finds.
func TestFoldersOfManyItems(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := newSite(t, door.Limits{})
	want := map[string]string{}
	parts := []string{"a", "a-", "a0", "ab", "b", "c.gsm", "ñ", "z z"}
	for manifest := range 3 {
		paths := map[string]bool{}
		for len(paths) < 400 {
			var name strings.Builder
			name.WriteString(fmt.Sprintf("main/%s", parts[random.IntN(len(parts))]))
			for range random.IntN(3) {
				name.WriteString("/" + parts[random.IntN(len(parts))])
			}
			paths[name.String()+fmt.Sprintf("/%d-%d.gsm", manifest, random.IntN(200))] = true
		}
		var confirmed []ledger.Range
		for i, name := range s.sealPaths(int64(manifest+1), paths) {
			if random.IntN(3) > 0 {
				want["/pending/"+night+"/"+name] = ""
			} else {
				confirmed = append(confirmed, ledger.Range{First: int64(i), Last: int64(i)})
			}
		}
		s.confirm(int64(manifest+1), ledger.NewSet(confirmed...))
	}
	client := s.sftp()
	got := map[string]string{}
	for walker := client.Walk("/pending"); walker.Step(); {
		s.Must(walker.Err())
		if !walker.Stat().IsDir() {
			if _, twice := got[walker.Path()]; twice {
				t.Errorf("%s twice", walker.Path())
			}
			got[walker.Path()] = ""
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%.3000s", diff)
	}
	checked := 0
	for name := range want {
		if checked++; checked > 100 {
			break
		}
		if info, err := client.Stat(name); err != nil || info.IsDir() {
			t.Fatalf("%s: %v, %v", name, info, err)
		}
		if _, err := client.Stat(name + "x"); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%sx: %v", name, err)
		}
	}
}
