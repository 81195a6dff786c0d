package night

import (
	"bytes"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// How long recordings sound is known once they are confirmed; of what was there before, nothing passed.
func TestDurationsAreKept(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	m := newMachine(t, p, "")
	names := recordings(20)
	contents := func(name string) []byte { return bytes.Repeat([]byte{0xd0}, 33*50*(1+len(name)%3)) }
	p.seal(names, contents)
	m.disk.Plant(names[4], contents(names[4]))
	if outcome := m.life(t.Context()); !outcome.Complete {
		t.Fatalf("the night ends with %+v", outcome)
	}
	log, err := m.db.Ledger(ledger.Origin(testOrigin))
	if err != nil {
		t.Fatal(err)
	}
	durations, err := log.Durations(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		want := time.Duration(1+len(name)%3) * time.Second
		if i == 4 {
			want = store.UnknownDuration
		}
		if durations[i] != want {
			t.Errorf("%s sounds %v, want %v", name, durations[i], want)
		}
	}
}
