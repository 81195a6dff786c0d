//go:build peers

package rsyncdest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/rsyncdest"
	"github.com/wolkvox/backup/internal/peertest/rsyncd"
)

// wantCodes checks that an error carries these codes, outermost first, each as its name, or as "rsync" for a status.
func wantCodes(t *testing.T, what string, err error, want string) {
	t.Helper()
	var got []string
	for rest := err; ; {
		code, ok := errors.AsType[*dest.CodeError](rest)
		if !ok {
			break
		}
		name := code.Name
		if code.Space == dest.SpaceRsync {
			name = "rsync"
		}
		got, rest = append(got, name), code.Cause
	}
	if strings.Join(got, " ") != want || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: codes %q, want %q; %v", what, got, want, err)
	}
}

func random(sizeBytes int) []byte {
	data := make([]byte, sizeBytes)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	return data
}

// openPlace returns an initialised place and its handle.
func openPlace(t *testing.T, opener dest.Opener) *dest.Place {
	t.Helper()
	store, err := dest.New(opener, "the place under test", desttest.Origin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	place, err := store.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { place.Close() })
	return place
}

// publish copies files as the night does.
func publish(t testing.TB, place *dest.Place, files map[string][]byte) (map[string]dest.Result, error) {
	t.Helper()
	batch, err := place.Begin(t.Context())
	if err != nil {
		return nil, err
	}
	defer batch.Discard()
	for name, data := range files {
		file, err := batch.Stage(t.Context(), name, desttest.Digest(data))
		if err == nil {
			_, err = file.Write(data)
		}
		if err == nil {
			err = file.Commit()
		}
		if err != nil {
			return nil, err
		}
	}
	if err := errors.Join(batch.Sync(t.Context()), batch.Verify(t.Context())); err != nil {
		return nil, err
	}
	results, err := batch.Publish(t.Context())
	byName := make(map[string]dest.Result)
	for _, r := range results {
		byName[r.Name] = r
	}
	return byName, err
}

// TestAlteredAtThePeer: what is altered after it was published, with its size and time kept, is never confirmed, and is moved
// aside; both ways to compare find it, and that a file is gone.
func TestAlteredAtThePeer(t *testing.T) {
	t.Parallel()
	for _, readback := range []bool{false, true} {
		t.Run(fmt.Sprintf("readback %v", readback), func(t *testing.T) {
			t.Parallel()
			s := rsyncd.Start(t, rsyncd.Options{})
			o := toDaemon(t, s)
			o.Readback = readback
			opener := rsyncdest.New(o)
			place := openPlace(t, opener)
			files := map[string][]byte{"2026/altered [1].gsm": random(40_000), "2026/gone.gsm": random(100), "2026/short.gsm": random(1000), "2026/fine.gsm": random(50_000)}
			altered := filepath.Join(s.Dir, "2026/altered [1].gsm")
			opener.BetweenPublishAndCheck(func() {
				info, err := os.Stat(altered)
				if err != nil {
					t.Error(err)
					return
				}
				wrong := bytes.Clone(files["2026/altered [1].gsm"])
				wrong[20_000] ^= 1
				err = errors.Join(os.WriteFile(altered, wrong, 0o644), os.Chtimes(altered, info.ModTime(), info.ModTime()),
					os.Remove(filepath.Join(s.Dir, "2026/gone.gsm")), os.Truncate(filepath.Join(s.Dir, "2026/short.gsm"), 999))
				if err != nil {
					t.Error(err)
				}
			})
			results, err := publish(t, place, files)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"2026/altered [1].gsm", "2026/short.gsm"} {
				if err := results[name].Err; !errors.Is(err, dest.ErrReadBack) {
					t.Errorf("%s: %v, want ErrReadBack", name, err)
				}
				if _, err := os.Lstat(filepath.Join(s.Dir, name)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is still visible: %v", name, err)
				}
				aside := filepath.Join(s.Dir, ".wolkvox/aside", fmt.Sprintf("%x", desttest.Digest(files[name]).SHA256), name)
				if info, err := os.Stat(aside); err != nil || info.Size() == 0 {
					t.Errorf("what was moved aside: %v", err)
				}
			}
			if err := results["2026/gone.gsm"].Err; err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, dest.ErrReadBack) {
				t.Errorf("a file that was gone: %v", err)
			}
			want := backup.PeerReadbackSHA1
			if readback {
				want = backup.ReadbackCached
			}
			if fine := results["2026/fine.gsm"]; fine.Err != nil || fine.Method != want {
				t.Errorf("the file that nobody touched: %+v, want method %s", fine, want)
			}
		})
	}
}

// TestFullDisk: a disk without blocks, or without inodes, is told by its errno, and nothing half is visible.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for option, files := range map[string]map[string][]byte{
		"size=16m":     {"a.gsm": random(7 << 20), "b.gsm": random(7 << 20), "c.gsm": random(7 << 20)},
		"nr_inodes=16": {"1": {1}, "2": {2}, "3": {3}, "4": {4}, "5": {5}, "6": {6}, "7": {7}, "8": {8}, "9": {9}, "10": {10}, "11": {11}, "12": {12}},
	} {
		t.Run(option, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, option); err != nil {
				t.Fatalf("mount a small tmpfs (needs root): %v", err)
			}
			t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
			s := rsyncd.Start(t, rsyncd.Options{Dir: dir})
			place := openPlace(t, rsyncdest.New(toDaemon(t, s)))
			results, err := publish(t, place, files)
			failed := 0
			for name, r := range results {
				if r.Err != nil {
					failed++
					wantCodes(t, name, r.Err, "rsync ENOSPC")
				}
			}
			if err != nil { // the last file, which makes names durable, did not fit either
				wantCodes(t, "publish", err, "rsync ENOSPC")
			} else if failed == 0 {
				t.Error("everything fitted")
			}
			wantWhole(t, dir, files)
		})
	}
}

// wantWhole checks that what is visible is whole.
func wantWhole(t *testing.T, dir string, files map[string][]byte) (seen int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if name == backup.OwnPrefix {
			return fs.SkipDir
		}
		if entry.IsDir() {
			return nil
		}
		seen++
		data, err := os.ReadFile(path)
		if want, ok := files[name]; !ok || !bytes.Equal(data, want) {
			t.Errorf("%q is visible with %d bytes, want %d, known %v", name, len(data), len(want), ok)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return seen
}

// TestDaemonRefuses: each refusal has its code.
func TestDaemonRefuses(t *testing.T) {
	t.Parallel()
	s := rsyncd.Start(t, rsyncd.Options{})
	place := openPlace(t, rsyncdest.New(toDaemon(t, s)))
	data := map[string][]byte{"a.gsm": []byte("recording")}

	open := func(change func(o *rsyncdest.Options)) error {
		o := toDaemon(t, s)
		change(&o)
		_, err := rsyncdest.New(o).Open(t.Context())
		if !errors.Is(err, dest.ErrUnreachable) {
			t.Errorf("Open = %v, want ErrUnreachable", err)
		}
		return err
	}
	wrong := func() (string, error) { return "wrong secret", nil }
	err := open(func(o *rsyncdest.Options) { o.Password = wrong })
	wantCodes(t, "wrong password", err, "AUTHENTICATION rsync")
	if strings.Contains(err.Error(), "wrong secret") {
		t.Errorf("the error %v shows the password", err)
	}
	wantCodes(t, "no password", open(func(o *rsyncdest.Options) { o.Password = nil }), "AUTHENTICATION rsync")
	wantCodes(t, "unknown module", open(func(o *rsyncdest.Options) { o.Module = "nobody" }), "NOT_FOUND rsync")
	wantCodes(t, "missing folder", open(func(o *rsyncdest.Options) { o.Folder = "not/there" }), "NO_FOLDER rsync")
	unreadable := func() (string, error) { _, err := os.ReadFile("/absent/secret"); return "", err }
	wantCodes(t, "unreadable secret", open(func(o *rsyncdest.Options) { o.Password = unreadable }), dest.CodeSecret)
	wantCodes(t, "missing program", open(func(o *rsyncdest.Options) { o.Program = "/absent/rsync" }), dest.CodeProgram)

	s.Configure(t, rsyncd.Options{ReadOnly: true})
	_, err = publish(t, place, data)
	wantCodes(t, "read-only module", err, "WRITE_REFUSED rsync")
	s.Configure(t, rsyncd.Options{Config: "refuse options = checksum"})
	_, err = publish(t, place, data)
	wantCodes(t, "a daemon that allows no checksums", err, "UNSUPPORTED rsync")
	s.Configure(t, rsyncd.Options{Config: "refuse options = fsync"})
	results, err := publish(t, place, map[string][]byte{"b.gsm": []byte("recording")})
	if err != nil || results["b.gsm"].Err != nil {
		t.Errorf("a daemon that allows no --fsync: %v, %v", err, results["b.gsm"].Err)
	}
	s.Configure(t, rsyncd.Options{})
	s.SetPassword(t, "changed in the night")
	_, err = publish(t, place, data)
	wantCodes(t, "changed password", err, "AUTHENTICATION rsync")
	if results, err := publish(t, openPlace(t, rsyncdest.New(toDaemon(t, s))), data); err != nil || !results["a.gsm"].Adopted {
		t.Errorf("with the changed password: %v, %+v, want adopted", err, results)
	}
}

// TestSSHRefuses: each refusal has its code.
func TestSSHRefuses(t *testing.T) {
	t.Parallel()
	s, other := startSSH(t), startSSH(t)
	for what, test := range map[string]struct {
		change func(o *rsyncdest.Options)
		want   string
	}{
		"wrong host key":   {func(o *rsyncdest.Options) { o.SSH.HostKey = other.HostKey }, "HOST_KEY rsync"},
		"other kind":       {func(o *rsyncdest.Options) { o.SSH.HostKey = "ssh-rsa AAAAB3NzaC1yc2E=" }, "HOST_KEY rsync"},
		"fingerprint":      {func(o *rsyncdest.Options) { o.SSH.HostKey = "SHA256:0123" }, "UNSUPPORTED"},
		"wrong key":        {func(o *rsyncdest.Options) { o.SSH.Key = func() ([]byte, error) { return other.Key, nil } }, "AUTHENTICATION rsync"},
		"no key":           {func(o *rsyncdest.Options) { o.SSH.Key = nil }, "UNSUPPORTED"},
		"what is no key":   {func(o *rsyncdest.Options) { o.SSH.Key = func() ([]byte, error) { return []byte("secret"), nil } }, "SECRET rsync"},
		"missing folder":   {func(o *rsyncdest.Options) { o.Folder = s.Dir + "/not there" }, "NO_FOLDER rsync"},
		"nobody listening": {func(o *rsyncdest.Options) { o.SSH.Address = "127.0.0.1:1" }, "rsync ECONNREFUSED"},
	} {
		o := overSSH(t, s)
		test.change(&o)
		_, err := rsyncdest.New(o).Open(t.Context())
		if !errors.Is(err, dest.ErrUnreachable) {
			t.Errorf("%s: %v, want ErrUnreachable", what, err)
		}
		wantCodes(t, what, err, test.want)
	}
}
