//go:build peers

package rsyncdest_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/rsyncdest"
	"github.com/wolkvox/backup/internal/peertest/rsyncd"
)

// counter counts the processes that a driver starts.
type counter struct {
	log  string
	seen int
}

// counted has the driver start rsync by a script that counts.
func counted(t *testing.T, o *rsyncdest.Options) *counter {
	t.Helper()
	program, err := exec.LookPath("rsync")
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{log: filepath.Join(t.TempDir(), "log")}
	o.Program = script(t, fmt.Sprintf(`echo "$@" >>'%s'; exec '%s' "$@"`, c.log, program))
	return c
}

// want checks how many processes were started since the last call.
func (c *counter) want(t *testing.T, what string, want int) {
	t.Helper()
	text, err := os.ReadFile(c.log)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	lines = lines[:len(lines)-1]
	if got := len(lines) - c.seen; got != want {
		t.Errorf("%s took %d processes, want %d:\n%s", what, got, want, strings.Join(lines[c.seen:], ""))
	}
	c.seen = len(lines)
}

func many(prefix string, count int) map[string][]byte {
	files := make(map[string][]byte)
	for i := range count {
		files[fmt.Sprintf("%s/%02d/%d.gsm", prefix, i%3, i)] = fmt.Append(nil, prefix, i)
	}
	return files
}

func names(files map[string][]byte) []string {
	var all []string
	for name := range files {
		all = append(all, name)
	}
	return all
}

// TestProcesses: each act of a night starts as few processes as it can, since each takes as long as some dozens of files.
func TestProcesses(t *testing.T) {
	t.Parallel()
	s := rsyncd.Start(t, rsyncd.Options{})
	o := toDaemon(t, s)
	count := counted(t, &o)
	opener := rsyncdest.New(o)
	first := openPlace(t, opener)
	for _, file := range []dest.OwnFile{dest.Head, dest.LastDelivered} {
		if err := first.WriteOwn(t.Context(), file, []byte(file)); err != nil {
			t.Fatal(err)
		}
	}
	count.seen = 0
	count.want(t, "taking the place into use", strings.Count(readFile(t, count.log), "\n"))

	store, err := dest.New(opener, "the place under test", desttest.Origin)
	if err != nil {
		t.Fatal(err)
	}
	place, err := store.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer place.Close()
	read := func(what string, processes int) {
		t.Helper()
		for _, file := range []dest.OwnFile{dest.Head, dest.LastDelivered} {
			if data, err := place.ReadOwn(t.Context(), file); err != nil || string(data) != string(file) {
				t.Errorf("%s: %s is %q, %v", what, file, data, err)
			}
		}
		if at, err := place.Whereabouts(t.Context()); err != nil || !at.Known {
			t.Errorf("%s: Whereabouts = %+v, %v", what, at, err)
		}
		count.want(t, what, processes)
	}
	read("opening a handle and reading what is beside the marker", 1)
	if err := place.SweepStaging(t.Context()); err != nil {
		t.Fatal(err)
	}
	count.want(t, "a sweep", 1)
	read("reading what is beside the marker after a sweep", 0)
	for files, parts := range map[int]int{5: 1, 300: 4} {
		round := many(fmt.Sprint("night-", files), files)
		if _, err := place.Hash(t.Context(), names(round)); err != nil {
			t.Fatal(err)
		}
		count.want(t, "looking for absent files", 2) // and again at the marker
		results, err := publish(t, place, round)
		if err != nil || len(results) != files {
			t.Fatalf("%d results, %v", len(results), err)
		}
		for _, r := range results {
			if r.Err != nil {
				t.Error(r.Err)
			}
		}
		// The staging folder and the marker, the files, their names, the comparison.
		count.want(t, fmt.Sprintf("publishing %d files", files), 2+parts+1+parts)
		read("reading what is beside the marker to sign", 0)
		if err := place.WriteOwn(t.Context(), dest.LastDelivered, []byte(dest.LastDelivered)); err != nil {
			t.Fatal(err)
		}
		count.want(t, "writing an own file", 1)
		read("reading it again", 1)
	}
	if err := errors.Join(place.CheckMarker(t.Context()), place.CheckMarker(t.Context())); err != nil {
		t.Error(err)
	}
	count.want(t, "looking at the marker twice", 2)
	all := many("night-300", 300)
	maps.Copy(all, many("night-5", 5))
	if got := wantWhole(t, s.Dir, all); got != len(all) {
		t.Errorf("%d files are there, want %d", got, len(all))
	}
}

// TestOwnFilesChangeMeanwhile: what was read of the own files never counts once they were changed and anything was done.
func TestOwnFilesChangeMeanwhile(t *testing.T) {
	t.Parallel()
	s := rsyncd.Start(t, rsyncd.Options{})
	opener := rsyncdest.New(toDaemon(t, s))
	place, other := openPlace(t, opener), openPlace(t, opener)
	own := func(name string) string { return filepath.Join(s.Dir, ".wolkvox", name) }
	wantHead := func(what, want string) {
		t.Helper()
		data, err := place.ReadOwn(t.Context(), dest.Head)
		if want == "" && !errors.Is(err, fs.ErrNotExist) || want != "" && (err != nil || string(data) != want) {
			t.Errorf("%s: the head is %q, %v, want %q", what, data, err, want)
		}
	}
	meanwhile := func(do func() error) {
		opener.BetweenPublishAndCheck(func() {
			if err := do(); err != nil {
				t.Error(err)
			}
		})
	}
	round := 0
	copyOne := func() {
		t.Helper()
		round++
		results, err := publish(t, place, many(fmt.Sprint("night-", round), 1))
		if err != nil || len(results) != 1 {
			t.Fatal(results, err)
		}
	}
	wantHead("at first", "")
	if err := other.WriteOwn(t.Context(), dest.Head, []byte("one")); err != nil {
		t.Fatal(err)
	}
	wantHead("written through another handle", "one")
	for _, text := range []string{"two", "six", "another"} { // of the same size and another
		meanwhile(func() error { return os.WriteFile(own("head"), []byte(text), 0o644) })
		copyOne()
		wantHead("replaced before what was published is compared", text)
	}
	meanwhile(func() error { return os.Remove(own("head")) })
	copyOne()
	wantHead("removed meanwhile", "")
	meanwhile(func() error { return os.WriteFile(own("head"), nil, 0o644) })
	copyOne()
	if data, err := place.ReadOwn(t.Context(), dest.Head); err != nil || len(data) != 0 {
		t.Errorf("an empty head that appeared meanwhile is %q, %v", data, err)
	}
	meanwhile(func() error { return nil })
	for what, do := range map[string]func() error{
		"a folder":   func() error { return os.Mkdir(own("head"), 0o755) },
		"a link":     func() error { return os.Symlink("marker", own("head")) },
		"very large": func() error { return os.WriteFile(own("head"), make([]byte, 2*dest.MaxOwnBytes), 0o644) },
	} {
		if err := errors.Join(os.Remove(own("head")), do()); err != nil {
			t.Fatal(err)
		}
		copyOne()
		if data, err := place.ReadOwn(t.Context(), dest.Head); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a head that is %s = %d bytes, %v, want an error that is not fs.ErrNotExist", what, len(data), err)
		}
	}
}

// TestPlaceGoesBetweenRounds: a place that is gone, or empty, is found before anything is published, by a handle that knew it.
func TestPlaceGoesBetweenRounds(t *testing.T) {
	t.Parallel()
	for what, want := range map[string]error{"emptied": dest.ErrNoMarker, "gone": dest.ErrUnreachable} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := rsyncd.Start(t, rsyncd.Options{})
			o := toDaemon(t, s)
			o.Folder = "a folder"
			dir := filepath.Join(s.Dir, o.Folder)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			place := openPlace(t, rsyncdest.New(o))
			batch, err := place.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer batch.Discard()
			file, err := batch.Stage(t.Context(), "2026/a.gsm", desttest.Digest(nil))
			if err == nil {
				err = file.Commit()
			}
			if err := errors.Join(err, batch.Sync(t.Context()), batch.Verify(t.Context())); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(dir, filepath.Join(s.Dir, "away")); err != nil {
				t.Fatal(err)
			}
			if what == "emptied" {
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := batch.Publish(t.Context()); !errors.Is(err, want) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Publish = %v, want %v", err, want)
			}
			if _, err := place.Hash(t.Context(), []string{"2026/a.gsm"}); !errors.Is(err, want) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Hash = %v, want %v", err, want)
			}
			if _, err := os.Lstat(filepath.Join(dir, "2026")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("something was published: %v", err)
			}
		})
	}
}

// TestFewConnections: a daemon that takes one connection at a time gets one after the other.
func TestFewConnections(t *testing.T) {
	t.Parallel()
	s := rsyncd.Start(t, rsyncd.Options{Config: "max connections = 1\nlock file = " + filepath.Join(t.TempDir(), "lock")})
	place := openPlace(t, rsyncdest.New(toDaemon(t, s)))
	files := many("night", 300)
	results, err := publish(t, place, files)
	if err != nil || len(results) != len(files) {
		t.Fatalf("%d results, %v", len(results), err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Error(r.Err)
		}
	}
	if got := wantWhole(t, s.Dir, files); got != len(files) {
		t.Errorf("%d files are there, want %d", got, len(files))
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
