package fetch

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// TestLimitChanges goes on soon after a limit was lifted in mid-file, and is held up soon after one was set.
func TestLimitChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limiter := rate.NewLimiter(1<<10, 1<<20)
		limiter.AllowN(time.Now(), 1<<20)
		p := &pull{Fetcher: &Fetcher{Limiter: limiter}}
		began := time.Now()
		go func() {
			time.Sleep(10 * time.Second)
			limiter.SetLimit(rate.Inf)
		}()
		if err := p.wait(t.Context(), 1<<20); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("a piece that takes 1024 s at the limit took %v after it was lifted at 10 s", took)
		}
		limiter.SetLimit(1 << 20)
		began = time.Now()
		go func() {
			time.Sleep(10 * time.Second)
			limiter.SetLimit(1 << 10)
		}()
		for range 20 { // one of them is the burst
			if err := p.wait(t.Context(), 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 8*1024*time.Second {
			t.Errorf("20 MiB took %v, of which 9 to 10 s at 1 MiB/s and the rest at 1 KiB/s", took)
		}
	})
}
