package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/server/internal/adminrpc"
	"github.com/wolkvox/backup/server/internal/config"
	"github.com/wolkvox/backup/server/internal/contentrpc"
	"github.com/wolkvox/backup/server/internal/door"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
	"github.com/wolkvox/backup/server/internal/storage"
)

// doorFile is in the state directory while the door is open: HOST:PORT at which it is.
const doorFile = "door"

// entrance is where people come in over SFTP; nil where the configuration has none.
type entrance struct {
	door     *door.Door
	listener net.Listener
	path     string // of the file that says where
}

// openEntrance listens where the configuration says, nil where it says nothing. The host key is made at the first time, and
// lies beside the server's other keys, with which it is backed up.
func openEntrance(c config.Config, reg *registry.Registry, sequencers *sequencer.Set, contents *contentrpc.Service, stored *storage.Store, log *slog.Logger) (*entrance, error) {
	if c.Door.Listen == "" {
		return nil, nil
	}
	host, err := door.LoadHostKey(filepath.Join(c.StateDir, identityDir, door.HostKeyFile))
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", c.Door.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for the door: %w; is another program at this port, and may this user take it?", err)
	}
	e := &entrance{
		door:     door.New(door.Parts{HostKey: host, Registry: reg, Sequencers: sequencers, Contents: contents, Storage: stored, Log: reg, Logger: log}),
		listener: listener, path: filepath.Join(c.StateDir, doorFile),
	}
	if err := durable.WriteFile(e.path, []byte(listener.Addr().String()+"\n"), 0o644); err != nil {
		e.close()
		return nil, fmt.Errorf("write the address of the door: %w", err)
	}
	return e, nil
}

func (e *entrance) close() {
	if e != nil {
		e.listener.Close()
		os.Remove(e.path)
	}
}

// keeper returns the door for those who manage its keys, nil where there is none.
func (e *entrance) keeper() adminrpc.Door {
	if e == nil {
		return nil
	}
	return e.door
}

// stats returns what went through the door, nothing where there is none.
func (e *entrance) stats() door.Stats {
	if e == nil {
		return door.Stats{}
	}
	return e.door.Stats()
}

// serve lets people in until ctx ends, whose cause it returns.
func (e *entrance) serve(ctx context.Context, log *slog.Logger) error {
	if e == nil {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	log.LogAttrs(ctx, slog.LevelInfo, "door is open", slog.String("listen", e.listener.Addr().String()), slog.String("host_key", e.door.Host().Fingerprint()))
	return e.door.Serve(ctx, e.listener)
}
