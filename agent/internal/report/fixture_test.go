package report

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/wolkvox/backup"
)

func day(n int) backup.Date { return backup.Date{Year: 2026, Month: time.October, Day: 1}.AddDays(n) }

func bogota(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("America/Bogota")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// month is a report of a month in which everything happens.
func month(t testing.TB) Report {
	t.Helper()
	r := Report{
		Destination: "nas", Location: "/srv/recordings", Origin: "wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff",
		From: day(0), To: day(30), Zone: bogota(t), Made: time.Date(2026, 11, 1, 15, 4, 0, 0, time.UTC), AgreedSize: 1234, AgreedRoot: make([]byte, 32),
	}
	for i := range 31 {
		n := Night{Date: day(i), Standing: Sealed, Manifests: 1, Interactions: new(int64(700 + 11*i)), Unrecorded: []Reason{{"abandoned", int64(i)}, {"not-answered", 2}}}
		items := int64(600 + 37*i%290)
		n.States[backup.Confirmed] = Amount{items, items * 151_234, time.Duration(items) * 92 * time.Second, 0}
		switch {
		case i%7 == 3:
			n = Night{Date: day(i), Standing: Empty, Manifests: 1, Interactions: new(int64(0))}
		case i == 12:
			n = Night{Date: day(i), Standing: NotSealed}
		case i == 30:
			n = Night{Date: day(i), Standing: NotDue}
		case i == 2:
			n.States[backup.Expired] = Amount{12, 1_814_808, 0, 12}
			n.Causes = []Cause{{backup.Expired, "capacity", "client", "ENOSPC", "The destination /srv/recordings has no room left; make room there.", 10}, {State: backup.Expired, Items: 2}}
			n.States[backup.Waived], n.States[backup.Released], n.States[backup.Forgotten] = Amount{Items: 3}, Amount{Items: 20, Bytes: 3_000_000}, Amount{Items: 1}
		case i == 20:
			n.States[backup.Withdrawn], n.Replaced = Amount{Items: 4, Bytes: 600_000}, 4
		case i >= 28:
			n.States[backup.Pending] = Amount{86, 13_006_124, time.Hour, 40}
			n.Deadline = time.Date(2026, 11, 14, 5, 0, 0, 0, time.UTC).AddDate(0, 0, i-28)
			n.Causes = []Cause{{backup.Pending, "network", "network", "ETIMEDOUT", "nas.example did not answer in time; look at the network between them.", 86}}
		}
		r.Nights = append(r.Nights, n)
	}
	return r
}

// files are recordings with names that try everything.
func files(errAtEnd error) func(yield func(File, error) bool) {
	names := []string{"calls/2026/10/03/10-15-22 venta & soporte <1>.gsm", "=HYPERLINK(\"http://evil.example\")", "+1 555 0100.gsm", "-1.gsm", "@cmd.gsm",
		"conversación ñandú, con \"comillas\".mp3", "日本語.mp3", "a</td></tr></table><script>alert(1)</script>.gsm", fmt.Sprintf("%0180d.gsm", 7)}
	all := make([]File, 0, len(names)+1)
	for i, name := range names {
		all = append(all, File{Night: day(2), Manifest: 3, Index: int64(i), State: backup.Confirmed, Sound: time.Duration(i) * 1000 * time.Second, Item: backup.Item{
			Path: name, Kind: backup.KindGSM, Digest: backup.Digest{SHA256: sha256.Sum256([]byte(name)), SizeBytes: int64(i) * 1650}, Interaction: "=1+1",
			RecordedAt: time.Date(2026, 10, 3, 15, 15, i, 0, time.UTC)}})
	}
	all[1].State, all[1].Sound = backup.Expired, -1
	all[1].Cause = Cause{backup.Expired, "capacity", "client", "ENOSPC", "no room left", 1}
	all[2].State, all[2].Deadline = backup.Pending, time.Date(2026, 11, 14, 5, 0, 0, 0, time.UTC)
	all = append(all, File{Night: day(2), Manifest: 3, Index: int64(len(names)), State: backup.Forgotten, Sound: -1})
	return func(yield func(File, error) bool) {
		for f := range slices.Values(all) {
			if !yield(f, nil) {
				return
			}
		}
		if errAtEnd != nil {
			yield(File{}, errAtEnd)
		}
	}
}
