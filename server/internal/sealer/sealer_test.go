package sealer_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/sequencer"
	"github.com/wolkvox/backup/server/internal/servertest"
	"github.com/wolkvox/backup/server/internal/source"
)

const bogota = "America/Bogota"

// noon is midday in Bogota on 10 March 2026.
var noon = time.Date(2026, 3, 10, 17, 0, 0, 0, time.UTC)

// describe lists the manifests of a log: number, night, and each item's path, size and state.
func describe(t *testing.T, seq *sequencer.Sequencer) []string {
	t.Helper()
	var lines []string
	for number := int64(1); number <= seq.Last(); number++ {
		m, _ := seq.Manifest(number)
		var line strings.Builder
		fmt.Fprintf(&line, "%d %s", number, m.Night)
		index := int64(0)
		for item, err := range seq.Ledger().Lines(number, 0) {
			if err != nil {
				t.Fatal(err)
			}
			state, err := seq.Ledger().StateOf(number, index)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&line, " %s:%d:%s", item.Item.Path, item.Item.Digest.SizeBytes, state)
			index++
		}
		lines = append(lines, line.String())
	}
	return lines
}

func check(t *testing.T, seq *sequencer.Sequencer, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, describe(t, seq)); diff != "" {
		t.Fatalf("manifests (-want +got):\n%s", diff)
	}
}

func confirm(t *testing.T, s *servertest.Server, key *ledger.SigningKey, receipt ledger.Receipt) {
	t.Helper()
	m, _ := s.Sequencer().Manifest(receipt.Manifest)
	receipt.Root = m.Root
	leaf, err := ledger.Sign(ledger.Entry{Origin: s.Origin, Time: noon, Body: ledger.Delivered{
		Receipt: receipt, Method: backup.ReadbackCached, Brought: ledger.BroughtAutomatic,
	}}, key)
	s.Must(err)
	session, err := s.Sequencer().OpenSession([16]byte{1})
	s.Must(err)
	verdicts, err := s.Sequencer().SubmitReceipts(t.Context(), session, [][]byte{leaf})
	s.Must(err)
	if verdicts[0] != sequencer.OK {
		t.Fatalf("verdict %d", verdicts[0])
	}
}

func TestSealOnDemand(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, bogota, backup.StorageRSYNC, noon)
	s.Write("b.gsm", "bb", noon.Add(-48*time.Hour))
	s.Write("x/a.mp3", "a", noon.Add(-time.Hour))
	s.Write("x/A.mp3", "AAA", noon.Add(-time.Hour))
	s.Write("new.gsm", "n", noon.Add(-10*time.Second))
	first, err := s.Sealer.Look(t.Context(), servertest.Tenant, "", false, noon.Add(-time.Second))
	s.Must(err)
	if first[0].UnsettledCount != 4 || len(first[0].Sealed) != 0 {
		t.Fatalf("the first look: %+v", first)
	}
	second, err := s.Sealer.Look(t.Context(), servertest.Tenant, "", false, noon)
	s.Must(err)
	if diff := cmp.Diff([]int64{1, 2}, second[0].Sealed); diff != "" || second[0].UnsettledCount != 1 || !second[0].Complete {
		t.Fatalf("the second look: %+v", second)
	}
	check(t, s.Sequencer(), "1 2026-03-08 main/b.gsm:2:pending", "2 2026-03-10 main/x/A.mp3:3:pending main/x/a~2.mp3:1:pending")
	s.Restart()
	s.Look(false, noon.Add(time.Hour))
	check(t, s.Sequencer(), "1 2026-03-08 main/b.gsm:2:pending", "2 2026-03-10 main/x/A.mp3:3:pending main/x/a~2.mp3:1:pending",
		"3 2026-03-10 main/new.gsm:1:pending")
	m, _ := s.Sequencer().Manifest(1)
	if want := time.Date(2026, 3, 26, 5, 0, 0, 0, time.UTC); !m.Deadline.Equal(want) {
		t.Errorf("sealed late, the deadline is %v, want %v", m.Deadline, want)
	}
}

// What differs only by case, by Unicode form, or as a file from a folder, gets another name, also later and after a restart.
func TestNamesStayDistinct(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, bogota, backup.StorageRSYNC, noon)
	s.Write("folder/x.gsm", "1", noon.Add(-time.Hour))
	s.Write("caf\u00e9.gsm", "2", noon.Add(-time.Hour))
	s.Write("a:b/CON", "3", noon.Add(-time.Hour))
	s.Look(false, noon)
	s.Restart()
	s.Write("FOLDER", "4", noon)
	s.Write("cafe\u0301.gsm", "5", noon)
	s.Write("A:B", "6", noon)
	s.Look(false, noon.Add(time.Hour))
	check(t, s.Sequencer(), "1 2026-03-10 main/a%3ab/%43ON:1:pending main/caf\u00e9.gsm:1:pending main/folder/x.gsm:1:pending",
		"2 2026-03-10 main/A%3aB~2:1:pending main/FOLDER~2:1:pending main/cafe\u0301~2.gsm:1:pending")
	line, err := s.Sequencer().Ledger().Line(1, 0)
	s.Must(err)
	if want := "main/a:b/CON"; line.Item.SourcePath != want {
		t.Errorf("source path %q, want %q", line.Item.SourcePath, want)
	}
}

func TestSeveralDestinationsAndSources(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, bogota, backup.StorageRSYNC, noon)
	other := t.TempDir()
	s.AddSource("chats", other)
	s.Write("a.gsm", "a", noon.Add(-time.Hour))
	if err := os.WriteFile(filepath.Join(other, "a.gsm"), []byte("chat"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Must(os.Chtimes(filepath.Join(other, "a.gsm"), noon.Add(-time.Hour), noon.Add(-time.Hour)))
	s.Look(false, noon)
	cloud := s.AddDestination("cloud", backup.StorageS3)
	s.Look(false, noon.Add(time.Hour))
	want := "1 2026-03-10 chats/a.gsm:4:pending main/a.gsm:1:pending"
	check(t, s.Sequencer(), want)
	seq, _ := s.Sequencers.Of(cloud)
	check(t, seq, want)
}

func TestScheduled(t *testing.T) {
	t.Parallel()
	created := noon.Add(-72 * time.Hour) // on the 7th
	s := servertest.New(t, bogota, backup.StorageRSYNC, created)
	s.Write("old.gsm", "1", noon.Add(-20*24*time.Hour))
	s.Write("b.gsm", "22", noon.Add(-24*time.Hour))
	s.Write("today.gsm", "333", noon.Add(-time.Hour))
	s.Look(true, noon)
	// The first look knows that nothing is left of the 7th and the 8th, and does not know yet what is finished.
	want := []string{"1 2026-03-07", "2 2026-03-08", "3 2026-02-18 main/old.gsm:1:pending", "4 2026-03-09 main/b.gsm:2:pending"}
	check(t, s.Sequencer(), want...)
	s.Look(true, noon.Add(time.Hour))
	check(t, s.Sequencer(), want...)
	s.Look(true, noon.Add(24*time.Hour))
	check(t, s.Sequencer(), append(want, "5 2026-03-10 main/today.gsm:3:pending")...)
}

func TestNoEmptyNightWithoutProof(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, bogota, backup.StorageRSYNC, noon.Add(-24*time.Hour))
	marker := filepath.Join(s.Directory, source.MarkerName)
	text, err := os.ReadFile(marker)
	s.Must(err)
	s.Must(os.Remove(marker))
	if _, err := s.Sealer.Look(t.Context(), servertest.Tenant, "", true, noon); !errors.Is(err, source.ErrUnreachable) {
		t.Fatalf("an unmounted source: %v", err)
	}
	check(t, s.Sequencer(), []string(nil)...)
	s.Must(os.WriteFile(marker, text, 0o600))
	s.Look(true, noon)
	check(t, s.Sequencer(), "1 2026-03-09")

	// One of two sources is away: what the other has is sealed, and nothing is said of the rest.
	second := t.TempDir()
	s.AddSource("second", second)
	s.Must(os.Remove(filepath.Join(second, source.MarkerName)))
	s.Write("a.gsm", "a", noon)
	results := s.Look(true, noon.Add(48*time.Hour))
	check(t, s.Sequencer(), "1 2026-03-09", "2 2026-03-10 main/a.gsm:1:pending")
	if results[0].Complete || len(results[0].Problems) != 1 {
		t.Errorf("results %+v", results)
	}
	// A file that is still being written keeps its night from being called empty.
	s.Must(os.Remove(filepath.Join(s.Directory, "a.gsm")))
	s.Must(os.RemoveAll(second))
	s.Must(os.MkdirAll(second, 0o700))
	if _, err := s.Sealer.Look(t.Context(), servertest.Tenant, "", true, noon.Add(72*time.Hour)); err != nil {
		t.Fatal(err)
	}
	check(t, s.Sequencer(), "1 2026-03-09", "2 2026-03-10 main/a.gsm:1:pending")
}

func TestNoEmptyNightWhileWriting(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, bogota, backup.StorageRSYNC, noon.Add(-24*time.Hour))
	midnight := time.Date(2026, 3, 10, 5, 0, 0, 0, time.UTC)
	s.Write("late.gsm", "l", midnight.Add(-time.Second))
	_, err := s.Sealer.Look(t.Context(), servertest.Tenant, "", true, midnight.Add(30*time.Second))
	s.Must(err)
	check(t, s.Sequencer(), []string(nil)...)
	_, err = s.Sealer.Look(t.Context(), servertest.Tenant, "", true, midnight.Add(90*time.Second))
	s.Must(err)
	check(t, s.Sequencer(), "1 2026-03-09 main/late.gsm:1:pending")
}

func TestChangedAfterSealing(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, bogota, backup.StorageRSYNC, noon)
	key := s.Enroll()
	for _, name := range []string{"confirmed.gsm", "pending.gsm", "same.gsm"} {
		s.Write(name, "before", noon.Add(-48*time.Hour))
	}
	s.Look(false, noon)
	confirm(t, s, key, ledger.Receipt{Manifest: 1, Number: 1, Indexes: ledger.NewSet(ledger.Range{First: 0, Last: 0})})
	s.Write("confirmed.gsm", "after", noon.Add(time.Hour))
	s.Write("pending.gsm", "afterwards", noon.Add(time.Hour))
	s.Write("same.gsm", "before", noon.Add(time.Hour))
	s.Look(false, noon.Add(2*time.Hour))
	want := []string{
		"1 2026-03-08 main/confirmed.gsm:6:confirmed main/pending.gsm:6:withdrawn main/same.gsm:6:pending",
		"2 2026-03-08 main/pending~2.gsm:10:pending",
		"3 2026-03-10 main/confirmed~2.gsm:5:pending",
	}
	check(t, s.Sequencer(), want...)
	s.Look(false, noon.Add(3*time.Hour))
	check(t, s.Sequencer(), want...)
}

func TestCheckSource(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, bogota, backup.StorageRSYNC, noon)
	for _, name := range []string{"changed.gsm", "equal.gsm", "gone.gsm", "writing.gsm", "unasked.gsm"} {
		s.Write(name, "before", noon.Add(-48*time.Hour))
	}
	s.Look(false, noon)
	s.Write("changed.gsm", "after", noon.Add(-time.Hour))
	s.Write("equal.gsm", "before", noon.Add(-time.Hour))
	s.Write("writing.gsm", "after", noon.Add(-time.Second))
	s.Must(os.Remove(filepath.Join(s.Directory, "gone.gsm")))
	s.Must(os.Remove(filepath.Join(s.Directory, "unasked.gsm")))
	asked := ledger.NewSet(ledger.Range{First: 0, Last: 2}, ledger.Range{First: 4, Last: 4})

	marker := filepath.Join(s.Directory, source.MarkerName)
	text, err := os.ReadFile(marker)
	s.Must(err)
	s.Must(os.Remove(marker))
	checked, err := s.Sealer.CheckSource(t.Context(), s.Origin, 1, asked, noon)
	if !errors.Is(err, source.ErrUnreachable) || !checked.Unknown.Equal(asked) {
		t.Fatalf("unmounted: %+v, %v", checked, err)
	}
	if s.Sequencer().Last() != 1 {
		t.Fatal("something was sealed")
	}
	s.Must(os.WriteFile(marker, text, 0o600))

	checked, err = s.Sealer.CheckSource(t.Context(), s.Origin, 1, asked, noon)
	s.Must(err)
	got := fmt.Sprintf("equal %s changed %s lost %s unsettled %s unknown %s", checked.Equal, checked.Changed, checked.Lost, checked.Unsettled, checked.Unknown)
	if want := "equal 1 changed 0 lost 2 unsettled 4 unknown "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	want := []string{
		"1 2026-03-08 main/changed.gsm:6:withdrawn main/equal.gsm:6:pending main/gone.gsm:6:withdrawn main/unasked.gsm:6:pending main/writing.gsm:6:pending",
		"2 2026-03-08 main/changed~2.gsm:5:pending",
	}
	check(t, s.Sequencer(), want...)
	s.Must(func() error { _, err := s.Sealer.CheckSource(t.Context(), s.Origin, 1, asked, noon); return err }())
	check(t, s.Sequencer(), want...)

	// What comes back after it was called lost is another item.
	s.Write("gone.gsm", "before", noon.Add(-48*time.Hour))
	s.Must(os.Remove(filepath.Join(s.Directory, "writing.gsm")))
	s.Look(false, noon.Add(time.Hour))
	check(t, s.Sequencer(), append(want, "3 2026-03-08 main/gone~2.gsm:6:pending")...)
}

// A crash at any commit of sealing a night with something new and something changed leaves a state from which the next
// attempt comes to the same items.
func TestCrashWhileSealing(t *testing.T) {
	t.Parallel()
	crash := errors.New("crash")
	for point := 0; ; point++ {
		s := servertest.New(t, bogota, backup.StorageRSYNC, noon)
		s.Write("changes.gsm", "before", noon.Add(-48*time.Hour))
		s.Look(false, noon)
		s.Write("changes.gsm", "afterwards", noon.Add(-47*time.Hour))
		s.Write("new/file.gsm", "new", noon.Add(-46*time.Hour))
		commits, crashed := 0, false
		s.Fault = func(string) (bool, error) {
			commits++
			if crashed = crashed || commits > point; crashed {
				return false, crash
			}
			return true, nil
		}
		_, err := s.Sealer.Look(t.Context(), servertest.Tenant, "", false, noon.Add(time.Hour))
		s.Must(err) // the first of two looks
		_, err = s.Sealer.Look(t.Context(), servertest.Tenant, "", false, noon.Add(2*time.Hour))
		if crashed != (err != nil) {
			t.Fatalf("point %d: crashed %v, error %v", point, crashed, err)
		}
		s.Fault = nil
		s.Restart()
		s.Look(false, noon.Add(3*time.Hour))
		items := strings.Join(describe(t, s.Sequencer()), " ")
		want := "1 2026-03-08 main/changes.gsm:6:withdrawn 2 2026-03-08 main/changes~2.gsm:10:pending 3 2026-03-08 main/new/file.gsm:3:pending"
		if items != want {
			t.Fatalf("after a crash at commit %d:\n%s, want\n%s", point, items, want)
		}
		if !crashed {
			if point < 4 {
				t.Fatalf("only %d commits were made to crash", point)
			}
			return
		}
	}
}
