//go:build linux && peers

package audit

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup/test/fleet"
)

const (
	confirmed   = 1000
	medianBytes = 8_000
)

// site is a fleet with a thousand recordings confirmed at a peer.
type site struct {
	*fleet.Fleet
	peer  peer
	names []string // of the recordings, sorted
}

func newSite(t *testing.T, k kind) *site {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "recordings")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &site{peer: k.start(t, dir)}
	o := fleet.Options{Destination: dir, Where: s.peer.where}
	if k.name == "wolkvox" {
		o.Kind = k.name
	}
	s.Fleet = fleet.New(t, o)
	if k.name == "wolkvox" {
		s.Destination = filepath.Join(s.Server.State, "storage", fleet.TenantName, fleet.DestinationName, "files")
	}
	if s.peer.files == nil {
		s.peer.files = folder(s.Destination)
	}
	s.Record(t, 1, confirmed, 2, medianBytes)
	s.Seal(t)
	s.Agent.Do(t, "run", "--once")
	for path := range fleet.Tree(t, s.Source) {
		s.names = append(s.names, fleet.SourceName+"/"+path)
	}
	slices.Sort(s.names)
	return s
}

// file is where a recording lies at the peer.
func (s *site) file(name string) string { return filepath.Join(s.Destination, name) }

// found is what an audit said, by class.
type found map[string][]string

func (f found) add(class string, names ...string) {
	f[class] = append(f[class], names...)
	slices.Sort(f[class])
}

// result is an audit as JSON has it.
type result struct {
	Findings []struct {
		Class, Name string
	}
	Report struct {
		Outcome  string
		WentBack bool `json:"went_back"`
		Counts   struct {
			Looked  string `json:"looked_count"`
			Present string `json:"present_count"`
		}
		Signed  string `json:"signed_count"`
		Message string
	}
}

// audit has the agent audit, and returns what it said as JSON, and its exit status.
func (s *site) audit(t *testing.T, args ...string) (found, result, int) {
	t.Helper()
	r := s.Agent.Try(t, append([]string{"audit", fleet.DestinationName, "--output", "json"}, args...)...)
	var all result
	if err := json.Unmarshal([]byte(r.Stdout), &all); err != nil {
		t.Fatalf("%v: %v\n%s", err, r, fleet.Tail(s.Agent.Log))
	}
	names := found{}
	for _, f := range all.Findings {
		names.add(strings.ToLower(strings.TrimPrefix(f.Class, "AUDIT_CLASS_")), f.Name)
	}
	return names, all, r.Status
}

// told is what an audit said to a person, by class.
func (s *site) told(t *testing.T, args ...string) found {
	t.Helper()
	r := s.Agent.Try(t, append([]string{"audit", fleet.DestinationName}, args...)...)
	names := found{}
	for line := range strings.Lines(r.Stdout) {
		if class, rest, ok := strings.Cut(line, "  "); ok {
			name, _, _ := strings.Cut(strings.TrimSpace(rest), " (")
			names.add(strings.TrimSpace(class), name)
		}
	}
	return names
}

// spoil does something to thirteen recordings, and adds two files, in the peer's folder. It returns what an audit that reads has to find.
func (s *site) spoil(t *testing.T, unreadable bool) found {
	t.Helper()
	want := found{}
	change := func(name string, edit func(data []byte) []byte) {
		s.peer.files.write(t, name, edit(s.peer.files.read(t, name)))
		want.add("altered", name)
	}
	for _, name := range s.names[10:15] {
		s.peer.files.remove(t, name)
		want.add("missing", name)
	}
	for _, name := range s.names[100:104] {
		change(name, func(data []byte) []byte { data[len(data)/2] ^= 1; return data })
	}
	for _, name := range s.names[500:502] {
		change(name, func(data []byte) []byte { return data[:len(data)/2] })
	}
	change(s.names[999], func(data []byte) []byte { slices.Reverse(data); return data })
	for _, name := range []string{fleet.SourceName + "/not ours.gsm", "readme.txt"} {
		s.peer.files.write(t, name, []byte("somebody's"))
		want.add("extra", name)
	}
	if unreadable {
		s.hide(t, s.names[700])
		want.add("unreadable", s.names[700])
	}
	return want
}

// hide puts something in the place of a recording that the kernel lets nobody read, not even root.
func (s *site) hide(t *testing.T, name string) {
	t.Helper()
	if err := syscall.Mount("/sys/bus/platform/drivers_probe", s.file(name), "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.show(name) })
}

func (s *site) show(name string) { _ = syscall.Unmount(s.file(name), 0) } // one that is shown already is as wanted

// TestAudit names exactly what somebody did to a thousand recordings, by class, to people and as JSON; the next night repairs what
// is lost; and what was altered is kept aside.
func TestAudit(t *testing.T) {
	t.Parallel()
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, k)
			if names, all, status := s.audit(t); len(names) != 0 || status != 0 || all.Report.Counts.Present != fmt.Sprint(confirmed) {
				t.Fatalf("of a good place: status %d, %v, %+v", status, names, all.Report)
			}
			want := s.spoil(t, k.reads)
			s.Agent.Start(t)
			if diff := cmp.Diff(want, s.told(t)); diff != "" { // more than 1 % is lost: nothing is signed before a second audit
				t.Errorf("people are told (-want +got):\n%s", diff)
			}
			names, all, status := s.audit(t)
			if diff := cmp.Diff(want, names); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
			if status != 1 || all.Report.Outcome != "AUDIT_OUTCOME_COMPLETE" || all.Report.Signed != "12" {
				t.Fatalf("status %d, %+v", status, all.Report)
			}
			t.Log(all.Report.Message)
			s.Agent.Do(t, "run", "--once")
			if unreadable := want["unreadable"]; len(unreadable) > 0 {
				s.show(unreadable[0])
			}
			after, all, status := s.audit(t)
			if diff := cmp.Diff(found{"extra": want["extra"]}, after); diff != "" || status != 0 {
				t.Errorf("after the next night, status %d, %+v (-want +got):\n%s", status, all.Report, diff)
			}
			s.CheckLedgers(t)
			for _, name := range want["altered"] {
				if s.peer.files != folder(s.Destination) {
					continue // its folder is another program's
				}
				aside, err := filepath.Glob(filepath.Join(s.Destination, ".wolkvox", "aside", "altered-*", name))
				if err != nil || len(aside) != 1 {
					t.Errorf("what was altered of %s is not aside: %v, %v", name, aside, err)
				}
			}
			for _, name := range want["extra"] {
				if data := s.peer.files.read(t, name); string(data) != "somebody's" {
					t.Errorf("%s was touched: %q", name, data)
				}
			}
		})
	}
}

// stoppable are the kinds whose peer is a program of its own.
func stoppable() []kind {
	return slices.DeleteFunc(kinds(), func(k kind) bool { return k.name == "local" || k.name == "wolkvox" })
}

// TestStopped stops the peer in the middle of an audit: nothing is lost by that, and the next audit goes on.
func TestStopped(t *testing.T) {
	t.Parallel()
	for _, k := range stoppable() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, k)
			done := make(chan fleet.Result, 1)
			s.Agent.Start(t)
			go func() { done <- s.Agent.Try(t, "audit", fleet.DestinationName, "--rate", "2MiB", "--output", "json") }()
			s.await(t)
			s.peer.kill()
			r := <-done
			var all result
			if err := json.Unmarshal([]byte(r.Stdout), &all); err != nil || r.Status != 1 || all.Report.Outcome != "AUDIT_OUTCOME_UNREACHABLE" || len(all.Findings) != 0 {
				t.Errorf("in the middle: %v, %v", r, err)
			}
			t.Log(all.Report.Message)
			s.peer.restart()
			if names, all, status := s.audit(t); len(names) != 0 || status != 0 {
				t.Errorf("when it is back: status %d, %v, %+v", status, names, all.Report)
			}
		})
	}
}

// await returns when the audit has read some.
func (s *site) await(t *testing.T) {
	t.Helper()
	position := filepath.Join(s.Dir, "agent", "audits", fleet.DestinationName+".position.json")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(position); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the audit does not begin")
		}
	}
}

// TestPutBack names a place that is an older copy of itself, and copies again what came after the copy was made.
func TestPutBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, kind{"local", startFolder, true})
	older := filepath.Join(t.TempDir(), "older")
	do(t, "cp", "-a", s.Destination+"/.", older)
	s.Record(t, 2, 5, 1, medianBytes)
	s.Seal(t)
	s.Agent.Do(t, "run", "--once")
	do(t, "find", s.Destination, "-mindepth", "1", "-delete")
	do(t, "cp", "-a", older+"/.", s.Destination)
	names, all, status := s.audit(t)
	if len(names["missing"]) != 5 || !all.Report.WentBack || status != 1 || all.Report.Signed != "5" || !strings.Contains(all.Report.Message, "older copy of itself") {
		t.Errorf("status %d, %v, %+v", status, names, all.Report)
	}
	s.Agent.Do(t, "run", "--once")
	if names, all, status := s.audit(t); status != 0 || len(names) != 0 || all.Report.Counts.Present != fmt.Sprint(confirmed+5) {
		t.Errorf("after the next night: status %d, %v, %+v", status, names, all.Report)
	}
	s.CheckLedgers(t)
}

func do(t *testing.T, name string, args ...string) {
	t.Helper()
	if r := fleet.Command(t.Context(), name, args...); r.Status != 0 {
		t.Fatal(r)
	}
}
