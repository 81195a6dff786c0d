//go:build linux && peers

package sources

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/peertest/sshd"
	"github.com/wolkvox/backup/test/fleet"
)

// site is a fleet whose recordings lie at a place, which the server reaches over a line.
type site struct {
	*fleet.Fleet
	place place
	line  *fleet.Line
	other atomic.Pointer[string] // an address where the line leads instead; nil for the place
}

func newSite(t *testing.T, newPlace func(t *testing.T, dir string) place) *site {
	t.Helper()
	s := &site{}
	s.Fleet = fleet.New(t, fleet.Options{SourceAt: func(dir string) []string {
		s.place = newPlace(t, dir)
		s.line = fleet.NewLine(t, func() string {
			if other := s.other.Load(); other != nil {
				return *other
			}
			return s.place.address()
		})
		return s.place.flags(t, s.line.Address())
	}})
	return s
}

// record makes recordings at the place.
func (s *site) record(t *testing.T, seed uint64, count int, medianBytes int64) {
	t.Helper()
	s.Record(t, seed, count, 3, medianBytes)
	s.place.sync(t)
}

func (s *site) trySeal(t *testing.T) fleet.Result {
	t.Helper()
	return s.Server.Try(t, "seal", fleet.TenantName, "--wait")
}

// items returns the paths of the items in a state, or of all.
func (s *site) items(t *testing.T, states ...string) []string {
	t.Helper()
	var paths []string
	for _, item := range s.Server.Items(t, fleet.TenantName, fleet.DestinationName, states...) {
		paths = append(paths, item.Path)
	}
	slices.Sort(paths)
	return paths
}

// complete seals and copies until all is confirmed.
func (s *site) complete(t *testing.T) {
	t.Helper()
	fleet.Await(t, "all is sealed", func() bool { s.trySeal(t); return len(s.items(t)) == s.WantedCount() })
	fleet.Await(t, "all is copied", func() bool { return s.RunOnce(t).Status == 0 })
	s.CheckComplete(t)
}

// checkUntouched makes sure that nothing is withdrawn.
func (s *site) checkUntouched(t *testing.T) {
	t.Helper()
	if withdrawn := s.items(t, "withdrawn"); len(withdrawn) > 0 {
		t.Errorf("withdrawn: %q\n%s", withdrawn, fleet.Tail(s.Server.Log))
	}
}

// checkListed makes sure that `source list` says what is the matter.
func (s *site) checkListed(t *testing.T, want string) {
	t.Helper()
	if out := s.Server.Do(t, "source", "list"); !strings.Contains(out, "not reachable") || !strings.Contains(out, want) {
		t.Errorf("source list says %q, want %q in it", out, want)
	}
}

func forEach(t *testing.T, test func(t *testing.T, s *site)) {
	for name, newPlace := range kinds() {
		t.Run(name, func(t *testing.T) { test(t, newSite(t, newPlace)) })
	}
}

// TestNight copies three nights, with a recording of many blocks.
func TestNight(t *testing.T) {
	forEach(t, func(t *testing.T, s *site) {
		large := filepath.Join(s.Source, "large", "call.gsm")
		if err := os.Mkdir(filepath.Dir(large), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(large, bytes.Repeat([]byte("a recording of some length "), 300_000), 0o644); err != nil {
			t.Fatal(err)
		}
		sum, err := fleet.Sum(large)
		if err != nil {
			t.Fatal(err)
		}
		s.Want(fleet.SourceName+"/large/call.gsm", sum)
		s.record(t, 1, 200, 60_000)
		began := time.Now()
		s.complete(t)
		t.Logf("%d recordings in %v", s.WantedCount(), time.Since(began).Round(time.Millisecond))
		before := s.line.Carried()
		s.Seal(t)
		if more := s.line.Carried() - before; more > 200_000 {
			t.Errorf("a look at what is sealed carries %d bytes: it reads the recordings again", more)
		}
		if out := s.Server.Do(t, "source", "list"); !strings.Contains(out, "reachable") || strings.Contains(out, "not reachable") {
			t.Errorf("source list says %q", out)
		}
	})
}

// TestLost kills the place before it is looked at, while it is read to be sealed, and while it is served.
func TestLost(t *testing.T) {
	forEach(t, func(t *testing.T, s *site) {
		s.record(t, 1, 60, 60_000)
		s.place.kill()
		if r := s.trySeal(t); r.Status == 0 {
			t.Errorf("a dead place was sealed: %v", r)
		}
		s.checkListed(t, "")
		s.place.restart(t)

		s.line.Slow(500_000)
		before := s.line.Carried()
		sealed := make(chan fleet.Result, 1)
		go func() { sealed <- s.trySeal(t) }()
		fleet.Await(t, "the place is read", func() bool { return s.line.Carried()-before > 700_000 })
		s.place.kill()
		t.Logf("killed in mid-look: %v", <-sealed)
		if nights := s.Nights(t); len(nights) != 0 {
			t.Errorf("after a lost look there are the nights %+v", nights)
		}

		s.place.restart(t)
		s.line.Slow(0)
		fleet.Await(t, "all is sealed", func() bool { s.trySeal(t); return len(s.items(t)) == s.WantedCount() })
		for _, n := range s.Nights(t) {
			if n.Items == 0 {
				t.Errorf("an empty night: %+v", n)
			}
		}

		s.line.Slow(500_000)
		before = s.line.Carried()
		ran := make(chan fleet.Result, 1)
		go func() { ran <- s.RunOnce(t) }()
		fleet.Await(t, "recordings are served", func() bool { return s.line.Carried()-before > 700_000 })
		s.place.kill()
		time.Sleep(time.Second)
		s.place.restart(t)
		s.line.Slow(0)
		t.Logf("killed while it was served: %v", <-ran)
		s.complete(t)
		s.checkUntouched(t)
	})
}

// TestAltered changes, takes away and damages recordings that are sealed and not copied yet.
func TestAltered(t *testing.T) {
	forEach(t, func(t *testing.T, s *site) {
		s.record(t, 1, 20, 20_000)
		s.Seal(t)
		paths := s.items(t)
		if len(paths) != 20 {
			t.Fatalf("sealed: %q", paths)
		}
		below := func(i int) string { return strings.TrimPrefix(paths[i], fleet.SourceName+"/") }
		const changed, gone, damaged = 3, 7, 11
		edit(t, filepath.Join(s.Source, below(changed)), func(data []byte) []byte { return append(data, "more"...) })
		if err := os.Remove(filepath.Join(s.Source, below(gone))); err != nil {
			t.Fatal(err)
		}
		s.place.sync(t)
		damage(t, s.place.file(below(damaged)))

		want := []string{paths[changed], paths[gone], paths[damaged]}
		fleet.Await(t, "what changed is withdrawn", func() bool {
			s.RunOnce(t)
			return len(s.items(t, "withdrawn")) >= len(want)
		})
		if got := s.items(t, "withdrawn"); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("withdrawn: %q, want %q", got, want)
		}
		fleet.Await(t, "all else is copied", func() bool { return s.RunOnce(t).Status == 0 && len(s.items(t, "pending")) == 0 })
		// What lies there now is a recording of its own, for the changed one and the damaged one.
		if got := s.items(t, "confirmed"); len(got) != 20-len(want)+2 {
			t.Errorf("confirmed: %d, %q", len(got), got)
		}
		s.CheckLedgers(t)
	})
}

func edit(t *testing.T, name string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, change(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

// damage changes a byte, and nothing by which that could be seen without reading.
func damage(t *testing.T, name string) {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	one := make([]byte, 1)
	if _, err := f.ReadAt(one, info.Size()/2); err != nil {
		t.Fatal(err)
	}
	one[0] ^= 1
	if _, err := f.WriteAt(one, info.Size()/2); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
}

// TestLockedOut takes the server's key away while recordings are sealed and not copied.
func TestLockedOut(t *testing.T) {
	forEach(t, func(t *testing.T, s *site) {
		s.record(t, 1, 20, 20_000)
		s.Seal(t)
		s.place.lockOut(t)
		if r := s.trySeal(t); r.Status == 0 {
			t.Errorf("a place that lets nobody in was sealed: %v", r)
		}
		t.Log(s.Server.Do(t, "source", "list"))
		s.checkListed(t, "")
		if pending := s.items(t, "pending"); len(pending) != 20 {
			t.Errorf("pending: %q", pending)
		}
		s.checkUntouched(t)
	})
}

// TestOtherHostKey has another server answer in the place's stead.
func TestOtherHostKey(t *testing.T) {
	s := newSite(t, newOpenSSH)
	s.record(t, 1, 20, 20_000)
	s.Seal(t)
	s.other.Store(&sshd.Start(t, sshd.Options{Dir: s.Source}).Address)
	s.line.Cut()

	if r := s.trySeal(t); r.Status == 0 {
		t.Errorf("another server was sealed: %v", r)
	}
	s.checkListed(t, "the server shows the host key SHA256:")
	s.checkUntouched(t)
	r := s.Server.Try(t, "source", "add", fleet.TenantName, "again", "--sftp", "u@"+s.line.Address()+"/x", "--host-key",
		s.place.(openSSH).HostKey, "--key-file", s.place.(openSSH).KeyFile)
	if r.Status == 0 || !strings.Contains(r.Stderr, "SOURCE_REFUSED") {
		t.Errorf("source add: %v", r)
	}
}
