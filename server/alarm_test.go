package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/registry"
)

// inRegistry has f look at, or change, the registry of a server that does not run.
func (f *fixture) inRegistry(t *testing.T, do func(r *registry.Registry) error) {
	t.Helper()
	r, err := registry.Open(f.path("state", "registry"), silent())
	if err == nil {
		err = do(r)
	}
	if err == nil {
		err = r.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// signedHead returns a head of a log, signed with its key, that no log of the test has.
func signedHead(t *testing.T, r *registry.Registry, origin ledger.Origin, size int64) []byte {
	t.Helper()
	keys, err := r.LogKeys(origin)
	if err != nil {
		t.Fatal(err)
	}
	note, err := ledger.SignHead(ledger.Head{Origin: origin, Size: size, Root: tlog.Hash{1, 2, 3}}, keys[0])
	if err != nil {
		t.Fatal(err)
	}
	return note
}

// refused runs a command that has to be refused for a reason.
func (f *fixture) refused(t *testing.T, line, reason string) {
	t.Helper()
	code, _, errs := f.do(t, append(strings.Fields(line), "--reason", "a test")...)
	if code != 1 || !strings.Contains(errs, "("+reason+")") {
		t.Errorf("%s: status %d, stderr %q, want %s", line, code, errs, reason)
	}
}

// entries exports a ledger and returns its entries, checked by folding them.
func (f *fixture) entries(t *testing.T, destination, to string) []ledger.Entry {
	t.Helper()
	f.must(t, "ledger export acme "+destination+" --to "+to)
	file, err := os.Open(filepath.Join(to, ledger.ExportedLedger))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fold := ledger.NewFold()
	var entries []ledger.Entry
	for leaf, err := range ledger.ReadExported(file) {
		if err != nil {
			t.Fatal(err)
		}
		e, _, err := fold.Append(leaf)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	return entries
}

// alarms returns the kinds of the alarms that stand.
func (f *fixture) alarms(t *testing.T, flags string) []string {
	t.Helper()
	kinds := []string{}
	for _, alarm := range f.must(t, "alarms"+flags)["alarms"].([]any) {
		kinds = append(kinds, at(t, alarm, "kind").(string))
	}
	return kinds
}

func TestAlarmsAreClearedAndLogsRestarted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	f.must(t, "tenant add acme --time-zone UTC --quiet 0s")
	f.must(t, "tenant add other --time-zone UTC")
	f.must(t, "source add acme calls --directory "+recordings(t, map[string]string{"a.txt": "hello"}))
	f.must(t, "destination add acme nas --kind rsync")
	_, origin := f.enroll(t, "acme", "nas")
	f.must(t, "seal acme --wait")
	f.refused(t, "ledger restart acme nas", "NO_ALARM")
	f.stop()
	f.inRegistry(t, func(r *registry.Registry) error {
		lost := [][]byte{signedHead(t, r, origin, 40), signedHead(t, r, origin, 50)}
		for _, a := range []registry.Alarm{
			{Origin: origin, Kind: registry.AlarmTailLost, RaisedAt: time.Now(), Message: "nobody has it", Heads: lost},
			{Origin: origin, Kind: registry.AlarmCloned, RaisedAt: time.Now().Add(-time.Hour), Message: "twice there"},
		} {
			if _, err := r.RaiseAlarm(a); err != nil {
				return err
			}
		}
		return nil
	})
	f.serve(t)
	if kinds := strings.Join(f.alarms(t, ""), " "); kinds != "cloned tail-lost" && kinds != "CLONED TAIL_LOST" && kinds != "ALARM_KIND_CLONED ALARM_KIND_TAIL_LOST" {
		t.Errorf("alarms = %s, want CLONED and TAIL_LOST, the older one first", kinds)
	}
	if code, out, _ := f.do(t, "alarms", "--tenant", "acme"); code != 0 || !strings.Contains(out, "TAIL_LOST") || !strings.Contains(out, "nobody has it") {
		t.Errorf("alarms for people: status %d, %q", code, out)
	}
	if kinds := f.alarms(t, " --tenant other"); len(kinds) != 0 {
		t.Errorf("alarms of another tenant = %v", kinds)
	}
	f.refused(t, "alarms --tenant nobody", "NO_TENANT")
	f.refused(t, "alarms clear acme none CLONED", "NO_DESTINATION")
	f.refused(t, "alarms clear acme nas COUNTS", "NO_ALARM")
	f.refused(t, "alarms clear acme nas TAIL_LOST", "RESTART_WANTED")
	if code, _, _ := f.do(t, "alarms", "clear", "acme", "nas", "NOISE"); code != 2 {
		t.Errorf("clearing what is no alarm: status %d", code)
	}
	f.must(t, "alarms clear acme nas cloned --reason test")
	if kinds := f.alarms(t, ""); len(kinds) != 1 {
		t.Errorf("alarms = %v, want the one that was not cleared", kinds)
	}
	f.refused(t, "ledger restart acme none", "NO_DESTINATION")
	restarted := f.must(t, "ledger restart acme nas --reason test")
	if restarted["origin"] == string(origin) || restarted["previous_origin"] != string(origin) || restarted["agent"] != "" {
		t.Errorf("the restarted destination is %v", restarted)
	}
	if kinds := f.alarms(t, ""); len(kinds) != 0 {
		t.Errorf("alarms after the restart = %v", kinds)
	}
	f.refused(t, "ledger restart acme nas", "NO_ALARM")

	f.stop() // all of it is there when the server comes back
	f.serve(t)
	agent, now := f.enroll(t, "acme", "nas")
	if string(now) != restarted["origin"] || agent.Certificate.Leaf == nil {
		t.Errorf("the join string is for %s, want %v", now, restarted["origin"])
	}
	if n := at(t, f.must(t, "seal acme --wait"), "results", 0, "nights", 0, "item_count"); n != 1.0 {
		t.Errorf("sealed %v items in the new ledger, want 1", n)
	}
	genesis, _ := f.entries(t, "nas", f.path("new"))[0].Body.(ledger.Genesis)
	if want := (ledger.KnownHead{Origin: origin, Size: 50, Root: tlog.Hash{1, 2, 3}}); genesis.Previous == nil || *genesis.Previous != want {
		t.Errorf("the new ledger continues %v, want %v", genesis.Previous, want)
	}
	old := f.entries(t, string(origin), f.path("old"))
	if retired, ok := old[len(old)-1].Body.(ledger.Retired); !ok || retired.Reason != ledger.RetiredTailLost || len(old) != 4 {
		t.Errorf("the old ledger has %d entries and ends in %v", len(old), old[len(old)-1].Body)
	}
	if report := f.must(t, "ledger verify acme "+string(origin)); len(report["problems"].([]any)) != 0 {
		t.Errorf("ledger verify of the old ledger = %v", report)
	}
	f.refused(t, "ledger verify other "+string(origin), "NO_DESTINATION")
}

// A log that recovers, and whose agent will never come back, is restarted too; where it was lost altogether, its genesis
// names the last head that was known.
func TestLostLogIsRestarted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	f.must(t, "tenant add acme --time-zone UTC")
	f.must(t, "destination add acme nas --kind rsync")
	_, origin := f.enroll(t, "acme", "nas")
	f.stop()
	var last []byte
	f.inRegistry(t, func(r *registry.Registry) error {
		last = signedHead(t, r, origin, 7)
		_, err := r.UpdateRecovery(origin, func(rec *registry.Recovery) { rec.LastHead = last })
		return err
	})
	if err := os.RemoveAll(f.path("state", "ledgers")); err != nil {
		t.Fatal(err)
	}
	f.serve(t)
	if destination := at(t, f.must(t, "destination list"), "destinations", 0); destination.(map[string]any)["recovering"] != true {
		t.Errorf("a destination whose ledger is gone: %v, want it to recover", destination)
	}
	f.must(t, "ledger restart acme nas --reason test")
	genesis, _ := f.entries(t, "nas", f.path("new"))[0].Body.(ledger.Genesis)
	head, _, err := ledger.ParseHead(last)
	if err != nil || genesis.Previous == nil || *genesis.Previous != (ledger.KnownHead(head)) {
		t.Errorf("the new ledger continues %v, want %v", genesis.Previous, head)
	}
	f.enroll(t, "acme", "nas")
}
