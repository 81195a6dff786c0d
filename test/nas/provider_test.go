//go:build linux && peers

package nas

import (
	"bytes"
	"io"
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

// provided is a site whose recordings go over a proxy that can answer as the provider.
type provided struct {
	*site
	set    func(cloudfault.Hook)
	refuse func(w http.ResponseWriter, r *http.Request, status int, code, message string)
}

// newS3Provided is such a site with a bucket.
func newS3Provided(t *testing.T) provided {
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
	return provided{s, proxy.Set, cloudfault.S3Error}
}

// newAzureProvided is such a site with a container.
func newAzureProvided(t *testing.T) provided {
	t.Helper()
	s := newSite(t, azureDriver(byKey), direct, isWatched)
	return provided{s, s.peer.(*azureContainer).answer, cloudfault.AzureError}
}

// isPut reports whether a request stores a recording.
func isPut(r *http.Request) bool {
	return r.Method == http.MethodPut && !strings.Contains(r.URL.Path, "/.wolkvox/")
}

// stopsPaying has the provider stop the account in mid-night: what is there can be read, and nothing is written. The agent says
// so and where to go, leaves the place alone for an hour, and goes on when it was settled.
func (s provided) stopsPaying(t *testing.T, status int, code, message string, want said, page string) {
	t.Helper()
	var tries atomic.Int64
	ended := s.begin(t)
	s.set(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			pass.ServeHTTP(w, r)
			return
		}
		if isPut(r) {
			tries.Add(1)
		}
		s.refuse(w, r, status, code, message)
	})
	t.Log(<-ended)
	t.Log(s.Copy(t.Context()))
	s.expect(t, want)
	circuit := s.Agent.Only(t).Circuit
	if circuit == nil || !strings.Contains(circuit.Fault.Message, page) {
		t.Fatalf("the destination is left alone because of %+v", circuit)
	}
	if next := time.Until(circuit.NextTry); next < 50*time.Minute || next > time.Hour {
		t.Errorf("the next try is in %v, want an hour", next)
	}
	tried := tries.Load()
	s.Record(t, 3, 1, 1, medianBytes)
	s.Seal(t)
	fleet.Await(t, "the agent knows of another night", func() bool { return int(s.Agent.Only(t).Counts.Sum()) == s.WantedCount() })
	time.Sleep(2 * time.Second) // two heartbeats, with something new to copy
	if now := tries.Load(); now != tried {
		t.Errorf("within the hour there were %d more tries to store a recording", now-tried)
	}
	s.set(nil)
	s.finish(t)
}

// TestS3Unpaid: the account has a problem with its bill.
func TestS3Unpaid(t *testing.T) {
	t.Parallel()
	newS3Provided(t).stopsPaying(t, http.StatusForbidden, "AccountProblem",
		"There is a problem with your AWS account that prevents the operation from completing successfully.",
		said{"billing", "client", "AccountProblem"}, "https://console.aws.amazon.com/billing/")
}

// TestAzureUnpaid: the subscription is disabled, which a write alone is told, with one code or another.
func TestAzureUnpaid(t *testing.T) {
	t.Parallel()
	for code, c := range map[string]struct{ message, want string }{
		"AccountIsDisabled":              {"The specified account is disabled.", "AccountIsDisabled"},
		"InsufficientAccountPermissions": {"Write operations aren't allowed.", "ACCOUNT_READ_ONLY"},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			newAzureProvided(t).stopsPaying(t, http.StatusForbidden, code, c.message, said{"billing", "client", c.want}, "https://portal.azure.com")
		})
	}
}

// throttles has the provider take one put at a time and refuse the others, and some recordings throughout. The agent sends
// less at once and says why, leaves nothing alone, and all are stored once the provider takes them.
func (s provided) throttles(t *testing.T, code, message string) {
	t.Helper()
	var now, refused, taken atomic.Int64
	var mu sync.Mutex
	never := map[string]bool{} // by path; every fourth that comes
	s.set(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if !isPut(r) {
			pass.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		if _, known := never[r.URL.Path]; !known {
			never[r.URL.Path] = len(never)%4 == 0
		}
		out := never[r.URL.Path]
		mu.Unlock()
		defer now.Add(-1)
		if now.Add(1) > 1 || out {
			refused.Add(1)
			s.refuse(w, r, http.StatusServiceUnavailable, code, message)
			return
		}
		taken.Add(1)
		pass.ServeHTTP(w, r)
	})
	const count = 20 // each refusal takes a while
	s.night(t, 2, count)
	o := s.Copy(t.Context())
	t.Logf("%v; %d puts were taken, and %d refused", o, taken.Load(), refused.Load())
	if o.Complete {
		t.Errorf("a night of which %d puts were refused is complete", refused.Load())
	}
	if others := int64(count * 3 / 4); taken.Load() < others {
		t.Errorf("%d puts were taken, want the %d that are not refused throughout: the agent has not slowed down", taken.Load(), others)
	}
	if f := s.Agent.Only(t).LastFault; f == nil || !(said{"throttle", "cloud-provider", code}).is(*f) {
		t.Errorf("of %d refusals the agent says %+v", refused.Load(), f)
	}
	if c := s.Agent.Only(t).Circuit; c != nil {
		t.Errorf("the destination is left alone because of %+v", c.Fault)
	}
	s.checkConfirmed(t)
	s.set(nil)
	s.finish(t)
}

func TestS3Throttled(t *testing.T) {
	t.Parallel()
	newS3Provided(t).throttles(t, "SlowDown", "Please reduce your request rate.")
}

func TestAzureThrottled(t *testing.T) {
	t.Parallel()
	newAzureProvided(t).throttles(t, "ServerBusy", "Ingress is over the account limit.")
}

// TestAzureKey: the account's key is changed in mid-night, where the agent logs in with the key.
func TestAzureKey(t *testing.T) {
	t.Parallel()
	d := azureDriver(byKey)
	testLocked(t, d, d.cases.locked)
}

// TestAzureUnchecked: a store that compares no checksums is noticed, and all is read back. What it stored wrong is found by
// that and by nothing else, is not confirmed, and is brought again.
func TestAzureUnchecked(t *testing.T) {
	t.Parallel()
	d := azureDriver(bySignature)
	unchecked := func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		r.Header.Del("Content-MD5")
		pass.ServeHTTP(w, r)
	}
	d.start = func(t testing.TB, _ string) peer {
		p := startAzure(t, bySignature)
		p.answer(unchecked)
		return p
	}
	s := newSite(t, d, direct, !isWatched)
	if r := s.Agent.Try(t, "check"); !strings.Contains(r.Stdout, "has not refused a wrong MD5") {
		t.Errorf("check says nothing of the checksum: %v", r)
	}
	const hit = 4
	var mu sync.Mutex
	damaged := map[string]bool{}
	s.peer.(*azureContainer).answer(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		mu.Lock()
		hits := isPut(r) && len(damaged) < hit && !damaged[r.URL.Path]
		if hits {
			damaged[r.URL.Path] = true
		}
		mu.Unlock()
		if hits {
			if body, err := io.ReadAll(r.Body); err == nil {
				body[0] ^= 1
				r.Body = io.NopCloser(bytes.NewReader(body))
			}
		}
		unchecked(w, r, pass)
	})
	s.Line.Slow(feedBytes)
	s.night(t, 2, secondCount)
	fleet.Await(t, "the destination is left alone", func() bool { return s.Agent.Only(t).Circuit != nil })
	s.expect(t, d.cases.altered)
	if confirmed := s.checkConfirmed(t); confirmed > firstCount+secondCount-hit {
		t.Errorf("%d recordings are confirmed although %d were stored wrong", confirmed, hit)
	}
	s.finish(t)
	export := filepath.Join(s.Dir, "of-server")
	s.Server.Do(t, "ledger", "export", fleet.TenantName, fleet.DestinationName, "--to", export)
	checkExport(t, s.Fleet, export, firstCount+secondCount, "readback-sha256 cached")
}
