//go:build linux && peers

package nas

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/peertest/cloudfault"
	"github.com/wolkvox/backup/test/fleet"
)

// newProviderSite is a site whose bucket is reached over a proxy that can answer as the provider.
func newProviderSite(t *testing.T) (*site, *cloudfault.Proxy) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "recordings")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := startS3(t, dir, "provider")
	proxy := cloudfault.Start(t, p.Endpoint)
	s := &site{peer: p}
	s.Fleet = fleet.New(t, fleet.Options{Destination: dir, Where: p.where(proxy.Address), Agent: "heartbeat: 1s\n", Place: "  reserve: 0\n"})
	s.watch = fleet.NewWatch(t, dir, s.Wanted)
	s.Agent.Start(t)
	s.night(t, 1, firstCount)
	s.complete(t)
	return s, proxy
}

// isPut reports whether a request stores a recording.
func isPut(r *http.Request) bool {
	return r.Method == http.MethodPut && !strings.Contains(r.URL.Path, "/.wolkvox/")
}

// TestS3Unpaid: the provider stops the account in mid-night. The agent says so and where to go, leaves the place alone for an
// hour, and goes on when it was settled.
func TestS3Unpaid(t *testing.T) {
	t.Parallel()
	s, proxy := newProviderSite(t)
	ended := s.begin(t)
	proxy.Set(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if isPut(r) {
			cloudfault.S3Error(w, r, http.StatusForbidden, "AccountProblem", "There is a problem with your AWS account that prevents the operation from completing successfully.")
			return
		}
		pass.ServeHTTP(w, r)
	})
	t.Log(<-ended)
	t.Log(s.run(t.Context()))
	s.expect(t, said{"billing", "client", "AccountProblem"})
	circuit := s.Agent.Only(t).Circuit
	if circuit == nil || !strings.Contains(circuit.Fault.Message, "https://console.aws.amazon.com/billing/") {
		t.Fatalf("the destination is left alone because of %+v", circuit)
	}
	if next := time.Until(circuit.NextTry); next < 50*time.Minute || next > time.Hour {
		t.Errorf("the next try is in %v, want an hour", next)
	}
	proxy.Set(nil)
	s.finish(t)
}

// TestS3Throttled: the provider takes one put at a time and refuses the others, and some recordings throughout. The agent says
// so, leaves nothing alone, and all are stored once it takes them.
func TestS3Throttled(t *testing.T) {
	t.Parallel()
	s, proxy := newProviderSite(t)
	var now, refused atomic.Int64
	var mu sync.Mutex
	never := map[string]bool{} // by path; every other one that comes
	proxy.Set(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if !isPut(r) {
			pass.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		if _, known := never[r.URL.Path]; !known {
			never[r.URL.Path] = len(never)%2 == 0
		}
		out := never[r.URL.Path]
		mu.Unlock()
		defer now.Add(-1)
		if now.Add(1) > 1 || out {
			refused.Add(1)
			cloudfault.S3Error(w, r, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
			return
		}
		pass.ServeHTTP(w, r)
	})
	s.night(t, 2, secondCount)
	o := s.run(t.Context())
	t.Log(o)
	if o.complete {
		t.Errorf("a night of which %d puts were refused is complete", refused.Load())
	}
	if f := s.Agent.Only(t).LastFault; f == nil || !(said{"throttle", "cloud-provider", "SlowDown"}).is(*f) {
		t.Errorf("of %d refusals the agent says %+v", refused.Load(), f)
	}
	if c := s.Agent.Only(t).Circuit; c != nil {
		t.Errorf("the destination is left alone because of %+v", c.Fault)
	}
	proxy.Set(nil)
	s.finish(t)
}
