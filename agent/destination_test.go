package agent

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
	"github.com/wolkvox/backup/agent/internal/night"
	"github.com/wolkvox/backup/agent/internal/notes"
	"github.com/wolkvox/backup/agent/internal/probe"
	"github.com/wolkvox/backup/agent/internal/schedule"
	"github.com/wolkvox/backup/agent/internal/uplink"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/size"
	"github.com/wolkvox/backup/internal/store"
)

// hungOpener opens a disk, but hangs while it is told to, whatever its caller wants.
type hungOpener struct {
	disk  *memdest.Disk
	opens atomic.Int32

	mu    sync.Mutex
	hangs chan struct{} // opens wait until it is closed
}

func newHung() *hungOpener { return &hungOpener{disk: memdest.New(), hangs: make(chan struct{})} }

// hang makes what is opened from now on hang, until release.
func (o *hungOpener) hang() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hangs = make(chan struct{})
}

func (o *hungOpener) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.hangs)
}

func (o *hungOpener) Open(ctx context.Context) (dest.Driver, error) {
	o.opens.Add(1)
	o.mu.Lock()
	hangs := o.hangs
	o.mu.Unlock()
	<-hangs
	return o.disk.Open(ctx)
}

// newDestination is one with nothing behind it but the opener.
func newDestination(t testing.TB, c config.Destination, opener dest.Opener) *destination {
	t.Helper()
	place, err := dest.New(opener, "memory", string(originOf("nas")))
	check(t, err)
	return &destination{config: c, store: place, limiter: rate.NewLimiter(rate.Inf, burst), notes: notes.Open(t.TempDir()), logger: slog.New(slog.DiscardHandler),
		night: night.New(night.Config{Dest: place, Client: uplink.NewClient(nil, &uplink.ServerClock{})}), probe: probe.New(probe.Config{})}
}

func order(run, bytesPerSecond int64) uplink.Order {
	return uplink.Order{RunNumber: run, BytesPerSecond: bytesPerSecond,
		Window: schedule.Window{Start: 22 * time.Hour, End: 6 * time.Hour, Location: time.UTC}}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	d := newDestination(t, config.Destination{}, memdest.New())
	if _, ok := d.window(); ok {
		t.Error("a window is known before any order")
	}
	d.take(order(0, 0))
	if w, ok := d.window(); !ok || w != order(0, 0).Window {
		t.Errorf("window %v, %v, want the server's", w, ok)
	}
	d.config.Window = &config.Window{Start: time.Hour, End: 2 * time.Hour}
	if w, ok := d.window(); !ok || w.Start != time.Hour || w.End != 2*time.Hour || w.Location != time.UTC {
		t.Errorf("window %v, %v, want the configuration's, in the tenant's zone", w, ok)
	}
	d.take(uplink.Order{}) // another agent serves it now
	if w, ok := d.window(); ok {
		t.Errorf("window %v for a destination that it does not serve", w)
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	own := size.Size(500)
	for _, test := range []struct {
		own    *size.Size
		server int64
		want   rate.Limit
	}{{nil, 0, rate.Inf}, {nil, 1000, 1000}, {&own, 0, 500}, {&own, 100, 500}, {&own, 1000, 500}} {
		d := newDestination(t, config.Destination{BytesPerSecond: test.own}, memdest.New())
		d.take(order(0, test.server))
		if got := d.limiter.Limit(); got != test.want {
			t.Errorf("own %v, server %d: limit %v, want %v", test.own, test.server, got, test.want)
		}
	}
	// A limit that is taken back is none.
	d := newDestination(t, config.Destination{}, memdest.New())
	d.take(order(0, 1000))
	d.take(order(0, 0))
	if got := d.limiter.Limit(); got != rate.Inf {
		t.Errorf("limit %v after it was taken back", got)
	}
}

// TestRunNumber counts from the first number that is heard, and does not begin again after a while without orders.
func TestRunNumber(t *testing.T) {
	t.Parallel()
	d := newDestination(t, config.Destination{}, memdest.New())
	for i, test := range []struct {
		order uplink.Order
		want  int64 // the number that counts afterwards
	}{{order(7, 0), 7}, {order(7, 0), 7}, {order(8, 0), 8}, {uplink.Order{}, 8}, {order(8, 0), 8}, {order(3, 0), 3}, {order(4, 0), 4}} {
		d.take(test.order)
		if d.order.RunNumber != test.want {
			t.Errorf("step %d: the number that counts is %d, want %d", i, d.order.RunNumber, test.want)
		}
	}
}

func TestReserve(t *testing.T) {
	t.Parallel()
	own := size.Size(123)
	for _, test := range []struct {
		own  *size.Size
		size int64
		want int64
	}{{nil, 0, 0}, {nil, 100 << 30, 5 << 30}, {nil, 10 << 40, 20 << 30}, {&own, 10 << 40, 123}} {
		d := newDestination(t, config.Destination{Reserve: test.own}, memdest.New())
		if got := d.reserve(dest.Space{TotalBytes: test.size}); got != test.want {
			t.Errorf("reserve of %d bytes = %d, want %d", test.size, got, test.want)
		}
	}
}

// TestKeptHead does not wait long for a destination that hangs, and lets only one look at it hang.
func TestKeptHead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opener := newHung()
		d := newDestination(t, config.Destination{}, opener)
		for range 3 {
			began := time.Now()
			if head, known := d.keptHead(t.Context()); head != nil || known || time.Since(began) != keptHeadPatience {
				t.Errorf("a destination that hangs keeps %q after %v", head, time.Since(began))
			}
		}
		if opener.opens.Load() != 1 {
			t.Errorf("%d looks hang, want 1", opener.opens.Load())
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		if head, known := d.keptHead(ctx); head != nil || known || time.Since(began) != 0 {
			t.Errorf("called off it returns %q after %v", head, time.Since(began))
		}
		opener.release()
		synctest.Wait()
		_, err := d.store.Init(t.Context())
		check(t, err)
		d.keptHead(t.Context()) // the look that hung
		if head, known := d.keptHead(t.Context()); head != nil || !known {
			t.Errorf("a new place keeps %q, known %v; want none, known", head, known)
		}
		opener.disk.SetOwn(string(dest.Head), []byte("no head"))
		if head, known := d.keptHead(t.Context()); head != nil || known {
			t.Errorf("of a head that makes no sense it says %q, known %v", head, known)
		}
		_, seed, _ := ed25519.GenerateKey(nil)
		key, err := ledger.NewSigningKey(string(originOf("nas")), seed)
		check(t, err)
		kept, err := ledger.SignHead(ledger.Head{Origin: originOf("nas"), Size: 5}, key)
		check(t, err)
		opener.disk.SetOwn(string(dest.Head), kept)
		if head, known := d.keptHead(t.Context()); string(head) != string(kept) || !known {
			t.Errorf("once it answers it keeps %q, known %v", head, known)
		}
	})
}

// TestWatchSpace says that a destination which hangs cannot be reached, and shows it again when it answers.
func TestWatchSpace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opener := newHung()
		opener.release()
		d := newDestination(t, config.Destination{Place: config.Place{Directory: "/mnt/nas"}}, opener)
		_, err := d.store.Init(t.Context())
		check(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); d.watchSpace(ctx) }()
		synctest.Wait()
		if _, known, err := d.space.get(); !known || err != nil {
			t.Errorf("space known %v, %v", known, err)
		}
		opener.hang()
		time.Sleep(spaceEvery + spacePatience + time.Second)
		if _, known, err := d.space.get(); known || !errors.Is(err, dest.ErrUnreachable) {
			t.Errorf("of a destination that hangs the space is known %v, %v", known, err)
		}
		opens := opener.opens.Load()
		time.Sleep(10 * spaceEvery)
		if opener.opens.Load() != opens {
			t.Errorf("%d more looks hang", opener.opens.Load()-opens)
		}
		opener.release()
		time.Sleep(2 * spaceEvery)
		if _, known, err := d.space.get(); !known || err != nil {
			t.Errorf("once it answers the space is known %v, %v", known, err)
		}
		opener.disk.Unplug()
		time.Sleep(spaceEvery)
		if _, known, err := d.space.get(); known || !errors.Is(err, dest.ErrUnreachable) {
			t.Errorf("unplugged the space is known %v, %v", known, err)
		}
		cancel()
		<-ended
	})
}

func TestSpaceWatch(t *testing.T) {
	t.Parallel()
	var w spaceWatch
	if _, known, err := w.get(); known || err != nil {
		t.Errorf("before the first look: known %v, %v", known, err)
	}
	w.set(dest.Space{FreeBytes: 5}, nil)
	if space, known, err := w.get(); !known || err != nil || space.FreeBytes != 5 {
		t.Errorf("%v, %v, %v", space, known, err)
	}
	w.set(dest.Space{}, errors.ErrUnsupported) // a place that cannot tell is well
	if _, known, err := w.get(); known || err != nil {
		t.Errorf("of a place that cannot tell: known %v, %v", known, err)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	db, err := store.Open("", store.Options{InMemory: true})
	check(t, err)
	t.Cleanup(func() { check(t, db.Close()) })
	log, err := db.Ledger(originOf("nas"))
	check(t, err)
	silent := slog.New(slog.DiscardHandler)
	d := newDestination(t, config.Destination{Place: config.Place{Directory: filepath.Join(t.TempDir(), "nas")}}, memdest.New())
	d.session = uplink.NewSession(nil, log, nil, nil, silent)
	d.night = night.New(night.Config{Log: log, Client: uplink.NewClient(nil, &uplink.ServerClock{}), Session: d.session, Room: func() error { return nil }, Slog: silent})
	if got := d.report(); got.Health != uplink.HealthIdle || got.Message != "" || got.FreeBytes != -1 || got.FreeInodes != -1 {
		t.Errorf("at rest: %+v", got)
	}
	d.space.set(dest.Space{FreeBytes: 5, FreeInodes: 6}, nil)
	if got := d.report(); got.Health != uplink.HealthIdle || got.FreeBytes != 5 || got.FreeInodes != 6 {
		t.Errorf("with a known space: %+v", got)
	}
	if outcome := d.night.Run(t.Context()); outcome.Err == nil {
		t.Fatal("a pass without a server has no error")
	}
	if got := d.report(); got.Health != uplink.HealthFault || got.Message == "" {
		t.Errorf("after a pass that failed: %+v", got)
	}
	number, _ := d.session.Number()
	d.session.Supersede(number)
	if got := d.report(); got.Health != uplink.HealthFault || got.Message != uplink.ErrSuperseded.Error() {
		t.Errorf("with a problem that people have to decide, after a pass that failed: %+v", got)
	}
	d.space.set(dest.Space{}, &dest.UnreachableError{Place: "nas", Cause: errors.New("gone")})
	if got := d.report(); got.Health != uplink.HealthUnreachable || got.FreeBytes != -1 || got.Message == "" {
		t.Errorf("without its place: %+v", got)
	}
}

// TestPrevious believes only a genesis with the key that the agent enrolled with.
func TestPrevious(t *testing.T) {
	t.Parallel()
	db, err := store.Open("", store.Options{InMemory: true})
	check(t, err)
	t.Cleanup(func() { check(t, db.Close()) })
	log, err := db.Ledger(originOf("nas"))
	check(t, err)
	key, err := ledger.NewSigningKey(string(originOf("nas")), ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	check(t, err)
	if got := previousOf(log, key.Verifier()); got != "" {
		t.Errorf("of an empty log the earlier one is %q", got)
	}
	earlier := ledger.Origin(strings.Replace(string(originOf("nas")), "00000", "11111", 1))
	leaf, err := ledger.Sign(ledger.Entry{Origin: originOf("nas"), Time: time.Now().UTC().Truncate(time.Second), Body: ledger.Genesis{
		Storage: backup.StorageRSYNC, WindowDays: 15, ServerKey: key.Verifier(), Previous: &ledger.KnownHead{Origin: earlier, Size: 5},
	}}, key)
	check(t, err)
	check(t, log.Append(leaf))
	if got := previousOf(log, key.Verifier()); got != string(earlier) {
		t.Errorf("the earlier log is %q, want %q", got, earlier)
	}
	if got := previousOf(log, ledger.Verifier("another")); got != "" {
		t.Errorf("of a server that is not the one enrolled with the earlier log is %q", got)
	}
}
