package control

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func TestSocketPermissions(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the access list of the folder says who may use the socket")
	}
	path := filepath.Join(t.TempDir(), "run", "agent", "s")
	listener, err := Listen(path, "")
	check(t, err)
	t.Cleanup(func() { listener.Close() })
	for name, want := range map[string]fs.FileMode{path: 0o660 | fs.ModeSocket, filepath.Dir(path): 0o750 | fs.ModeDir} {
		info, err := os.Lstat(name)
		check(t, err)
		if info.Mode() != want {
			t.Errorf("%s has the mode %v, want %v", name, info.Mode(), want)
		}
	}
	// A directory that is there stays as it was made.
	own := filepath.Join(t.TempDir(), "own")
	check(t, os.Mkdir(own, 0o711))
	other, err := Listen(filepath.Join(own, "s"), "")
	check(t, err)
	check(t, other.Close())
	if info, err := os.Lstat(own); err != nil || info.Mode().Perm() != 0o711 {
		t.Errorf("the directory's mode became %v, %v", info.Mode(), err)
	}
	if _, err := Listen(filepath.Join(own, "s"), "no-such-group-anywhere"); err == nil || !strings.Contains(err.Error(), "socket_group") || exists(filepath.Join(own, "s")) {
		t.Errorf("with a group that is none: %v, socket there %v", err, exists(filepath.Join(own, "s")))
	}
}

func TestSocketTaken(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	first, err := Listen(path, "")
	check(t, err)
	if _, err := Listen(path, ""); err == nil || !strings.Contains(err.Error(), "another agent answers") || !exists(path) {
		t.Errorf("a second agent: %v", err)
	}
	// A process that was killed leaves its socket.
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	check(t, first.Close())
	if !exists(path) {
		t.Fatal("the socket is gone")
	}
	if _, err := Dial(t.Context(), path); !errors.Is(err, ErrNoService) {
		t.Errorf("Dial of what was left = %v, want ErrNoService", err)
	}
	second, err := Listen(path, "")
	check(t, err)
	check(t, second.Close())
	if _, err := Dial(t.Context(), path); !errors.Is(err, ErrNoService) || !strings.Contains(err.Error(), path) {
		t.Errorf("Dial of nothing = %v, want ErrNoService with the path", err)
	}
	check(t, os.WriteFile(path, []byte("mine"), 0o600))
	if _, err := Listen(path, ""); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("where a file is: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Errorf("the file holds %q now, %v", text, err)
	}
}

// TestDialCancelled gives up with its caller.
func TestDialCancelled(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(ctx, r.socket); err == nil {
		t.Error("a call that was given up is made")
	}
}

// TestServeFails returns why it cannot serve.
func TestServeFails(t *testing.T) {
	t.Parallel()
	listener, err := Listen(filepath.Join(t.TempDir(), "s"), "")
	check(t, err)
	check(t, listener.Close())
	service := &Service{UnimplementedAgentServiceServer: backupv1.UnimplementedAgentServiceServer{}}
	if err := service.Serve(t.Context(), listener); err == nil {
		t.Error("Serve at a listener that is closed returns nil")
	}
}
