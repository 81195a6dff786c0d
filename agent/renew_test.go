package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wolkvox/backup/agent/internal/control"
	"github.com/wolkvox/backup/internal/identity"
)

// An agent at work renews its certificate when that is due by the server's time, or when the server refuses it, and goes
// on with the next one; one that need not renew does not.
func TestRunRenews(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		age   time.Duration // of the certificate
		stale bool          // the server refuses it
		want  bool
	}{
		"it is due":         {61 * 24 * time.Hour, false, true},
		"it is refused":     {30 * 24 * time.Hour, true, true},
		"it is neither yet": {59 * 24 * time.Hour, false, false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.age, s.stale = test.age, test.stale
			o := s.enrolled(t, "nas")
			o.BuildDate = time.Now()
			check(t, os.Mkdir(o.Config.Destinations[0].Directory, 0o755))
			a, err := Open(o)
			check(t, err)
			before := a.who().Credential.Certificate.Leaf
			listener, err := control.Listen(o.Config.Socket, "")
			check(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- a.Run(ctx, listener) }()
			shown := before
			for beats := 0; shown.Equal(before) && (test.want && beats < 100 || beats < 5); beats++ {
				s.next(t)
				shown = s.last()
			}
			if got := !shown.Equal(before); got != test.want || got && identity.KeyHash(shown) == identity.KeyHash(before) {
				t.Errorf("renewed %t, want %t", got, test.want)
			}
			if test.want { // the next heartbeat comes after the one before was answered
				s.next(t)
				if _, err := os.Stat(filepath.Join(o.Config.StateDir, "identity", "agent-previous.pem")); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the certificate before is still kept: %v", err)
				}
			}
			cancel()
			check(t, <-ended)
			check(t, a.Close())
		})
	}
}

// last returns the certificate that was shown last.
func (s *fakeServer) last() *x509.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown
}
