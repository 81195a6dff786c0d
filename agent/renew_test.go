package agent

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wolkvox/backup/agent/internal/control"
)

// TestRenewedWhileAtWork changes to the next certificate while the agent works: the watch is opened anew over a connection
// that shows it, nothing else ends, and the one before is not kept.
func TestRenewedWhileAtWork(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.begun = true
	o := s.enrolled(t, "nas")
	check(t, os.Mkdir(o.Config.Destinations[0].Directory, 0o755))
	a, err := Open(o)
	check(t, err)
	first := a.who().Credential.Certificate.Leaf
	listener, err := control.Listen(o.Config.Socket, "")
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, listener) }()
	for s.next(t).GetDestinations()[0].GetSize() != 2 {
		continue
	}
	watches := s.watches.Load()
	s.ended.Store(true)
	for deadline := time.Now().Add(10 * time.Second); s.watches.Load() == watches || a.serverProblem() != nil; time.Sleep(5 * time.Millisecond) {
		select {
		case err := <-ended:
			t.Fatalf("Run = %v", err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %d more watches the server's problem is %v", s.watches.Load()-watches, a.serverProblem())
		}
	}
	beat := s.next(t)
	s.mu.Lock()
	shown := s.shown[len(s.shown)-1]
	s.mu.Unlock()
	given := s.renewals()
	if now := a.who().Credential.Certificate.Leaf; !shown.Equal(now) || now.Equal(first) || given != 1 {
		t.Errorf("after %d renewals the certificate %v is shown, in use is %v, the first was %v", given, shown.SerialNumber, now.SerialNumber, first.SerialNumber)
	}
	if got := beat.GetDestinations()[0]; got.GetSessionNumber() != 1 || got.GetSize() != 2 {
		t.Errorf("afterwards the heartbeat says %v", got)
	}
	if kept, err := filepath.Glob(filepath.Join(o.Config.StateDir, "identity", "*previous*")); err != nil || len(kept) != 0 {
		t.Errorf("of the certificate before %v is kept, %v", kept, err)
	}
	cancel()
	check(t, <-ended)
	check(t, a.Close())
}

// TestRefusedBefore does not renew a certificate because the one before was refused.
func TestRefusedBefore(t *testing.T) {
	t.Parallel()
	a, err := Open(newServer(t).enrolled(t, "nas"))
	check(t, err)
	a.refused <- struct{}{}
	check(t, a.use(a.who()))
	if len(a.refused) != 0 {
		t.Error("it is renewed again")
	}
	check(t, a.Close())
}
