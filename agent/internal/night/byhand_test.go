package night

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// expiring has a night of so many recordings closed, of which nothing was copied, and returns their names.
func expiring(t *testing.T, items int) (*machine, []string) {
	t.Helper()
	m := newMachine(t, newPeer(t), "")
	names := recordings(items)
	m.peer.close(m.peer.seal(names, contentOf))
	return m, names
}

// close closes a manifest.
func (p *peer) close(manifest int64) {
	p.t.Helper()
	var root [32]byte
	p.log.View(func(log *ledger.Log) { m, _ := log.Manifest(manifest); root = m.Root })
	counts, err := p.log.Counts(manifest)
	check(p.t, err)
	counts[backup.Expired], counts[backup.Pending] = counts[backup.Expired]+counts[backup.Pending], 0
	p.append(ledger.Closed{Manifest: manifest, Root: root, Counts: counts})
}

// witness takes down what people are said to do.
type witness struct {
	mu    sync.Mutex
	items ledger.Set
}

func (w *witness) acts(_ int64, items ledger.Set) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.items = w.items.Union(items)
	return nil
}

// during runs the loop once the agent's log has what the peer's has.
func (m *machine) during(use func(ctx context.Context, n *Night)) {
	m.t.Helper()
	m.at("memory", func(ctx context.Context, n *Night) {
		check(m.t, n.Session.WaitSynced(ctx, n.Patience))
		use(ctx, n)
	})
	if size, root := m.peer.log.Position(); len(m.peer.wrong) > 0 || !m.agreedOn(size, root) {
		m.t.Errorf("%q; the log has %d entries, agreed is %s", m.peer.wrong, size, m.peer.log.Agreed())
	}
}

func (m *machine) agreedOn(size int64, root [32]byte) bool {
	head, _, err := ledger.ParseHead(m.peer.log.Agreed())
	return err == nil && head.Size == size && head.Root == root
}

func (m *machine) total(when string, confirmed, expired, waived int64) {
	m.t.Helper()
	total, err := m.peer.log.Total()
	check(m.t, err)
	if total[backup.Confirmed] != confirmed || total[backup.Expired] != expired || total[backup.Waived] != waived {
		m.t.Errorf("%s: %v, want %d confirmed, %d expired, %d waived", when, total, confirmed, expired, waived)
	}
}

// TestFetchAndWaive fetches one expired recording and declines another, and does neither to the rest.
func TestFetchAndWaive(t *testing.T) {
	t.Parallel()
	m, names := expiring(t, 5)
	m.during(func(ctx context.Context, n *Night) {
		var w witness
		chosen, unknown, err := n.Choose(Choice{Paths: []string{names[1], "no/such"}}, backup.Expired)
		if err != nil || chosen.Len() != 1 || !slices.Equal(unknown, []string{"no/such"}) {
			t.Fatalf("chosen %v, unknown %q, %v", chosen, unknown, err)
		}
		done, err := n.FetchExpired(ctx, chosen, w.acts)
		if err != nil || done.Err != nil || done.Confirmed.Len() != 1 || w.items.Len() != 1 {
			t.Fatalf("fetched: %+v, %v, written down %v", done, err, w.items)
		}
		m.total("after fetching", 1, 4, 0)
		m.disk.Plant(names[4], []byte("somebody else's"))
		chosen, _, err = n.Choose(Choice{Paths: names[4:]}, backup.Expired)
		check(t, err)
		if done, err = n.FetchExpired(ctx, chosen, w.acts); err != nil || done.Confirmed.Len() != 0 || len(done.Reasons) != 1 || len(done.Met) != 0 {
			t.Errorf("fetched where something else is: %+v, %v", done, err)
		}
		chosen, _, err = n.Choose(Choice{Paths: names[1:3]}, backup.Expired) // one is confirmed
		check(t, err)
		waived, err := n.Waive(ctx, chosen, ledger.WaivedNotNeeded, w.acts)
		if err != nil || waived.Len() != 1 || w.items.Len() != 2 {
			t.Fatalf("waived: %v, %v", waived, err)
		}
		m.total("after declining", 1, 3, 1)
		if chosen, _, err := n.Choose(Choice{Night: backup.Date{Year: 2026, Month: 3, Day: 2}}, backup.Expired); err != nil || chosen.Len() != 0 {
			t.Errorf("of another night: %v, %v", chosen, err)
		}
	})
	if !bytes.Equal(m.disk.Files()[names[1]], contentOf(names[1])) || m.disk.Files()[names[2]] != nil {
		t.Error("the destination does not hold what was fetched alone")
	}
}

// TestImport takes files by their contents, whatever their names and states, and signs that they came by hand.
func TestImport(t *testing.T) {
	t.Parallel()
	m, names := expiring(t, 6)
	pending := m.peer.seal([]string{"late/a.gsm"}, contentOf)
	m.disk.Plant(names[5], []byte("somebody else's"))
	m.during(func(ctx context.Context, n *Night) {
		var w witness
		chosen, _, err := n.Choose(Choice{Paths: names[:1]}, backup.Expired)
		check(t, err)
		_, err = n.Waive(ctx, chosen, ledger.WaivedDeclined, w.acts)
		check(t, err)

		files := [][]byte{
			contentOf(names[0]), contentOf(names[1]), contentOf("late/a.gsm"), contentOf(names[1]), // declined, expired, pending, again
			[]byte("other contents"), append(contentOf(names[2])[1:], 'x'), []byte("nobody's"), // a name, a size, nothing
			contentOf(names[5]), contentOf(names[4]), // something else is there; changes while it is read
		}
		offers := make([]Offer, len(files))
		for i, data := range files {
			offers[i] = Offer{Name: fmt.Sprintf("usb/%d", i), Digest: digestOf(data)}
		}
		offers[4].Name = "usb/" + names[3]
		matches, err := n.Match(offers)
		check(t, err)
		for i, want := range []int{1, 1, 1, 0, 0, 0, 0, 1, 1} {
			if len(matches[i].Wanted) != want {
				t.Errorf("file %d: %+v", i, matches[i])
			}
		}
		if matches[3].First != 1 || matches[4].Namesake != names[3] || matches[5].Double != names[2] || matches[6].Namesake+matches[6].Double != "" {
			t.Errorf("refused are %+v", matches[3:7])
		}
		wanted, which := Wanted(matches)
		read := func(_ context.Context, item ItemID, to io.Writer) error {
			data := files[which[item]]
			if which[item] == 8 {
				data = slices.Clone(data)
				data[0]++
			}
			_, err := to.Write(data)
			return err
		}
		done, err := n.Import(ctx, wanted, read, w.acts)
		if err != nil || done.Err != nil || done.Confirmed.Len() != 3 || !done.Confirmed[pending].Contains(0) {
			t.Fatalf("imported: %+v, %v", done, err)
		}
		for file, want := range map[int]string{7: "different file", 8: "digest"} {
			if got := done.Met[matches[file].Wanted[0]]; !strings.Contains(strings.ToLower(got), want) {
				t.Errorf("file %d was not taken because of %q, want %q", file, got, want)
			}
		}
		m.total("after the import", 3, 4, 0)
		if matches, err = n.Match(offers); err != nil || matches[1].State != backup.Confirmed || len(matches[1].Wanted) != 0 {
			t.Errorf("looked at again: %+v, %v", matches[1], err)
		}
	})
	if got := string(m.disk.Files()[names[5]]); got != "somebody else's" {
		t.Errorf("what was there holds %q now", got)
	}
	byHand := 0
	size, _ := m.peer.log.Position()
	for leaf, err := range m.peer.log.Entries(0, size) {
		check(t, err)
		entry, err := ledger.ParseEntry(leaf)
		check(t, err)
		if body, ok := entry.Body.(ledger.Delivered); ok && body.Brought == ledger.BroughtByHand {
			byHand += int(body.Indexes.Len())
		}
	}
	if byHand != 3 {
		t.Errorf("%d recordings are signed for as brought by hand, want 3", byHand)
	}
}

// TestActsFirst signs nothing that could not be written down.
func TestActsFirst(t *testing.T) {
	t.Parallel()
	m, _ := expiring(t, 3)
	m.during(func(ctx context.Context, n *Night) {
		chosen, _, err := n.Choose(Choice{}, backup.Expired)
		check(t, err)
		full := fmt.Errorf("the disk is full")
		fail := func(int64, ledger.Set) error { return full }
		if done, err := n.FetchExpired(ctx, chosen, fail); err != nil || done.Err == nil || done.Confirmed.Len() != 0 {
			t.Errorf("fetched: %+v, %v", done, err)
		}
		if _, err := n.Waive(ctx, chosen, ledger.WaivedDeclined, fail); err == nil {
			t.Error("declined without a line")
		}
		m.total("after both", 0, 3, 0)
	})
}
