package agent

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup/agent/internal/control"
	"github.com/wolkvox/backup/agent/internal/enroll"
	"github.com/wolkvox/backup/agent/internal/state"
	"github.com/wolkvox/backup/agent/internal/uplink"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/size"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	t.Run("not enrolled", func(t *testing.T) {
		t.Parallel()
		o := s.enrolled(t, "nas")
		for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
			o.Config.StateDir = dir
			if _, err := Open(o); !errors.Is(err, enroll.ErrNotEnrolled) || !strings.Contains(err.Error(), "wolkvox-agent enroll") {
				t.Errorf("Open = %v, want ErrNotEnrolled with its remedy", err)
			}
			if _, err := os.Stat(filepath.Join(dir, state.Dir)); err == nil {
				t.Error("a store was made")
			}
		}
	})
	t.Run("in use", func(t *testing.T) {
		t.Parallel()
		o := s.enrolled(t, "nas")
		a, err := Open(o)
		check(t, err)
		if _, err := Open(o); !errors.Is(err, store.ErrInUse) {
			t.Errorf("Open of an open store = %v, want ErrInUse", err)
		}
		check(t, a.Close())
		if a, err = Open(o); err != nil {
			t.Fatalf("Open after Close = %v", err)
		}
		check(t, a.Close())
	})
	t.Run("a destination that it is not enrolled for", func(t *testing.T) {
		t.Parallel()
		o := s.enrolled(t, "nas", "tape")
		if _, err := Open(o); err == nil || !strings.Contains(err.Error(), `"tape"`) || !strings.Contains(err.Error(), "enroll") {
			t.Errorf("Open = %v, want an error that names the destination", err)
		}
		// Nothing is left open.
		o.Config.Destinations = o.Config.Destinations[:1]
		a, err := Open(o)
		check(t, err)
		check(t, a.Close())
	})
	t.Run("no room", func(t *testing.T) {
		t.Parallel()
		o := s.enrolled(t, "nas")
		reserve := size.Size(1 << 62)
		o.Config.StateReserve = &reserve
		if _, err := Open(o); err == nil || !strings.Contains(err.Error(), "state_reserve") || !strings.Contains(err.Error(), o.Config.StateDir) {
			t.Errorf("Open = %v, want an error with the volume and the remedy", err)
		}
	})
}

// TestRun keeps in touch with the server and answers people, until its time is over; then all of it has ended.
func TestRun(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	o := s.enrolled(t, "nas")
	check(t, os.Mkdir(o.Config.Destinations[0].Directory, 0o755))
	a, err := Open(o)
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	listener, err := control.Listen(o.Config.Socket, "")
	check(t, err)
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, listener) }()
	var beat *backupv1.HeartbeatRequest
	for beat == nil || beat.GetDestinations()[0].GetSessionNumber() == 0 {
		beat = s.next(t)
	}
	if d := beat.GetDestinations()[0]; beat.GetAgentVersion() != "v1" || d.GetOrigin() != string(originOf("nas")) || d.GetSessionNumber() != 1 {
		t.Errorf("heartbeat %v", beat)
	}
	conn, err := control.Dial(t.Context(), o.Config.Socket)
	check(t, err)
	status, err := backupv1.NewAgentServiceClient(conn).GetStatus(t.Context(), &backupv1.GetStatusRequest{})
	check(t, err)
	check(t, conn.Close())
	if status.GetServerAddress() != s.address || len(status.GetDestinations()) != 1 || status.GetServerProblem() != "" {
		t.Errorf("status %v", status)
	}
	cancel()
	select {
	case err := <-ended:
		check(t, err)
	case <-time.After(time.Minute):
		t.Fatal("Run goes on")
	}
	check(t, a.Close())
	if _, err := net.Dial("unix", o.Config.Socket); err == nil {
		t.Error("the socket still answers")
	}
}

// TestRunSuperseded ends all parts, with the reason, where another process of this agent took over.
func TestRunSuperseded(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	o := s.enrolled(t, "nas")
	a, err := Open(o)
	check(t, err)
	s.watched <- wire.Error(codes.Aborted, wire.ReasonSuperseded, "x")
	listener, err := control.Listen(o.Config.Socket, "")
	check(t, err)
	if err := a.Run(t.Context(), listener); !errors.Is(err, uplink.ErrSuperseded) {
		t.Errorf("Run = %v, want ErrSuperseded", err)
	}
	check(t, a.Close())
}

// TestHeartbeatFails keeps why the server could not be told, until it could.
func TestHeartbeatFails(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a, err := Open(s.enrolled(t, "nas"))
	check(t, err)
	t.Cleanup(func() { check(t, a.Close()) })
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.heartbeat(over); err == nil || a.serverProblem() == nil {
		t.Errorf("a heartbeat that was called off: %v, problem %v", err, a.serverProblem())
	}
	if _, ok := a.destinations[0].window(); ok {
		t.Error("a window is known before the server said one")
	}
	if err := a.heartbeat(t.Context()); err != nil || a.serverProblem() != nil {
		t.Errorf("heartbeat: %v, problem %v", err, a.serverProblem())
	}
	if w, ok := a.destinations[0].window(); !ok || w.End != 6*time.Hour || w.Location.String() != "America/Bogota" {
		t.Errorf("window %v, %v", w, ok)
	}
}
