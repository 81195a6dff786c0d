package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup/agent/internal/control"
	"github.com/wolkvox/backup/agent/internal/enroll"
	"github.com/wolkvox/backup/internal/identity"
)

const day = 24 * time.Hour

// running runs an agent whose certificate is so old, until the test ends.
func (s *fakeServer) running(t *testing.T, age time.Duration) (*Agent, Options) {
	t.Helper()
	s.age = age
	o := s.enrolled(t, "nas")
	a, err := Open(o)
	check(t, err)
	listener, err := control.Listen(o.Config.Socket, "")
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		check(t, <-ended)
		check(t, a.Close())
	})
	return a, o
}

// waitFor returns when holds does, which it has to soon.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%s: waited in vain", what)
		}
	}
}

func (s *fakeServer) lastCertificate() *x509.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.certs) == 0 {
		return nil
	}
	return s.certs[len(s.certs)-1]
}

// TestRunRenews renews the certificate of a running agent without a restart: in the last third of its life, and after its
// end. The watch goes on with the next one, and nothing is called with the one before after that.
func TestRunRenews(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		age   time.Duration
		renew bool
	}{
		"in the second third": {59 * day, false},
		"in the last third":   {61 * day, true},
		"29 days after":       {119 * day, true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			a, o := s.running(t, test.age)
			before := a.who().Credential.Certificate.Leaf
			if !test.renew {
				s.thrice(t)
				if got := s.lastCertificate(); !got.Equal(before) {
					t.Error("the certificate was renewed too early")
				}
				return
			}
			waitFor(t, "a heartbeat with the next certificate", func() bool {
				got := s.lastCertificate()
				return got != nil && !got.Equal(before)
			})
			waitFor(t, "a session with the next certificate", func() bool { return a.destinations[0].session.Problem() == nil })
			waitFor(t, "the certificate before to be removed", func() bool {
				_, err := os.Stat(filepath.Join(o.Config.StateDir, "identity", "agent-previous.pem"))
				return errors.Is(err, fs.ErrNotExist)
			})
			id, err := enroll.Load(o.Config.StateDir)
			check(t, err)
			if !id.Credential.Certificate.Leaf.Equal(s.lastCertificate()) || !a.who().Credential.Certificate.Leaf.Equal(s.lastCertificate()) {
				t.Error("what the agent shows is not what it wrote down")
			}
			waitFor(t, "no problem", func() bool { return a.serverProblem() == nil })
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.replaced != 0 {
				t.Errorf("%d calls were made with the certificate before", s.replaced)
			}
		})
	}
}

// thrice waits for three heartbeats: with the first the server's time is heard.
func (s *fakeServer) thrice(t *testing.T) {
	t.Helper()
	for range 3 {
		s.next(t)
	}
}

// TestRunGoesBack goes on with the certificate before where the server refuses the next one that it gave.
func TestRunGoesBack(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.refuse = true
	a, o := s.running(t, 61*day)
	before := a.who().Credential.Certificate.Leaf
	waitFor(t, "the refusal in the status", func() bool {
		problem := a.serverProblem()
		return problem != nil && strings.Contains(problem.Error(), "refuses the certificate that it has just given")
	})
	s.next(t)
	if !s.lastCertificate().Equal(before) {
		t.Error("heartbeats show another certificate than the one before")
	}
	id, err := enroll.Load(o.Config.StateDir)
	check(t, err)
	if !id.Credential.Certificate.Leaf.Equal(before) {
		t.Error("another certificate than the one before is in use")
	}
}

// TestRunIsTold has the remedy in the status of an agent that the server refuses.
func TestRunIsTold(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.age = 10 * day
	o := s.enrolled(t, "nas")
	s.inUse = identity.KeyHash(s.authority.Certificate()) // another machine's
	a, err := Open(o)
	check(t, err)
	t.Cleanup(func() { check(t, a.Close()) })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { a.keepCertificate(ctx); close(ended) }()
	if err := a.heartbeat(t.Context()); !enroll.IsRefused(err) {
		t.Errorf("heartbeat = %v, want it refused", err)
	}
	waitFor(t, "the remedy", func() bool {
		problem := a.serverProblem()
		return errors.Is(problem, enroll.ErrRefused) && strings.Contains(problem.Error(), "join string")
	})
	cancel()
	<-ended
}
