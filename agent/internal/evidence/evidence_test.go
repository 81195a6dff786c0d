package evidence_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup/agent/internal/evidence"
)

func TestNights(t *testing.T) {
	t.Parallel()
	f, out := newFixture(t), newFiles(t)
	write := func(since int64) int64 {
		t.Helper()
		size, err := evidence.NewWriter(f.log, out).Write(t.Context(), since)
		if err != nil {
			t.Fatal(err)
		}
		if size > 0 {
			out.checkText(f.log)
		}
		return size
	}
	if size := write(0); size != 0 || len(out.all()) > 0 {
		t.Errorf("before anything is agreed: %d, %q", size, out.all())
	}
	f.seal(20, "a.gsm", "ñ b.gsm")
	f.seal(21, "c.gsm")
	f.delivered(1, "0")
	at5 := write(agreed(t, f, 5))
	if recordings, _ := out.sums(20, 5); recordings != nil {
		t.Errorf("a night with something pending has sums of %q", recordings)
	}
	f.delivered(1, "1")
	f.delivered(2, "0")
	agreed(t, f, 7)
	at7 := write(at5)
	recordings, own := out.sums(20, 7)
	wantList(t, "night 20", recordings, "a.gsm", "ñ b.gsm")
	wantList(t, "night 20's evidence", own, "manifests/1/0000000000.txt", "ledger/0000000005.txt", "heads/0000000007.txt")
	recordings, _ = out.sums(21, 7)
	wantList(t, "night 21", recordings, "c.gsm")

	f.lost(1, "0") // pending again: what was written stays
	at8 := write(agreedFrom(t, f, at7))
	f.delivered(1, "0") // as it was before
	agreed(t, f, 9)
	at9 := write(at8)
	if recordings, _ := out.sums(20, 8); recordings != nil {
		t.Errorf("an unsettled night has sums of %q", recordings)
	}
	recordings, own = out.sums(20, 9)
	wantList(t, "night 20 after a repair", recordings, "a.gsm", "ñ b.gsm")
	wantList(t, "its evidence", own, "manifests/1/0000000000.txt", "ledger/0000000008.txt", "heads/0000000009.txt")
	if _, own := out.sums(21, 9); own != nil {
		t.Error("night 21 has sums, though nothing is new about it")
	}
	before := out.count
	if write(at9); out.count != before {
		t.Error("what is written is written again")
	}
	// Somebody who does not know how far it came compares, and adds nothing that is there.
	f.seal(22)
	agreed(t, f, 10)
	write(0)
	if recordings, own := out.sums(22, 10); recordings != nil || len(own) == 0 {
		t.Errorf("a night without recordings has sums of %q and %q", recordings, own)
	}
}

// TestGone writes all of it anew where the head that it reached is not there: at another place, or after somebody deleted it.
func TestGone(t *testing.T) {
	t.Parallel()
	f, first := newFixture(t), newFiles(t)
	f.seal(20, "a.gsm")
	f.delivered(1, "0")
	f.agree()
	since, err := evidence.NewWriter(f.log, first).Write(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	f.seal(21, "b.gsm")
	f.delivered(2, "0")
	f.agree()
	other := newFiles(t)
	if size, err := evidence.NewWriter(f.log, other).Write(t.Context(), since); err != nil || size != 6 {
		t.Errorf("at another place: %d, %v", size, err)
	}
	other.checkText(f.log)
	for day, want := range map[int]string{20: "a.gsm", 21: "b.gsm"} {
		recordings, _ := other.sums(day, 6)
		wantList(t, fmt.Sprintf("night %d", day), recordings, want)
	}
}

// agreed agrees at a size that must be the log's, and returns 0: where a first writer begins.
func agreed(t testing.TB, f *fixture, size int64) int64 {
	t.Helper()
	if got := f.agree(); got != size {
		t.Fatalf("the log has %d entries, want %d", got, size)
	}
	return 0
}

func agreedFrom(t testing.TB, f *fixture, since int64) int64 {
	t.Helper()
	f.agree()
	return since
}

// TestCrash lets the power go at every write, before and after it, and what is there at the end is always whole, and was never
// written twice. The log grows between.
func TestCrash(t *testing.T) {
	t.Parallel()
	for fail := 1; ; fail++ {
		met := false
		for _, done := range []bool{false, true} {
			f, out := newFixture(t), newFiles(t)
			out.fail, out.done = fail, done
			f.seal(20, many(9000)...)
			f.delivered(1, "0-8999")
			f.agree()
			_, err := evidence.NewWriter(f.log, out).Write(t.Context(), 0)
			if met = errors.Is(err, errPower); !met && err != nil {
				t.Fatal(err)
			}
			out.fail = 0
			f.seal(21, "x.gsm")
			f.delivered(2, "0")
			f.agree()
			size, err := evidence.NewWriter(f.log, out).Write(t.Context(), 0)
			if err != nil || size != 6 {
				t.Fatalf("after write %d: %d, %v", fail, size, err)
			}
			out.checkText(f.log)
			recordings, _ := out.sums(20, 4)
			if _, ok := out.all()["heads/0000000004.txt"]; !ok {
				recordings, _ = out.sums(20, 6)
			}
			if len(recordings) != 9000 {
				t.Errorf("after write %d: night 20 lists %d recordings", fail, len(recordings))
			}
		}
		if !met {
			if fail < 6 {
				t.Errorf("only %d writes", fail-1)
			}
			return
		}
	}
}

func many(n int) []string {
	paths := make([]string, n)
	for i := range paths {
		paths[i] = fmt.Sprintf("2026/11/20/agent-%04d/%s_%06d.gsm", i/100, strings.Repeat("x", 60), i)
	}
	return paths
}

// TestForeign leaves what is there and is not what the log says.
func TestForeign(t *testing.T) {
	t.Parallel()
	for altered, since := range map[string]int64{"ledger/0000000000.txt": 0, "manifests/1/0000000000.txt": 0, "heads/0000000004.txt": 4} {
		f, out := newFixture(t), newFiles(t)
		f.seal(20, "a.gsm")
		f.delivered(1, "0")
		f.agree()
		if _, err := evidence.NewWriter(f.log, out).Write(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(out.all()[altered], "a", "b", 1)
		out.disk.SetOwn(string(name(altered)), []byte(text))
		f.seal(21, "b.gsm")
		f.agree()
		size, err := evidence.NewWriter(f.log, out).Write(t.Context(), since)
		if differs, ok := errors.AsType[*evidence.DiffersError](err); !ok || differs.Name != altered || size != since || out.all()[altered] != text {
			t.Errorf("with another %s: %d, %v", altered, size, err)
		}
	}
}

// TestKit has the month's nights, and what there is of others is left out.
func TestKit(t *testing.T) {
	t.Parallel()
	f, out := newFixture(t), newFiles(t)
	month := evidence.Month{Year: 2026, Month: time.November}
	if err := evidence.WriteKit(t.Context(), f.log, out, month); !errors.Is(err, evidence.ErrNothingAgreed) {
		t.Errorf("with nothing agreed: %v", err)
	}
	f.seal(20, "a.gsm", "b.gsm")
	f.delivered(1, "1")
	f.agree()
	f.delivered(1, "0") // not agreed
	if err := evidence.WriteKit(t.Context(), f.log, out, evidence.Month{Year: 2026, Month: time.October}); !errors.Is(err, evidence.ErrNoNight) {
		t.Errorf("of a month without nights: %v", err)
	}
	if err := evidence.WriteKit(t.Context(), f.log, out, month); err != nil {
		t.Fatal(err)
	}
	recordings, own := out.sums(20, 4)
	wantList(t, "the night", recordings, "b.gsm")
	wantList(t, "the night's evidence", own)
	want := fmt.Sprintf("wolkvox-backup evidence kit v1\norigin %s\nmonth 2026-11\nserver-fingerprint %s\nagent-fingerprint %s\n",
		origin, f.server.Verifier().Fingerprint(), f.agent.Verifier().Fingerprint())
	if got := out.all()["kit.txt"]; got != want {
		t.Errorf("kit.txt is %q, want %q", got, want)
	}
	wantList(t, "the kit", slices.Sorted(maps.Keys(out.all())), "heads/0000000004.txt", "kit.txt", "ledger/0000000000.txt",
		"manifests/1/0000000000.txt", "nights/2026-11-20/0000000004/SHA256SUMS")
}

func TestMonth(t *testing.T) {
	t.Parallel()
	if m, err := evidence.ParseMonth("2026-11"); err != nil || m.String() != "2026-11" {
		t.Errorf("2026-11 is %v, %v", m, err)
	}
	for _, bad := range []string{"", "2026", "2026-13", "2026-1", "2026-11-01", "26-11"} {
		if m, err := evidence.ParseMonth(bad); err == nil {
			t.Errorf("%q is %v", bad, m)
		}
	}
}
