package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// ErrNoService says that no running agent answers at the socket.
var ErrNoService = errors.New("no agent service answers")

// The owner and the group are let in.
const (
	socketMode fs.FileMode = 0o660
	dirMode    fs.FileMode = 0o750
)

// Listen opens the socket at path for the owner and the group; an empty group is the process's own. What an earlier
// process left there is removed; a socket that answers, or may not be opened, is an error. The socket's directory is
// made, for the owner and the group, where it is missing.
func Listen(path, group string) (net.Listener, error) {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return nil, errors.Join(fmt.Errorf("another agent answers at %s; stop it first", path), conn.Close())
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("control socket: it may be another user's agent that answers at %s: %w", path, err)
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("control socket: %w", err)
	case info.Mode()&fs.ModeSocket == 0:
		return nil, fmt.Errorf("control socket: %s is there and is no socket; move it away or set another `socket`", path)
	default:
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control socket: %w", err)
		}
	}
	if err := makeDir(filepath.Dir(path), group); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := permit(path, group, socketMode); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), listener.Close())
	}
	return listener, nil
}

// makeDir makes the socket's directory; one that is there stays as the administrator made it.
func makeDir(dir, group string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(dir, dirMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = permit(dir, group, dirMode)
	}
	return err
}

// Serve answers at the listener until ctx ends, and returns when all calls have ended. It closes the listener.
func (s *Service) Serve(ctx context.Context, listener net.Listener) error {
	server := grpc.NewServer(grpc.Creds(callers{}), grpc.WaitForHandlers(true)) // whoever closes the store afterwards has to know that nobody uses it
	backupv1.RegisterAgentServiceServer(server, s)
	stop := context.AfterFunc(ctx, server.Stop)
	defer server.Stop()
	defer stop()
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// Dial connects to the agent that answers at the socket. ErrNoService says that there is none; a socket that may not be
// opened is fs.ErrPermission.
func Dial(ctx context.Context, path string) (*grpc.ClientConn, error) {
	var dialer net.Dialer
	probe, err := dialer.DialContext(ctx, "unix", path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%s may be opened by the agent's own user and the members of its group only: %w", path, fs.ErrPermission)
	}
	if err != nil {
		return nil, fmt.Errorf("%w at %s: %w", ErrNoService, path, err)
	}
	if err := probe.Close(); err != nil {
		return nil, err
	}
	return grpc.NewClient("passthrough:///agent",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) }))
}
