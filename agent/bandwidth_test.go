package agent

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
	"github.com/wolkvox/backup/agent/internal/night"
	"github.com/wolkvox/backup/agent/internal/uplink"
	"github.com/wolkvox/backup/internal/size"
)

func TestLimitAt(t *testing.T) {
	t.Parallel()
	own := size.Size(500)
	spans := config.Bandwidth{{From: 7 * time.Hour, To: 20 * time.Hour, BytesPerSecond: 100}, {From: 23 * time.Hour, To: time.Hour, BytesPerSecond: 700}}
	day, evening, late := at(12), at(21), at(24)
	for _, test := range []struct {
		own    *size.Size
		spans  config.Bandwidth
		server int64
		at     time.Time
		want   int64 // 0 for none
	}{
		{nil, nil, 0, day, 0}, {nil, nil, 900, day, 900}, {&own, nil, 900, day, 500},
		{nil, spans, 0, day, 100}, {nil, spans, 0, evening, 0}, {nil, spans, 900, evening, 900}, {nil, spans, 900, late, 700},
		{&own, spans, 900, day, 100}, {&own, spans, 900, evening, 500}, {&own, spans, 0, late, 700}, {nil, spans, 50, day, 100},
	} {
		d := newDestination(t, config.Destination{BytesPerSecond: test.own, Bandwidth: test.spans}, memdest.New())
		d.take(order(0, test.server))
		if got, limited := d.limitAt(test.at); got != test.want || limited != (test.want != 0) {
			t.Errorf("own %v, spans %v, server %d at %v: limit %d, %v, want %d", test.own, test.spans, test.server, test.at, got, limited, test.want)
		}
	}
	// Whose clock counts is not known before the server said so.
	d := newDestination(t, config.Destination{BytesPerSecond: &own, Bandwidth: spans}, memdest.New())
	if got, limited := d.limitAt(evening); got != 100 || !limited {
		t.Errorf("before an order the limit is %d, %v, want the lowest", got, limited)
	}
}

func at(hour int) time.Time { return time.Date(2026, 3, 1, hour, 0, 0, 0, time.UTC) }

// TestFollowClock changes the limit as the server's clock goes on, in the tenant's zone, whatever this machine's shows.
func TestFollowClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		clock := &uplink.ServerClock{}
		clock.Set(at(18).Add(59*time.Minute), time.Now())
		d := newDestination(t, config.Destination{Bandwidth: config.Bandwidth{{From: 19 * time.Hour, To: 20 * time.Hour, BytesPerSecond: 2000}}}, memdest.New())
		d.night = night.New(night.Config{Client: uplink.NewClient(nil, clock)})
		d.take(order(0, 0))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { d.followClock(ctx); close(done) }()
		for _, step := range []struct {
			after time.Duration
			want  rate.Limit
		}{{0, rate.Inf}, {59 * time.Second, rate.Inf}, {3 * time.Second, 2000}, {59 * time.Minute, 2000}, {time.Minute, rate.Inf}} {
			time.Sleep(step.after)
			synctest.Wait()
			if got := d.limiter.Limit(); got != step.want {
				t.Errorf("at %v the limit is %v, want %v", d.night.Now(), got, step.want)
			}
		}
		cancel()
		<-done
	})
}
