package registry

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

const announcedLog = ledger.Origin("wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff")

// newAnnounced returns a registry with announcements of two nights.
func newAnnounced(t *testing.T) (*Registry, *Announcements, []Announcement) {
	t.Helper()
	r := open(t, t.TempDir())
	if err := r.CreateTenant(Tenant{Name: "acme", TimeZone: "America/Bogota"}); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 10, 17, 0, 0, 0, time.UTC)
	var announced []Announcement
	for i := range 600 { // more than one transaction
		a := Announcement{Interaction: fmt.Sprintf("call-%d", i/2), SourcePath: fmt.Sprintf("main/%d", i), SizeBytes: int64(i), RecordedAt: at, Night: backup.DateOf(at)}
		if i%3 == 0 {
			a.SHA256, a.HasSHA256, a.Kind = sha256.Sum256([]byte{byte(i)}), true, backup.KindMP3
		}
		if i%5 == 0 {
			a.RecordedAt = at.Add(24 * time.Hour)
			a.Night = backup.DateOf(a.RecordedAt)
		}
		announced = append(announced, a)
	}
	announced = append(announced, Announcement{Interaction: "none", NoRecording: "failed", SizeBytes: -1, RecordedAt: at, Night: backup.DateOf(at)})
	a := r.Announcements()
	verdicts, err := a.Register("acme", announced, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, verdict := range verdicts {
		if verdict != VerdictAccepted {
			t.Fatalf("%+v is answered %d", announced[i], verdict)
		}
	}
	return r, a, announced
}

// everything returns what is kept for a night.
func everything(t *testing.T, a *Announcements, night backup.Date) (all []Announcement, marks int) {
	t.Helper()
	err := a.EachInteraction("acme", night, announcedLog, func(i Interaction) error {
		all = append(all, i.Announced...)
		if i.Mark != nil {
			marks++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, marks
}

func TestAnnouncementsAreKept(t *testing.T) {
	t.Parallel()
	_, a, announced := newAnnounced(t)
	nights, err := a.Nights("acme")
	if err != nil || len(nights) != 2 || nights[0].Count+nights[1].Count != int64(len(announced)) {
		t.Fatalf("the nights are %+v, %v", nights, err)
	}
	kept := map[Announcement]bool{}
	for _, night := range nights {
		all, _ := everything(t, a, night.Night)
		for _, one := range all {
			kept[one] = true
		}
		if int64(len(all)) != night.Count {
			t.Errorf("the night %s has %d announcements, and counts %d", night.Night, len(all), night.Count)
		}
	}
	for _, one := range announced {
		if !kept[one] {
			t.Errorf("%+v is not kept", one)
		}
		if one.SourcePath == "" {
			continue
		}
		if got, found, err := a.Recording("acme", one.SourcePath); err != nil || !found || got != one {
			t.Errorf("of %s was announced %+v, %v, %v", one.SourcePath, got, found, err)
		}
	}
	if _, found, err := a.Recording("acme", "main/other"); err != nil || found {
		t.Errorf("something was announced of another path: %v", err)
	}
	if nights, err := a.Nights("acm"); err != nil || len(nights) != 0 {
		t.Errorf("another tenant has %v, %v", nights, err)
	}
}

func TestInteractionsByPage(t *testing.T) {
	t.Parallel()
	_, a, _ := newAnnounced(t)
	night := backup.Date{Year: 2026, Month: 3, Day: 10}
	if err := a.PutCounted("acme", night, announcedLog, []Counted{{"none", "failed"}}, Mark{Manifest: 1}); err != nil {
		t.Fatal(err)
	}
	var all []Interaction
	if err := a.EachInteraction("acme", night, announcedLog, func(i Interaction) error { all = append(all, i); return nil }); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{1, 7, len(all), 1000} {
		var paged []Interaction
		for after := ""; ; after = paged[len(paged)-1].ID {
			page, err := a.InteractionsAfter("acme", night, announcedLog, after, limit)
			if err != nil {
				t.Fatal(err)
			}
			if paged = append(paged, page...); len(page) < limit {
				break
			}
		}
		if diff := cmp.Diff(all, paged); diff != "" {
			t.Errorf("in pages of %d (-want +got):\n%s", limit, diff)
		}
	}
}

func TestCountedIsTakenBack(t *testing.T) {
	t.Parallel()
	_, a, _ := newAnnounced(t)
	night := backup.Date{Year: 2026, Month: 3, Day: 10}
	for manifest := int64(1); manifest <= 2; manifest++ {
		if err := a.PutCounted("acme", night, announcedLog, []Counted{{fmt.Sprintf("call-%d", manifest), ""}, {"none", "failed"}}, Mark{Manifest: manifest}); err != nil {
			t.Fatal(err)
		}
	}
	if _, marks := everything(t, a, night); marks != 3 {
		t.Errorf("%d interactions are counted, want 3", marks)
	}
	reasons := map[string]int{}
	if err := a.EachMark("acme", night, announcedLog, func(m Mark) { reasons[m.Reason]++ }); err != nil || reasons[""] != 2 || reasons["failed"] != 1 {
		t.Errorf("the marks are %v, %v", reasons, err)
	}
	if err := a.DeleteCounted("acme", announcedLog, 2); err != nil {
		t.Fatal(err)
	}
	if _, marks := everything(t, a, night); marks != 1 {
		t.Errorf("%d interactions are counted after taking back, want 1", marks)
	}
	kept := AnnouncedNight{Night: night, Count: 1, Generation: 7}
	if err := a.SetDone("acme", announcedLog, kept); err != nil {
		t.Fatal(err)
	}
	if got, err := a.Done("acme", night, announcedLog); err != nil || got != 7 {
		t.Errorf("done is %d, %v", got, err)
	}
	if err := a.ForgetDone("acme", announcedLog); err != nil {
		t.Fatal(err)
	}
	if got, err := a.Done("acme", night, announcedLog); err != nil || got != 0 {
		t.Errorf("done is %d, %v, after it was forgotten", got, err)
	}
}

// What is pruned leaves nothing but the nights that stay; announcements are in no snapshot.
func TestPrune(t *testing.T) {
	t.Parallel()
	r, a, _ := newAnnounced(t)
	first, second := backup.Date{Year: 2026, Month: 3, Day: 10}, backup.Date{Year: 2026, Month: 3, Day: 11}
	if err := a.PutCounted("acme", first, announcedLog, []Counted{{"none", "failed"}}, Mark{Manifest: 1}); err != nil {
		t.Fatal(err)
	}
	before, _ := everything(t, a, second)
	if err := a.Prune("acme", second); err != nil {
		t.Fatal(err)
	}
	nights, err := a.Nights("acme")
	if err != nil || len(nights) != 1 || nights[0].Night != second {
		t.Errorf("the nights are %v, %v", nights, err)
	}
	after, _ := everything(t, a, second)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the other night: %s", diff)
	}
	if left, marks := everything(t, a, first); len(left) != 0 || marks != 0 {
		t.Errorf("%d announcements and %d marks are left", len(left), marks)
	}
	_, err = r.Snapshot(func(key, _ []byte) error {
		if key[0] == announcedTable {
			t.Errorf("the snapshot has %q", key)
		}
		return nil
	})
	if err == nil {
		err = a.Prune("acme", second.AddDays(1))
	}
	if err != nil {
		t.Fatal(err)
	}
	keys := 0
	if err := r.db.View(func(txn *badger.Txn) error {
		return eachOf(txn, []byte{announcedTable}, func(string, []byte) error { keys++; return nil })
	}); err != nil || keys != 0 {
		t.Errorf("%d keys are left of what was pruned, %v", keys, err)
	}
}

// FuzzAnnouncements reads what is kept of an interaction, of a night, and where an interaction was counted.
func FuzzAnnouncements(f *testing.F) {
	night := backup.Date{Year: 2026, Month: 3, Day: 10}
	at := time.Unix(1e9, 0).UTC()
	f.Add(appendAnnouncements(nil, []Announcement{{RecordedAt: at, Night: night, SizeBytes: -1, SourcePath: "main/a"}, {RecordedAt: at, Night: night, HasSHA256: true, SourcePath: "main/b", Kind: 1}}))
	f.Add(appendAnnouncements(nil, []Announcement{{RecordedAt: at, Night: night, NoRecording: "failed"}}))
	f.Add(appendMark(nil, Mark{Manifest: 3, Root: [8]byte{1}, Reason: "failed"}))
	f.Add(appendAnnouncedNight(nil, AnnouncedNight{Count: 2, Generation: 3}))
	f.Fuzz(func(t *testing.T, value []byte) {
		if all, err := parseAnnouncements("call", value); err == nil {
			again, err := parseAnnouncements("call", appendAnnouncements(nil, all))
			if diff := cmp.Diff(all, again); err != nil || diff != "" {
				t.Errorf("%x is read again as another: %v\n%s", value, err, diff)
			}
		}
		if m, err := parseMark(value); err == nil {
			if again, err := parseMark(appendMark(nil, m)); err != nil || again != m {
				t.Errorf("%x is read as %+v and again as %+v, %v", value, m, again, err)
			}
		}
		if n, err := parseAnnouncedNight(night, value); err == nil {
			if again, err := parseAnnouncedNight(night, appendAnnouncedNight(nil, n)); err != nil || again != n || bytes.Equal(value, nil) {
				t.Errorf("%x is read as %+v and again as %+v, %v", value, n, again, err)
			}
		}
	})
}
