//go:build peers

package rsyncdest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/rsyncdest"
	"github.com/wolkvox/backup/internal/peertest/rsyncd"
)

// TestNames: names that rsync, a shell or a pattern could take for something else are published, found, moved aside and
// listed, and so are the names that others gave.
func TestNames(t *testing.T) {
	t.Parallel()
	s, d := startSSH(t), rsyncd.Start(t, rsyncd.Options{})
	for what, place := range map[string]struct {
		options rsyncdest.Options
		dir     string
	}{"ssh": {overSSH(t, s), s.Dir}, "daemon": {toDaemon(t, d), d.Dir}} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			files := make(map[string][]byte)
			for i, name := range []string{"-rf", "--delete", "#a", ";a", "señal/große [x]/ü.gsm", "[a-z]/{b}", "$HOME/`id`", "~/x", "a b/c  d", "!x", "+ a", "- a", "é"} {
				files[name] = fmt.Append(nil, i, name)
			}
			p := openPlace(t, rsyncdest.New(place.options))
			results, err := publish(t, p, files)
			if err != nil {
				t.Fatal(err)
			}
			for name := range files {
				if results[name].Err != nil {
					t.Errorf("publish %q: %v", name, results[name].Err)
				}
			}
			wantWhole(t, place.dir, files)
			foreign := []string{"new\nline", `back\slash`, `esc\#012`, "bell\a", "not utf8 \xff\xfe", "tab\t", " leading", "* -> ?"}
			for _, name := range foreign {
				if err := os.WriteFile(filepath.Join(place.dir, name), []byte(name), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want := make(map[string]int64)
			for name, data := range files {
				want[name] = int64(len(data))
			}
			for _, name := range foreign {
				want[name] = int64(len(name))
			}
			if diff := cmp.Diff(want, list(t, p)); diff != "" {
				t.Errorf("listed (-want +got):\n%s", diff)
			}
			for name, data := range files {
				if digest, err := p.HashExisting(t.Context(), name); err != nil || digest != desttest.Digest(data) {
					t.Errorf("hash of %q = %v, %v", name, digest, err)
				}
				if _, err := p.MoveAside(t.Context(), name, "label"); err != nil {
					t.Errorf("move aside %q: %v", name, err)
				}
				delete(want, name)
			}
			if diff := cmp.Diff(want, list(t, p)); diff != "" {
				t.Errorf("listed after all of ours were moved aside (-want +got):\n%s", diff)
			}
		})
	}
}

func list(t *testing.T, p *dest.Place) map[string]int64 {
	t.Helper()
	got := make(map[string]int64)
	for file, err := range p.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got[file.Name] = file.SizeBytes
	}
	return got
}

// TestLinksAndOddThings: nothing but regular files counts, a link to a folder inside is followed, one that leads out is not,
// and all stay as they are.
func TestLinksAndOddThings(t *testing.T) {
	t.Parallel()
	s := rsyncd.Start(t, rsyncd.Options{})
	outside := t.TempDir()
	for link, target := range map[string]string{"out": outside, "inside": "real", "nowhere": "absent", "link.gsm": "target.gsm"} {
		if err := os.Symlink(target, filepath.Join(s.Dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(s.Dir, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	place := openPlace(t, rsyncdest.New(toDaemon(t, s)))
	files := map[string][]byte{}
	for _, name := range []string{"out/a.gsm", "inside/a.gsm", "nowhere/a.gsm", "link.gsm"} {
		files[name] = []byte("ours " + name)
	}
	results, err := publish(t, place, files)
	if err != nil {
		t.Fatal(err)
	}
	if err := results["inside/a.gsm"].Err; err != nil {
		t.Errorf("through a link inside: %v", err)
	}
	if data, err := os.ReadFile(filepath.Join(s.Dir, "real/a.gsm")); err != nil || string(data) != "ours inside/a.gsm" {
		t.Errorf("behind the link lies %q, %v", data, err)
	}
	for _, name := range []string{"out/a.gsm", "nowhere/a.gsm", "link.gsm"} {
		if results[name].Err == nil {
			t.Errorf("%s was confirmed", name)
		}
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("outside lie %v, %v", entries, err)
	}
	if _, err := place.MoveAside(t.Context(), "inside/a.gsm", "label"); err != nil {
		t.Errorf("move aside through a link inside: %v", err)
	}
	for name, want := range map[string]bool{"real/a.gsm": false, ".wolkvox/aside/label/inside/a.gsm": true} {
		if _, err := os.Stat(filepath.Join(s.Dir, name)); (err == nil) != want {
			t.Errorf("%s after moving aside: %v", name, err)
		}
	}
	if target, err := os.Readlink(filepath.Join(s.Dir, "inside")); err != nil || target != "real" {
		t.Errorf("the link inside leads to %q, %v", target, err)
	}
}

// TestWithoutSHA1: where one side has no SHA-1 the peer is asked for MD5, and the method says so.
func TestWithoutSHA1(t *testing.T) {
	t.Parallel()
	s := rsyncd.Start(t, rsyncd.Options{})
	rsync, err := exec.LookPath("rsync")
	if err != nil {
		t.Fatal(err)
	}
	o := toDaemon(t, s)
	o.Program = script(t, `for a; do
	[ "$a" = --checksum-choice=sha1 ] && { echo 'unknown checksum name: sha1' >&2; exit 4; }
done
exec `+rsync+` "$@"`)
	opener := rsyncdest.New(o)
	results, err := publish(t, openPlace(t, opener), map[string][]byte{"a.gsm": random(100_000)})
	if err != nil || results["a.gsm"].Err != nil || results["a.gsm"].Method != backup.PeerReadbackMD5 || opener.Checksum() != "md5" {
		t.Errorf("publish = %+v, %v, want method %s", results["a.gsm"], err, backup.PeerReadbackMD5)
	}
}

// TestManyPortions: what is pulled to be hashed comes in portions, and a single file may be larger than one.
func TestManyPortions(t *testing.T) {
	t.Parallel()
	s := rsyncd.Start(t, rsyncd.Options{})
	place := openPlace(t, rsyncdest.New(toDaemon(t, s)))
	var names []string
	for i, sizeBytes := range []int64{1, 300 << 20, 2, 200 << 20, 200 << 20, 0} {
		name := fmt.Sprintf("%d.wav", i)
		names = append(names, name)
		f, err := os.Create(filepath.Join(s.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(sizeBytes); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	found, err := place.Hash(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range found {
		file, err := os.Open(filepath.Join(s.Dir, names[i]))
		if err != nil {
			t.Fatal(err)
		}
		want, err := dest.Sum(t.Context(), file)
		if err != nil || f.Err != nil || f.Digest != want {
			t.Errorf("hash of %s = %+v, %v, want %v", names[i], f, err, want)
		}
		file.Close()
	}
}
