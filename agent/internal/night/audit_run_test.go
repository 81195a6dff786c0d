package night

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/audit"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/internal/ledger"
)

// audited is an audit that was made: its report, and the names that it found by class.
type audited struct {
	audit.Report
	found map[audit.Class][]string
}

var (
	listed = audit.Options{Level: audit.List, Percent: 100}
	read   = audit.Options{Level: audit.Read, Percent: 100}
)

// auditWith audits with a request whose callbacks are filled in.
func auditWith(ctx context.Context, n *Night, r AuditRequest) (audited, error) {
	a := audited{found: make(map[audit.Class][]string)}
	r.Found = func(f audit.Finding) error {
		a.found[f.Class] = append(a.found[f.Class], f.Name)
		return nil
	}
	if r.Watch == nil {
		r.Watch = func(audit.Counts) {}
	}
	var err error
	a.Report, err = n.Audit(ctx, r)
	for _, names := range a.found {
		slices.Sort(names)
	}
	return a, err
}

func (m *machine) audit(ctx context.Context, n *Night, o audit.Options) audited {
	m.t.Helper()
	a, err := auditWith(ctx, n, AuditRequest{Options: o})
	if err != nil {
		m.t.Fatal(err)
	}
	return a
}

func (a audited) want(t *testing.T, when, outcome string, signed int64, found map[audit.Class][]string) {
	t.Helper()
	if a.Outcome != outcome || a.Signed != signed {
		t.Errorf("%s: the audit ends %s (%s), %d signed; want %s, %d", when, a.Outcome, a.Cause, a.Signed, outcome, signed)
	}
	if diff := cmp.Diff(found, a.found); diff != "" {
		t.Errorf("%s: found (-want +got):\n%s", when, diff)
	}
}

// spoil makes one file of each class, and returns what an audit that reads finds.
func (m *machine) spoil(names []string) map[audit.Class][]string {
	flipped, replaced := slices.Clone(contentOf(names[2])), slices.Clone(contentOf(names[3]))
	flipped[len(flipped)/2] ^= 1
	slices.Reverse(replaced)
	m.disk.Remove(names[0])
	m.disk.Remove(names[1])
	m.disk.Plant(names[2], flipped)
	m.disk.Plant(names[3], replaced)
	m.disk.Plant(names[4], contentOf(names[4])[:50])
	m.disk.Plant("calls/somebody's.gsm", []byte("somebody's"))
	m.disk.PlantOdd("link")
	m.refuse = func(op desttest.Op, name string) error {
		if op == desttest.OpOpen && name == names[5] {
			return &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
		}
		return nil
	}
	return map[audit.Class][]string{
		audit.Missing: sorted([]string{names[0], names[1]}), audit.Altered: sorted([]string{names[2], names[3], names[4]}),
		audit.Unreadable: {names[5]}, audit.Extra: {"calls/somebody's.gsm", "link"},
	}
}

// TestAudit names exactly what is not as it should be, by class, signs what is lost, and the next pass repairs it.
func TestAudit(t *testing.T) {
	t.Parallel()
	m, names := moving(t, "", 600)
	m.repair = true
	before := m.disk.Files()
	want := m.spoil(names)
	spoiled := m.disk.Files()
	m.at("memory", func(ctx context.Context, n *Night) {
		a := m.audit(ctx, n, read)
		a.want(t, "reading", audit.Complete, 5, want)
		counts := audit.Counts{Wanted: 600, Looked: 600, ReadBytes: a.Counts.ReadBytes, Present: 594, Missing: 2, Altered: 3, Unreadable: 1, Extra: 2}
		if a.Counts != counts || a.IsWell() {
			t.Errorf("counted %+v, want %+v", a.Counts, counts)
		}
		if last, ok, err := n.Audits.Last(); err != nil || !ok || last != a.Report {
			t.Errorf("kept is %+v, %v, %v", last, ok, err)
		}
		m.wantConfirmed("after the audit", 595)
		m.refuseFrom(nil)
		if outcome, err := n.RunNow(ctx); err != nil || !outcome.Complete || outcome.Progress.ConfirmedItems != 5 {
			t.Errorf("the next pass: %+v, %v", outcome, err)
		}
		m.wantConfirmed("after the next pass", 600)
		m.audit(ctx, n, read).want(t, "after the repair", audit.Complete, 0, map[audit.Class][]string{audit.Extra: want[audit.Extra]})
	})
	after := m.disk.Files()
	for _, name := range names {
		if string(after[name]) != string(before[name]) {
			t.Errorf("%s is not as it was", name)
		}
	}
	for i, name := range names[2:5] {
		aside := fmt.Sprintf(".wolkvox/aside/altered-1-%d/%s", i+2, name)
		if string(after[aside]) != string(spoiled[name]) {
			t.Errorf("what was altered is not in %s", aside)
		}
	}
}

// TestAuditList sees by a listing what has no file or another size, reads no more than that, and says of an altered file in the way
// that it stays, where the client wants no repair.
func TestAuditList(t *testing.T) {
	t.Parallel()
	m, names := moving(t, "", 600)
	want := m.spoil(names)
	want[audit.Altered] = names[4:5]
	delete(want, audit.Unreadable)
	opened := 0
	refuse := m.refuse
	m.refuse = func(op desttest.Op, name string) error {
		if op == desttest.OpOpen {
			opened++
		}
		return refuse(op, name)
	}
	m.at("memory", func(ctx context.Context, n *Night) {
		m.audit(ctx, n, listed).want(t, "listing", audit.Complete, 3, want)
		if opened > 6 {
			t.Errorf("%d files were opened for 3 that are not as listed", opened)
		}
		if outcome, err := n.RunNow(ctx); err != nil || outcome.Complete || outcome.Progress.ConfirmedItems != 2 {
			t.Errorf("the next pass: %+v, %v, want the altered one in the way", outcome, err)
		}
	})
	if got := string(m.disk.Files()[names[4]]); got != string(contentOf(names[4])[:50]) {
		t.Error("the altered file was touched")
	}
}

// TestAuditSuspicious signs nothing for more than 1 % before a second audit found the same.
func TestAuditSuspicious(t *testing.T) {
	t.Parallel()
	for name, decide := range map[string]func(n *Night){"a second audit": func(*Night) {}, "a person": func(n *Night) { n.AcceptLosses() }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, names := moving(t, "", 100)
			m.disk.Remove(names[0])
			m.disk.Remove(names[1])
			want := map[audit.Class][]string{audit.Missing: sorted(names[:2])}
			m.at("memory", func(ctx context.Context, n *Night) {
				m.audit(ctx, n, listed).want(t, "first", audit.Suspicious, 0, want)
				m.wantConfirmed("after the first audit", 100)
				if name == "a person" {
					m.disk.Plant(names[0], contentOf(names[0])) // another audit finds something else
					want[audit.Missing] = names[1:2]
				}
				decide(n)
				m.audit(ctx, n, listed).want(t, "second", audit.Complete, int64(len(want[audit.Missing])), want)
			})
		})
	}
}

// TestAuditUnreachable finds nothing lost where the destination goes away in the middle, and goes on when it is back.
func TestAuditUnreachable(t *testing.T) {
	t.Parallel()
	m, names := moving(t, "", 2500)
	m.disk.Remove(names[0])
	opened := 0
	m.refuse = func(op desttest.Op, name string) error {
		if op != desttest.OpOpen {
			return nil
		}
		if opened++; opened > 2100 {
			return fmt.Errorf("the line broke: %w", dest.ErrUnreachable)
		}
		return nil
	}
	m.at("memory", func(ctx context.Context, n *Night) {
		a := m.audit(ctx, n, read)
		a.want(t, "cut", audit.Unreachable, 0, map[audit.Class][]string{audit.Missing: names[:1]})
		m.wantConfirmed("after the line broke", 2500)
		m.refuseFrom(func(op desttest.Op, name string) error {
			if op == desttest.OpOpen {
				opened++
			}
			return nil
		})
		opened = 0
		m.disk.Remove(names[2499])
		a = m.audit(ctx, n, read)
		a.want(t, "gone on with", audit.Complete, 2, map[audit.Class][]string{audit.Missing: sorted([]string{names[0], names[2499]})})
		if opened > 2500-auditItems+10 || a.Counts.Looked != 2500 || a.Counts.Present != 2498 {
			t.Errorf("%d files were read again, counts %+v", opened, a.Counts)
		}
	})
}

// TestAuditKilled goes on after a kill of the process where it was, with what it had found.
func TestAuditKilled(t *testing.T) {
	t.Parallel()
	m, names := moving(t, "", 2500)
	m.disk.Remove(names[0])
	m.at("memory", func(ctx context.Context, n *Night) {
		ctx, kill := context.WithCancel(ctx)
		_, err := auditWith(ctx, n, AuditRequest{Options: read, Watch: func(c audit.Counts) {
			if c.Looked > 0 {
				kill()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("killed: %v", err)
		}
	})
	opened := 0
	m.refuse = func(op desttest.Op, name string) error {
		if op == desttest.OpOpen {
			opened++
		}
		return nil
	}
	m.at("memory", func(ctx context.Context, n *Night) {
		m.audit(ctx, n, read).want(t, "gone on with", audit.Complete, 1, map[audit.Class][]string{audit.Missing: names[:1]})
	})
	if most := 2500 - auditItems + 10; opened > most {
		t.Errorf("%d files were read by the next process, want at most %d", opened, most)
	}
}

// TestAuditRate reads nothing that is not paid for: a limiter that gives no more than what it holds ends the audit there.
func TestAuditRate(t *testing.T) {
	t.Parallel()
	m, names := moving(t, "", 400)
	var all int64
	for _, name := range names {
		all += int64(len(contentOf(name)))
	}
	var opened int64
	m.refuse = func(op desttest.Op, name string) error {
		if op == desttest.OpOpen {
			opened += int64(len(contentOf(name)))
		}
		return nil
	}
	m.at("memory", func(ctx context.Context, n *Night) {
		ctx, cancel := context.WithTimeout(ctx, time.Hour) // sooner than the limiter would give anything more
		defer cancel()
		_, err := auditWith(ctx, n, AuditRequest{Options: read, Limiter: rate.NewLimiter(1e-6, int(all/4))})
		if err == nil || opened > all/4 || opened == 0 {
			t.Errorf("%d bytes were read of %d paid for, %v", opened, all/4, err)
		}
	})
}

// TestAuditSample looks at about as many as it should, and at the same ones again.
func TestAuditSample(t *testing.T) {
	t.Parallel()
	m, _ := moving(t, "", 1000)
	m.at("memory", func(ctx context.Context, n *Night) {
		one := m.audit(ctx, n, audit.Options{Level: audit.Read, Percent: 10, Seed: "x"})
		two := m.audit(ctx, n, audit.Options{Level: audit.Read, Percent: 10, Seed: "x"})
		if one.Counts != two.Counts || one.Counts.Looked < 50 || one.Counts.Looked > 200 || one.Counts.Looked != one.Counts.Wanted {
			t.Errorf("a tenth of 1000: %+v, then %+v", one.Counts, two.Counts)
		}
	})
}

// TestAuditWentBack names a destination that is an older copy of itself.
func TestAuditWentBack(t *testing.T) {
	t.Parallel()
	m, _ := moving(t, "", 200)
	older := m.disk.Snapshot()
	m.peer.seal([]string{"late.gsm"}, func(string) []byte { return []byte("late") })
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Fatal(outcome.Err)
	}
	m.disk = older
	m.at("memory", func(ctx context.Context, n *Night) {
		a := m.audit(ctx, n, read)
		a.want(t, "of an older copy", audit.Complete, 1, map[audit.Class][]string{audit.Missing: {"late.gsm"}})
		if !a.WentBack || a.IsWell() {
			t.Errorf("it is not named as an older copy: %+v", a.Report)
		}
	})
}

// TestAuditRetention takes what is absent and older than the client keeps as released, and nothing else.
func TestAuditRetention(t *testing.T) {
	t.Parallel()
	m, names := moving(t, "", 200)
	m.retain = 30
	for _, name := range names[:50] {
		m.disk.Remove(name)
	}
	m.disk.Plant(names[60], []byte("altered"))
	m.at("memory", func(ctx context.Context, n *Night) {
		m.audit(ctx, n, read).want(t, "after the retention", audit.Complete, 1, map[audit.Class][]string{
			audit.Released: sorted(names[:50]), audit.Altered: names[60:61],
		})
	})
	total, err := m.peer.log.Total()
	if err != nil || total[backup.Released] != 50 || total[backup.Confirmed] != 149 {
		t.Errorf("the server says %v, %v", total, err)
	}
}

// TestRelease signs for the nights that are chosen and no others, once, and deletes nothing.
func TestRelease(t *testing.T) {
	t.Parallel()
	m, names := moving(t, "", 20)
	late := m.peer.seal([]string{"late.gsm"}, func(string) []byte { return []byte("late") })
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Fatal(outcome.Err)
	}
	var night backup.Date
	m.peer.log.View(func(log *ledger.Log) { sealed, _ := log.Manifest(late); night = sealed.Night })
	m.at("memory", func(ctx context.Context, n *Night) {
		released, err := n.Release(ctx, Release{Night: night})
		if want := (Released{Items: 1, Bytes: 4, First: night, Last: night}); err != nil || released != want {
			t.Errorf("of one night: %+v, %v, want %+v", released, err, want)
		}
		if released, err := n.Release(ctx, Release{Night: night}); err != nil || released != (Released{}) {
			t.Errorf("again: %+v, %v, want nothing", released, err)
		}
		if released, err := n.Release(ctx, Release{OlderThanDays: 1}); err != nil || released.Items != 20 {
			t.Errorf("of all before: %+v, %v", released, err)
		}
	})
	if total, err := m.peer.log.Total(); err != nil || total[backup.Released] != 21 {
		t.Errorf("the server says %v, %v", total, err)
	}
	for _, name := range append(names, "late.gsm") {
		if _, ok := m.disk.Contents(name); !ok || strings.HasPrefix(name, backup.OwnPrefix) {
			t.Errorf("%s is not there any more", name)
		}
	}
}
