package ledger

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
)

// newRand returns a random source whose seed is printed where the test fails.
func newRand(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// stateTable reads the table of proto/README.md, section 3.2: entry -> state -> state after it.
func stateTable(t testing.TB) map[string]map[backup.State]backup.State {
	text, err := os.ReadFile("../../proto/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "| entry \\ state |")
	if !ok {
		t.Fatal("proto/README.md has no table of states")
	}
	header, rows, _ := strings.Cut(rest, "\n")
	cells := func(line string) []string {
		parts := strings.Split(strings.Trim(line, "| "), "|")
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		return parts
	}
	columns := cells(header)
	table := map[string]map[backup.State]backup.State{}
	for line := range strings.Lines(rows) {
		row := cells(strings.TrimSpace(line))
		if len(row) != len(columns)+1 {
			break
		}
		if strings.HasPrefix(row[0], "-") {
			continue
		}
		table[row[0]] = map[backup.State]backup.State{}
		for i, column := range columns {
			from, err := backup.ParseState(column)
			if err != nil {
				t.Fatal(err)
			}
			table[row[0]][from] = from
			if row[i+1] != "–" {
				if table[row[0]][from], err = backup.ParseState(row[i+1]); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if len(table) != 10 {
		t.Fatalf("the table of states has %d rows, want 10", len(table))
	}
	return table
}

// tableRow returns the name of the table's row for an entry.
func tableRow(k Kind, open bool) string {
	switch {
	case k == KindLost && open:
		return "lost, manifest open"
	case k == KindLost:
		return "lost, manifest closed"
	case k < KindSealed || k == KindSealed || k == KindErased || k == KindRetired:
		return "erased, all others"
	}
	return k.String()
}

func TestNext(t *testing.T) {
	t.Parallel()
	table := stateTable(t)
	for k := KindGenesis; k <= KindRetired; k++ {
		for _, open := range []bool{true, false} {
			for _, s := range backup.States {
				if got, want := Next(k, open, s), table[tableRow(k, open)][s]; got != want {
					t.Errorf("Next(%s, %t, %s) = %s, want %s", k, open, s, got, want)
				}
			}
		}
	}
}

// naiveFold keeps one state per index and knows the table of proto/README.md only.
type naiveFold struct {
	table  map[string]map[backup.State]backup.State
	states map[int64][]backup.State
	open   map[int64]bool
}

func (f *naiveFold) apply(body Body) {
	number, _, ok := ManifestOf(body)
	if !ok {
		return
	}
	if sealed, ok := body.(Sealed); ok {
		f.open[number] = true
		f.states[number] = make([]backup.State, sealed.Items)
		for i := range f.states[number] {
			f.states[number][i] = backup.Pending
		}
		return
	}
	row := f.table[tableRow(body.Kind(), f.open[number])]
	set, some := IndexesOf(body)
	for i, s := range f.states[number] {
		if !some || set.Contains(int64(i)) {
			f.states[number][i] = row[s]
		}
	}
	switch body.Kind() {
	case KindClosed:
		f.open[number] = false
	case KindExtended:
		f.open[number] = true
	}
}

// check compares with the fold.
func (f *naiveFold) check(t *testing.T, fold *Fold) {
	t.Helper()
	var announced int64
	for n, states := range f.states {
		var counts Counts
		items := fold.States(n)
		for i, want := range states {
			if got, ok := items.Of(int64(i)); got != want || !ok {
				t.Fatalf("item %d of manifest %d is %s, want %s", i, n, got, want)
			}
			counts[want]++
		}
		if got := fold.Counts(n); got != counts {
			t.Fatalf("manifest %d counts %v, want %v", n, got, counts)
		}
		announced += int64(len(states))
	}
	if got := fold.Total().Sum(); got != announced {
		t.Fatalf("the states add up to %d, announced were %d", got, announced)
	}
}

// randomSet returns a set of at least one index below items.
func randomSet(r *rand.Rand, items int64) []Range {
	ranges := []Range{{r.Int64N(items), 0}}
	ranges[0].Last = ranges[0].First
	for range r.IntN(4) {
		first := r.Int64N(items)
		ranges = append(ranges, Range{first, first + r.Int64N(items-first)})
	}
	return ranges
}

// randomEntry adds one random valid entry.
func (b *builder) randomEntry(r *rand.Rand) {
	manifests := int64(len(b.fold.Manifests))
	switch pick := r.IntN(30); {
	case b.fold.Retired:
		b.rekey(fmt.Sprint("server ", r.Uint32()))
		return
	case b.agent == nil || pick == 0:
		b.assign(fmt.Sprint("agent ", r.IntN(3)))
		return
	case pick == 1:
		b.rekey(fmt.Sprint("server ", r.Uint32()))
		return
	case manifests == 0 || pick < 4:
		b.seal(testItems(fmt.Sprintf("m%03d", manifests), r.IntN(13))...)
		return
	case pick == 4 && r.IntN(20) == 0:
		b.add(Retired{RetiredEnded})
		return
	}
	n := 1 + r.Int64N(manifests)
	m := b.fold.Manifests[n-1]
	pick := r.IntN(14)
	switch {
	case pick == 0:
		if r.IntN(3) == 0 {
			b.add(Closed{n, m.Root, Counts{backup.Confirmed: r.Int64N(3)}})
		} else {
			b.close(n)
		}
		return
	case pick == 1:
		b.add(Extended{n, m.Root, m.Deadline.Add(time.Duration(1+r.IntN(1e6)) * time.Second), ExtendedCourtesy})
		return
	case m.Items == 0:
		return
	}
	ranges := randomSet(r, m.Items)
	receipt := b.receipt(n, ranges...)
	switch {
	case pick < 6:
		b.add(Delivered{receipt, backup.ReadbackUncached, BroughtAutomatic})
	case pick == 6:
		b.add(Withdrawn{n, m.Root, NewSet(ranges...), WithdrawnChanged, manifests + 1})
		b.seal(testItems(fmt.Sprintf("m%03d", manifests), r.IntN(5))...)
	case pick == 7:
		b.add(Withdrawn{n, m.Root, NewSet(ranges...), WithdrawnDamaged, 0})
	case pick == 8 && r.IntN(2) == 0:
		b.add(Forgotten{n, m.Root, NewSet(ranges...)})
	case pick == 9:
		b.add(Released{receipt, ReleasedCommand})
	case pick == 10:
		b.add(Waived{receipt, WaivedDeclined})
	case pick == 11:
		b.add(Erased{receipt, ErasedDeleted})
	default:
		b.add(Lost{receipt, LostMissing})
	}
}

// resumed returns the fold as it comes back from a record of plain data.
func resumed(t *testing.T, f *Fold) *Fold {
	t.Helper()
	record, err := json.Marshal(f.Log)
	if err != nil {
		t.Fatal(err)
	}
	c := NewFold()
	if err := json.Unmarshal(record, &c.Log); err != nil {
		t.Fatal(err)
	}
	c.Tree = f.Tree.Clone()
	for _, states := range f.Items {
		var copied ItemStates
		for s, set := range states {
			copied[s] = NewSet(set.Ranges()...)
		}
		c.Items = append(c.Items, copied)
	}
	return c
}

func TestFoldProperties(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	table := stateTable(t)
	for range 40 {
		b := newBuilder(t, testOrigin)
		for range 10 + r.IntN(90) {
			b.randomEntry(r)
		}
		f := NewFold()
		naive := &naiveFold{table, map[int64][]backup.State{}, map[int64]bool{}}
		var alarms []Alarm
		for i, leaf := range b.leaves {
			before := f.Clone()
			e, as, err := f.Append(leaf)
			if err != nil {
				t.Fatalf("entry %d: %v\n%s", i, err, leaf)
			}
			alarms = append(alarms, as...)
			naive.apply(e.Body)
			if _, _, err := f.Append(leaf); err == nil && e.Body.Kind().IsReceipt() {
				t.Fatalf("entry %d is a receipt and was taken twice", i)
			} else if err == nil {
				f = before // an entry of the server may say the same again
				if _, _, err := f.Append(leaf); err != nil {
					t.Fatal(err)
				}
			}
			switch r.IntN(4) {
			case 0:
				f = resumed(t, f)
			case 1:
				f = f.Clone()
			}
			naive.check(t, f)
		}
		if diff := cmp.Diff(b.fold, f); diff != "" {
			t.Fatalf("cut and resumed, the fold differs:\n%s", diff)
		}
		if diff := cmp.Diff(b.alarms, alarms); diff != "" {
			t.Fatalf("cut and resumed, the alarms differ:\n%s", diff)
		}
	}
}

// TestFoldIsCheap folds a million items in the most scattered sets that entries can carry.
func TestFoldIsCheap(t *testing.T) {
	t.Parallel()
	var states ItemStates
	states[backup.Pending] = NewSet(Range{0, 1e6 - 1})
	for first := int64(0); first < 1e6; first += 8192 {
		var ranges []Range
		for i := first; i < min(first+8192, 1e6); i += 2 {
			ranges = append(ranges, Range{i, i})
		}
		states.apply(KindDelivered, true, NewSet(ranges...))
	}
	want := Counts{backup.Pending: 500000, backup.Confirmed: 500000}
	if got := states.Counts(); got != want {
		t.Errorf("counts %v, want %v", got, want)
	}
}

func TestEntryIdentity(t *testing.T) {
	t.Parallel()
	b := basicLog(t)
	leaves := b.oneOfEach()
	leaves[KindGenesis] = b.leaves[0]
	for k := KindGenesis; k <= KindRetired; k++ {
		e, err := ParseEntry(leaves[k])
		if err != nil {
			t.Fatalf("%s: %v", k, err)
		}
		if e.Body.Kind() != k || k.IsReceipt() != strings.Contains(textOf(t, leaves[k]), "\nnumber ") {
			t.Errorf("%s was read as %s", k, e.Body.Kind())
		}
		keys := b.keysOf(e.Body)
		if k == KindRekeyed {
			keys = append(keys, testKey(t, string(testOrigin), "server other"))
		}
		again, err := Sign(e, keys...)
		if err != nil || string(again) != string(leaves[k]) {
			t.Errorf("%s: signing what was read gives (%v)\n%s\nwant\n%s", k, err, again, leaves[k])
		}
	}
}

// TestSignRefuses gives Sign entries that have no canonical text, or other keys than their kind asks for.
func TestSignRefuses(t *testing.T) {
	t.Parallel()
	b := basicLog(t)
	root, other := b.root(1), testKey(t, string(testOrigin), "server 2")
	request, err := SignRequest(testOrigin, b.agent)
	if err != nil {
		t.Fatal(err)
	}
	forged := request
	forged.AgentKey = testAgentKey(t, testOrigin, "agent 2").Verifier()
	server, agent := []*SigningKey{b.server}, []*SigningKey{b.agent}
	receipt := Receipt{1, root, 2, root, NewSet(Range{0, 0})}
	changed := func(change func(*Receipt)) Lost { r := receipt; change(&r); return Lost{r, LostMissing} }
	for i, c := range []struct {
		entry Entry
		keys  []*SigningKey
	}{
		{Entry{testOrigin, testTime, nil}, server},
		{Entry{testOrigin, testTime, Retired{RetiredEnded}}, nil},
		{Entry{testOrigin, testTime, Retired{RetiredEnded}}, agent},
		{Entry{testOrigin, testTime, Retired{RetiredEnded}}, []*SigningKey{b.server, other}},
		{Entry{testOrigin, testTime, Retired{"ended\norigin x"}}, server},
		{Entry{testOrigin, testTime, Retired{""}}, server},
		{Entry{testOrigin, testTime.Add(1), Retired{RetiredEnded}}, server},
		{Entry{testOrigin, time.Time{}, Retired{RetiredEnded}}, server},
		{Entry{testOrigin, testTime.AddDate(8000, 0, 0), Retired{RetiredEnded}}, server},
		{Entry{"wolkvox.com/backup/a/b/c", testTime, Retired{RetiredEnded}}, server},
		{Entry{testOrigin, testTime, Genesis{backup.StorageS3, 10, other.Verifier(), nil}}, server},
		{Entry{testOrigin, testTime, Genesis{0, 10, b.server.Verifier(), nil}}, server},
		{Entry{testOrigin, testTime, Rekeyed{b.server.Verifier(), other.Verifier()}}, []*SigningKey{other, b.server}},
		{Entry{testOrigin, testTime, Rekeyed{b.server.Verifier(), b.server.Verifier()}}, []*SigningKey{b.server, b.server}},
		{Entry{testOrigin, testTime, Assigned{forged}}, server},
		{Entry{testOrigin, testTime, Assigned{}}, server},
		{Entry{testOrigin, testTime, Closed{1, root, Counts{backup.Pending: 1}}}, server},
		{Entry{testOrigin, testTime, Closed{1, root, Counts{backup.Expired: -1}}}, server},
		{Entry{testOrigin, testTime, Forgotten{1, root, Set{}}}, server},
		{Entry{testOrigin, testTime, Forgotten{1, root, NewSet(Range{0, MaxItems})}}, server},
		{Entry{testOrigin, testTime, Withdrawn{1, root, NewSet(Range{0, 0}), WithdrawnName, -1}}, server},
		{Entry{testOrigin, testTime, Lost{receipt, LostMissing}}, server},
		{Entry{testOrigin, testTime, changed(func(r *Receipt) { r.Number = 1 })}, agent},
		{Entry{testOrigin, testTime, changed(func(r *Receipt) { r.Number = 0 })}, agent},
		{Entry{testOrigin, testTime, changed(func(r *Receipt) { r.Manifest = MaxDecimal + 1 })}, agent},
		{Entry{testOrigin, testTime, Delivered{receipt, "crc32c", BroughtAutomatic}}, agent},
		{Entry{testOrigin, testTime, Delivered{receipt, backup.ProviderSHA256Parts(0), BroughtAutomatic}}, agent},
	} {
		if leaf, err := Sign(c.entry, c.keys...); err == nil {
			t.Errorf("case %d: Sign(%+v) gives\n%s", i, c.entry, leaf)
		}
	}
}
