package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wolkvox/backup/agent/internal/control"
	"github.com/wolkvox/backup/agent/internal/state"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/store"
)

// identityOf returns what the files of an agent's identity hold.
func identityOf(t testing.TB, stateDir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	check(t, filepath.WalkDir(filepath.Join(stateDir, "identity"), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)
		return err
	}))
	return files
}

// TestDamagedStore sets a damaged store aside, says so, and leaves the identity alone.
func TestDamagedStore(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	o := s.enrolled(t, "nas")
	before := identityOf(t, o.Config.StateDir)
	a, err := Open(o)
	check(t, err)
	if got := a.problems(); len(got) != 0 {
		t.Errorf("problems of a whole store: %q", got)
	}
	check(t, a.Close())
	check(t, os.Remove(filepath.Join(o.Config.StateDir, state.Dir, "MANIFEST")))
	a, err = Open(o)
	check(t, err)
	t.Cleanup(func() { check(t, a.Close()) })
	if got := a.problems(); len(got) != 1 || !strings.Contains(got[0], "set aside as "+filepath.Join(o.Config.StateDir, state.Dir+".set-aside-")) {
		t.Errorf("problems %q, want where the store is now", got)
	}
	check(t, a.heartbeat(t.Context()))
	if got := s.beats[len(s.beats)-1].GetMessage(); !strings.Contains(got, "set aside") {
		t.Errorf("the heartbeat says %q", got)
	}
	if !maps.Equal(before, identityOf(t, o.Config.StateDir)) {
		t.Error("the identity was touched")
	}
	if text := a.troubles.store(time.Now().Add(asideShown + time.Minute)); text != "" {
		t.Errorf("a day later it still says %q", text)
	}
}

// TestRunReopens goes on by itself after the store failed, and after it was found damaged while it was used.
func TestRunReopens(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault error
		aside bool
	}{
		"failed":  {errors.New("input/output error"), false},
		"damaged": {fmt.Errorf("a table: %w", store.ErrDamaged), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.begun = true
			o := s.enrolled(t, "nas")
			check(t, os.Mkdir(o.Config.Destinations[0].Directory, 0o755))
			var met atomic.Int32
			a, err := open(o, func(point string) (bool, error) {
				if point == "append" && met.Add(1) == 1 {
					return false, test.fault
				}
				return true, nil
			})
			check(t, err)
			listener, err := control.Listen(o.Config.Socket, "")
			check(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- a.Run(ctx, listener) }()
			for s.next(t).GetDestinations()[0].GetSize() != 2 {
				select {
				case err := <-ended:
					t.Fatalf("Run = %v", err)
				default:
				}
			}
			conn, err := control.Dial(t.Context(), o.Config.Socket)
			check(t, err)
			status, err := backupv1.NewAgentServiceClient(conn).GetStatus(t.Context(), &backupv1.GetStatusRequest{})
			check(t, err)
			check(t, conn.Close())
			if got := status.GetProblems(); (len(got) == 1) != test.aside || met.Load() < 2 {
				t.Errorf("problems %q after %d appends", got, met.Load())
			}
			aside, err := filepath.Glob(filepath.Join(o.Config.StateDir, state.Dir+".set-aside-*"))
			if err != nil || (len(aside) == 1) != test.aside {
				t.Errorf("set aside are %v, %v", aside, err)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run = %v", err)
			}
			check(t, a.Close())
		})
	}
}

// TestClock names a clock that is wrong, with its offset, and goes on all the same.
func TestClock(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a, err := Open(s.enrolled(t, "nas"))
	check(t, err)
	t.Cleanup(func() { check(t, a.Close()) })
	for _, test := range []struct {
		offset time.Duration
		words  string
	}{
		{0, ""}, {time.Minute, ""}, {10 * time.Minute, " 10 minutes ahead of"}, {-10 * time.Minute, " 10 minutes behind"},
		{5*time.Hour + time.Minute, "5 hours ahead of"}, {365*24*time.Hour + time.Hour, "365 days ahead of"}, {-365*24*time.Hour - time.Hour, "365 days behind"}, {0, ""},
	} {
		a.clock.Wall = func() time.Time { return time.Now().Add(test.offset) }
		for range 2 {
			check(t, a.heartbeat(t.Context()))
		}
		beat := s.beats[len(s.beats)-1]
		if got := beat.GetMessage(); (got == "") != (test.words == "") || !strings.Contains(got, test.words) {
			t.Errorf("offset %v: the heartbeat says %q, want %q", test.offset, got, test.words)
		}
		if got := time.Until(beat.GetAgentTime().AsTime()) - test.offset; got.Abs() > time.Minute {
			t.Errorf("offset %v: the heartbeat's time is off by %v", test.offset, got)
		}
		if offset, known := a.clock.Offset(); !known || (offset-test.offset).Abs() > time.Minute {
			t.Errorf("offset %v: it is said to be %v, %v", test.offset, offset, known)
		}
		if now, known := a.clock.Now(); !known || time.Until(now).Abs() > time.Minute {
			t.Errorf("offset %v: the server's time is %v, %v", test.offset, now, known)
		}
		if want := test.words != ""; (a.troubles.clock != 0) != want {
			t.Errorf("offset %v: logged is %v", test.offset, a.troubles.clock)
		}
		if _, known := a.destinations[0].window(); !known {
			t.Errorf("offset %v: no window is known", test.offset)
		}
	}
}

// TestJudgedTime carries the server's time on once, not twice.
func TestJudgedTime(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a, err := Open(s.enrolled(t, "nas"))
	check(t, err)
	t.Cleanup(func() { check(t, a.Close()) })
	heard := time.Now().Add(-45 * 24 * time.Hour)
	server := heard.Add(time.Hour)
	a.clock.Set(server, heard)
	if off := a.judged().Sub(server.Add(45 * 24 * time.Hour)); off.Abs() > time.Minute {
		t.Errorf("certificates are judged %v off", off)
	}
}

// TestRenewalByServerTime renews the certificate when it is due by the server's time, whatever this machine's clock shows.
func TestRenewalByServerTime(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		ahead time.Duration // of the server's time
		due   bool
	}{{70 * 24 * time.Hour, true}, {10 * 24 * time.Hour, false}} {
		s := newServer(t)
		a, err := Open(s.enrolled(t, "nas"))
		check(t, err)
		t.Cleanup(func() { check(t, a.Close()) })
		a.clock.Set(time.Now().Add(test.ahead), time.Now())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); a.keepCertificate(ctx) }()
		limit := 10 * time.Second
		if !test.due {
			limit = 200 * time.Millisecond
		}
		for began := time.Now(); s.renewals() == 0 && time.Since(began) < limit; {
			time.Sleep(5 * time.Millisecond)
		}
		if asked := s.renewals() > 0; asked != test.due {
			t.Errorf("%v on, by the server's time, the server was asked for the next certificate: %v", test.ahead, asked)
		}
		cancel()
		<-ended
	}
}
