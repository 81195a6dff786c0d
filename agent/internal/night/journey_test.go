package night

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
	"github.com/wolkvox/backup/agent/internal/uplink"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// machine is the agent's machine: its disk for recordings, its store, and the power that both need.
type machine struct {
	t        testing.TB
	peer     *peer
	disk     *memdest.Disk
	db       *store.DB
	dir      string // of the store; empty for one in memory, which no power cut reaches
	outage   outage
	refusing sync.Mutex
	refuse   func(op desttest.Op, name string) error // what the destination answers; nil for what the disk does
	blind    bool                                    // the session does not see what the destination keeps
	// paused and measured are those of the configuration of nights that loop.
	paused   func(time.Time) bool
	measured func(bytesPerSecond int64)
	audits   string                        // where audits keep their files
	wrap     func(dest.Opener) dest.Opener // of the place; nil for none
	repair   bool                          // what was altered is moved aside
	retain   int                           // days after which the client removes recordings
}

// outage cuts the power at one operation of destination or store.
type outage struct {
	mu    sync.Mutex
	count int
	at    int    // the operation at which it happens; 0 never
	only  string // operations whose name does not begin so are not counted
	done  bool   // whether that operation was still done
	off   bool
	last  string // the name of the operation
	hook  func(op string)
}

var errPower = errors.New("the power is gone")

func (o *outage) step(name string) (apply bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.hook != nil {
		o.hook(name)
	}
	if o.off {
		return false, errPower
	}
	if !strings.HasPrefix(name, o.only) {
		return true, nil
	}
	if o.count++; o.count == o.at {
		o.off, o.last = true, name
		return o.done, errPower
	}
	return true, nil
}

func newMachine(t testing.TB, p *peer, dir string) *machine {
	m := &machine{t: t, peer: p, disk: memdest.New(), dir: dir, audits: t.TempDir()}
	place, err := dest.New(m.disk, "memory", string(testOrigin))
	if err == nil {
		_, err = place.Init(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	m.open()
	t.Cleanup(func() { m.db.Close() })
	return m
}

// opener is the disk, with what it refuses.
func (m *machine) opener() dest.Opener {
	if m.refuse == nil {
		return m.disk
	}
	return desttest.WithFaults(m.disk, func(op desttest.Op, name string) (bool, error) {
		err := m.refuse(op, name)
		return err == nil, err
	})
}

func (m *machine) open() {
	m.t.Helper()
	var err error
	if m.dir == "" {
		m.db, err = store.Open("", store.Options{InMemory: true})
	} else {
		m.db, err = store.Open(m.dir, store.Options{Fault: func(point string) (bool, error) { return m.outage.step("store: " + point) }})
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// cut lets the power go and come back.
func (m *machine) cut(survives func() bool) {
	m.t.Helper()
	m.disk.CutPower(survives)
	m.outage.at, m.outage.off = 0, false
	if m.dir != "" {
		m.db.Close()
		m.open()
	}
}

// life is one process of the agent: it makes a pass and ends.
func (m *machine) life(ctx context.Context) Outcome {
	m.t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	conn := m.peer.dial()
	defer conn.Close()
	log, err := m.db.Ledger(testOrigin)
	if err != nil {
		m.t.Fatal(err)
	}
	opener := desttest.WithFaults(m.disk, func(op desttest.Op, name string) (bool, error) { return m.outage.step(string(op)) })
	place, err := dest.New(opener, "memory", string(testOrigin))
	if err != nil {
		m.t.Fatal(err)
	}
	place.Continue(func() (previous string) {
		log.View(func(l *ledger.Log) {
			if l.Genesis.Previous != nil {
				previous = string(l.Genesis.Previous.Origin)
			}
		})
		return previous
	})
	client := uplink.NewClient(conn, &uplink.ServerClock{})
	var n *Night
	room := func() error { return nil }
	session := uplink.NewSession(client, log, func(ctx context.Context) ([]byte, bool) {
		if m.blind {
			return nil, false
		}
		return n.KeptHead(ctx)
	}, room, slog.New(slog.DiscardHandler))
	n = New(Config{
		Name: "nas", Log: log, Key: m.peer.agent, ServerKey: m.peer.known, Client: client, Session: session, Dest: place, Streams: 2,
		Reserve: func(dest.Space) int64 { return 0 }, Room: room, Patience: 30 * time.Second, Slog: slog.New(slog.DiscardHandler),
		Agreed: func(ctx context.Context) error {
			_, err := client.Heartbeat(ctx, uplink.Self{Version: "test"}, []uplink.Report{{Session: session}})
			return err
		},
	})
	var running sync.WaitGroup
	running.Go(func() { session.Run(ctx) })
	outcome := n.Run(ctx)
	cancel()
	running.Wait()
	return outcome
}

// check makes sure that whatever the server's log calls confirmed is at the destination, and that nothing happened that
// must not.
func (m *machine) check(when string) {
	m.t.Helper()
	files := m.disk.Files()
	var manifests int64
	m.peer.log.View(func(log *ledger.Log) { manifests = int64(len(log.Manifests)) })
	for manifest := int64(1); manifest <= manifests; manifest++ {
		confirmed, err := m.peer.log.Items(manifest, backup.Confirmed)
		if err != nil {
			m.t.Fatal(err)
		}
		for index := range confirmed.All() {
			line, err := m.peer.log.Line(manifest, index)
			if err != nil {
				m.t.Fatal(err)
			}
			if data, ok := files[line.Item.Path]; !ok || digestOf(data) != line.Item.Digest {
				m.t.Errorf("%s: %s is confirmed and not at the destination (there: %v)", when, line.Item.Path, ok)
			}
		}
	}
	for name, data := range files {
		if strings.HasPrefix(name, backup.OwnPrefix) {
			continue
		}
		if want := m.peer.contents[name]; string(data) != string(want) {
			m.t.Errorf("%s: an unfinished or wrong file is visible as %s", when, name)
		}
	}
	for _, wrong := range m.peer.wrong {
		m.t.Errorf("%s: %s", when, wrong)
	}
}

func recordings(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("calls/%d/%03d.gsm", i%3, i)
	}
	return sorted(names)
}

func contentOf(name string) []byte {
	source := rand.New(rand.NewPCG(uint64(len(name)), uint64(name[len(name)-5])))
	data := make([]byte, 100+source.IntN(3000))
	for i := range data {
		data[i] = byte(source.Uint32())
	}
	return append(data, name...)
}

// TestPowerCutBetweenSteps cuts the power at every operation of the journey, done or not done, of destination and
// store, with nothing of what was not synced surviving or some of it. Whatever is confirmed is there afterwards, and
// the next process ends the night.
func TestPowerCutBetweenSteps(t *testing.T) {
	t.Parallel()
	t.Run("destination", func(t *testing.T) { t.Parallel(); cutEverywhere(t, false) })
	t.Run("store", func(t *testing.T) { t.Parallel(); cutEverywhere(t, true) })
}

func cutEverywhere(t *testing.T, onDisk bool) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var mu sync.Mutex
	steps := make(map[string]int)
	const wave = 8 // cases wait more than they work
	for first, reached := 1, true; reached && !t.Failed(); first += wave {
		var running sync.WaitGroup
		for at := first; at < first+wave; at++ {
			for _, done := range []bool{true, false} {
				running.Go(func() {
					random := rand.New(rand.NewPCG(seed, uint64(at)))
					step := cutAt(t, onDisk, at, done, func() bool { return random.IntN(2) == 0 })
					mu.Lock()
					defer mu.Unlock()
					reached = reached && step != ""
					steps[step]++
				})
			}
		}
		running.Wait()
	}
	t.Logf("power cut at: %v", steps)
	if len(steps) < 6 {
		t.Errorf("the power was cut at %d kinds of operations only: %v", len(steps), steps)
	}
}

// cutAt lives through one outage and returns at what it happened; nothing where the night was not long enough for it.
func cutAt(t *testing.T, onDisk bool, at int, done bool, survives func() bool) string {
	p := newPeer(t)
	dir := ""
	if onDisk {
		dir = t.TempDir()
	}
	m := newMachine(t, p, dir)
	p.seal(recordings(5), contentOf)
	m.outage.count, m.outage.at, m.outage.done = 0, at, done
	if onDisk {
		m.outage.only = "store: "
	}
	first := m.life(t.Context())
	when := fmt.Sprintf("operation %d (%s, done %v)", at, m.outage.last, done)
	if !m.outage.off {
		if !first.Complete {
			t.Errorf("without an outage the night ends with %v", first.Err)
		}
		return ""
	}
	step := m.outage.last
	m.check(when + ", before the cut")
	m.cut(survives)
	m.check(when + ", after the cut")
	second := m.life(t.Context())
	if !second.Complete {
		t.Errorf("%s: the next pass ends with %v", when, second.Err)
	}
	m.check(when + ", at the end")
	if total, err := p.log.Total(); err != nil || total[backup.Confirmed] != 5 {
		t.Errorf("%s: at the end %v are confirmed (%v), want 5", when, total[backup.Confirmed], err)
	}
	return step
}
