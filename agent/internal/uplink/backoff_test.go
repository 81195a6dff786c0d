package uplink

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup/internal/wire"
)

func TestServerClock(t *testing.T) {
	t.Parallel()
	clock := &ServerClock{}
	local := time.Now()
	if at, ok := clock.At(local); ok || !at.IsZero() || !clock.Heard().IsZero() {
		t.Errorf("a clock that heard nothing says %v, %v, heard %v", at, ok, clock.Heard())
	}
	bogota := time.FixedZone("", -5*3600)
	clock.Set(noon.In(bogota), local)
	at, ok := clock.At(local.Add(90 * time.Minute))
	if want := noon.Add(90 * time.Minute); !ok || at != want {
		t.Errorf("90 minutes later it says %v, %v, want %v", at, ok, want)
	}
	if clock.Heard() != noon {
		t.Errorf("heard %v, want %v in UTC", clock.Heard(), noon)
	}
	// A clock that was set back locally has its monotonic reading to go on with.
	if at, _ := clock.At(local.Add(time.Second)); at != noon.Add(time.Second) {
		t.Errorf("a second later it says %v", at)
	}
}

// TestBackoff waits within bounds that double up to the greatest, and no shorter than the server asks for.
func TestBackoff(t *testing.T) {
	t.Parallel()
	later := func(d time.Duration) error {
		return fmt.Errorf("fetch: %w", wire.RetryError(codes.ResourceExhausted, wire.ReasonTryLater, d, "busy"))
	}
	const base, most = 100 * time.Millisecond, time.Second
	synctest.Test(t, func(t *testing.T) {
		waited := func(b *Backoff, err error) time.Duration {
			began := time.Now()
			if err := b.Wait(t.Context(), err); err != nil {
				t.Fatal(err)
			}
			return time.Since(began)
		}
		b := Backoff{Base: base, Max: most}
		for i, bound := range []time.Duration{base, 2 * base, 4 * base, 8 * base, most, most, most} {
			if got := waited(&b, errors.New("broken")); got < bound/8 || got > bound+bound/8 {
				t.Errorf("wait %d took %v, want %v to %v", i, got, bound/8, bound+bound/8)
			}
			if b.Attempts() != i+1 {
				t.Errorf("%d attempts after %d waits", b.Attempts(), i+1)
			}
		}
		b.Reset()
		if got := waited(&b, nil); b.Attempts() != 1 || got > base+base/8 {
			t.Errorf("after a reset it waits %v, attempt %d", got, b.Attempts())
		}
		if got := waited(&b, later(7*time.Second)); got < 7*time.Second || got > 7*time.Second+most {
			t.Errorf("asked for 7 s it waits %v", got)
		}
		if got := waited(&b, later(1000*time.Hour)); got < maxAsked || got > maxAsked+most {
			t.Errorf("asked for 1000 hours it waits %v, want %v at most", got, maxAsked)
		}
		for range 70 { // no shift overflows
			if got := waited(&b, nil); got <= 0 || got > most+most/8 {
				t.Fatalf("it waits %v", got)
			}
		}
	})
}

func TestBackoffCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	b := Backoff{Base: time.Hour, Max: time.Hour}
	if err := b.Wait(ctx, nil); !errors.Is(err, why) {
		t.Errorf("Wait = %v, want %v", err, why)
	}
}
