package night

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

func sorted(names []string) []string { slices.Sort(names); return names }

// TestNight copies a night, agrees, and finds nothing to do in the next pass.
func TestNight(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	p.seal(recordings(40), contentOf)
	p.seal(nil, contentOf)
	if outcome := m.life(t.Context()); !outcome.Complete || outcome.Progress.ConfirmedItems != 40 {
		t.Fatalf("the night ends with %+v", outcome)
	}
	m.check("after the night")
	size, root := p.log.Position()
	agreed, _, err := ledger.ParseHead(p.log.Agreed())
	if err != nil || agreed.Size != size || agreed.Root != root {
		t.Errorf("agreed is %v, %v, want the head of size %d", agreed, err, size)
	}
	served := p.served
	if outcome := m.life(t.Context()); !outcome.Complete || outcome.Progress.WantedItems != 0 {
		t.Errorf("the second pass ends with %+v", outcome)
	}
	if p.served != served {
		t.Errorf("the second pass fetched %d items", p.served-served)
	}
}

// TestAdopt confirms equal files that are already there without pulling them, and leaves different ones alone.
func TestAdopt(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	names := recordings(4)
	p.seal(names, contentOf)
	m.disk.Plant(names[0], contentOf(names[0]))
	m.disk.Plant(names[1], []byte("somebody else's"))
	m.disk.PlantOdd(names[2])
	outcome := m.life(t.Context())
	if outcome.Complete || outcome.Progress.ConfirmedItems != 2 || outcome.Progress.FaultItems != 2 {
		t.Errorf("the night ends with %+v, want 2 confirmed and 2 conflicts", outcome)
	}
	if p.served != 1 {
		t.Errorf("%d items were fetched, want 1", p.served)
	}
	if got := string(m.disk.Files()[names[1]]); got != "somebody else's" {
		t.Errorf("the file that was there holds %q now", got)
	}
	log, err := m.db.Ledger(testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	faults, err := log.Faults(1)
	if err != nil || len(faults) == 0 {
		t.Fatalf("faults: %v, %v", faults, err)
	}
	for _, f := range faults {
		if f.Fault.Code != "CONFLICT" || !strings.Contains(f.Fault.Message, "move it away") {
			t.Errorf("the fault is %+v, want CONFLICT with a remedy", f.Fault)
		}
	}
}

// TestSpoiled never stores contents that came with a wrong digest.
func TestSpoiled(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	p.seal(recordings(6), contentOf)
	tries := make(map[int64]int)
	p.spoil = func(index int64, data []byte) []byte {
		tries[index]++
		if tries[index] > 1 || index == 5 {
			return data
		}
		data = slices.Clone(data)
		data[len(data)/2] ^= 4
		return data
	}
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Errorf("the night ends with %+v, want it complete after a second fetch", outcome)
	}
	m.check("after the night")
}

// TestFlippedOnDisk never confirms what reads back differently.
func TestFlippedOnDisk(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	p.seal(recordings(3), contentOf)
	flipped := 0
	m.outage.hook = func(op string) {
		if op == "open staged" && flipped == 0 {
			flipped = m.disk.FlipStaged()
		}
	}
	outcome := m.life(t.Context())
	if flipped == 0 || outcome.Complete || outcome.Progress.FaultItems == 0 {
		t.Errorf("with %d flipped files the night ends with %+v, want faults", flipped, outcome)
	}
	m.check("after the flip")
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Errorf("the next night ends with %+v", outcome)
	}
	m.check("at the end")
}

// TestWentBack signs what is gone as lost when the destination is an older version of itself, and copies it again.
func TestWentBack(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	names := recordings(300)
	p.seal(names[:150], contentOf)
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Fatalf("the first night ends with %+v", outcome)
	}
	snapshot := m.disk.Snapshot()
	p.seal(names[150:], contentOf)
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Fatalf("the second night ends with %+v", outcome)
	}
	m.disk = snapshot
	outcome := m.life(t.Context())
	if outcome.Complete || !errors.Is(outcome.Err, errWentBack) {
		t.Fatalf("after the destination went back: %+v, want the suspicion of a mass loss", outcome)
	}
	if total, _ := p.log.Total(); total[backup.Confirmed] != 300 {
		t.Errorf("one audit alone changed the ledger: %v", total)
	}
}

// TestAnotherAgent stands back when another key was assigned.
func TestAnotherAgent(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	p.seal(recordings(2), contentOf)
	other := testKey(t, testOrigin.AgentKeyName("fedcba9876543210"), "other")
	request, err := ledger.SignRequest(testOrigin, other)
	if err != nil {
		t.Fatal(err)
	}
	p.append(ledger.Assigned{Request: request})
	outcome := m.life(t.Context())
	if outcome.Complete || !strings.Contains(outcome.Err.Error(), "fedcba9876543210") || p.served != 0 {
		t.Errorf("the pass ends with %+v after %d items, want it to stand back and name the other agent", outcome, p.served)
	}
}

// TestUnplugged calls nothing missing because the destination is away.
func TestUnplugged(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	p.seal(recordings(3), contentOf)
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Fatal(outcome.Err)
	}
	m.disk.Unplug()
	if outcome := m.life(t.Context()); outcome.Complete || outcome.Err == nil {
		t.Errorf("without a destination the pass ends with %+v", outcome)
	}
	if total, _ := p.log.Total(); total[backup.Confirmed] != 3 {
		t.Errorf("the ledger says %v, want 3 confirmed as before", total)
	}
	m.disk.Plug()
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Errorf("with the destination back the pass ends with %+v", outcome)
	}
}

// TestFork renews the outbox when the server holds another history of receipts.
func TestFork(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	names := recordings(4)
	p.seal(names[:2], contentOf)
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Fatal(outcome.Err)
	}
	// Another store, as if this machine had been put back to before its first night; the disk was not.
	older := &machine{t: t, peer: p, disk: m.disk}
	older.open()
	t.Cleanup(func() { older.db.Close() })
	p.seal(names[2:], contentOf)
	if outcome := older.life(t.Context()); !outcome.Complete {
		t.Fatalf("an agent with an empty store ends with %+v", outcome)
	}
	older.check("after the second night")
}

// TestClosed looks for what expired as soon as a manifest is closed, and confirms what is at the destination all the same.
func TestClosed(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	names := recordings(3)
	n := p.seal(names, contentOf)
	m.disk.Plant(names[1], contentOf(names[1]))
	root := func() (root [32]byte) {
		p.log.View(func(log *ledger.Log) { m, _ := log.Manifest(n); root = m.Root })
		return root
	}()
	p.append(ledger.Closed{Manifest: n, Root: root, Counts: ledger.Counts{backup.Expired: 3}})
	if outcome := m.life(t.Context()); !outcome.Complete || outcome.Progress.ConfirmedItems != 1 || p.served != 0 {
		t.Errorf("the pass ends with %+v after %d items were fetched, want one adopted", outcome, p.served)
	}
	total, err := p.log.Total()
	if err != nil || total[backup.Confirmed] != 1 || total[backup.Expired] != 2 {
		t.Errorf("the ledger says %v, %v, want 1 confirmed and 2 expired", total, err)
	}
}

// TestRounds confirms what has come while the rest is still being fetched, so that a process that does not live long
// leaves something behind.
func TestRounds(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	p.seal(recordings(200), contentOf)
	p.spoil = func(_ int64, data []byte) []byte {
		time.Sleep(25 * time.Millisecond) // 5 s for all: the peer serves one at a time
		return data
	}
	ctx, kill := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			changed := p.log.Changed()
			if total, err := p.log.Total(); err != nil || total[backup.Confirmed] > 0 {
				kill()
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	}()
	outcome := m.life(ctx)
	total, err := p.log.Total()
	if outcome.Complete || err != nil || total[backup.Confirmed] == 0 || total[backup.Confirmed] == 200 {
		t.Errorf("killed after the first receipt: %+v, %v confirmed, %v; want some, not all", outcome, total[backup.Confirmed], err)
	}
	m.check("after the kill")
}
