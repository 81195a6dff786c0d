package agent

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/wolkvox/backup/agent/internal/circuit"
	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/agent/internal/night"
)

// guarded opens a disk for who has the right password.
type guarded struct {
	disk  *memdest.Disk
	wrong atomic.Bool
	tries atomic.Int32
}

func (g *guarded) Open(ctx context.Context) (dest.Driver, error) {
	g.tries.Add(1)
	if g.wrong.Load() {
		return nil, &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeAuth, Cause: errors.New("the password is wrong")}
	}
	return g.disk.Open(ctx)
}

// TestWatchKeepsToTheCircuit looks at the space every minute for a day without trying a wrong password more than three times an
// hour, and sees by itself that the password is right again.
func TestWatchKeepsToTheCircuit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &guarded{disk: memdest.New()}
		breaker := circuit.New(g, fault.Teller{Place: "nas"}, nil)
		place, err := dest.New(breaker, "nas", string(originOf("nas")))
		check(t, err)
		_, err = place.Init(t.Context())
		check(t, err)
		d := &destination{config: config.Destination{}, store: place, limiter: rate.NewLimiter(rate.Inf, burst), night: night.New(night.Config{Dest: place, Circuit: breaker})}
		g.wrong.Store(true)
		g.tries.Store(0)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); d.watchSpace(ctx) }()
		time.Sleep(24 * time.Hour)
		if tries := g.tries.Load(); tries < 24 || tries > 72 {
			t.Errorf("the password was tried %d times in a day", tries)
		}
		_, known, err := d.space.get()
		if f := fault.Of(err); known || f.Class != fault.ClassCredential {
			t.Errorf("the space is known %v, %v", known, err)
		}
		g.wrong.Store(false)
		time.Sleep(time.Hour)
		if _, known, err := d.space.get(); !known || err != nil {
			t.Errorf("with the right password the space is known %v, %v", known, err)
		}
		if _, open := breaker.State(); open {
			t.Error("the destination is left alone still")
		}
		cancel()
		<-done
	})
}
