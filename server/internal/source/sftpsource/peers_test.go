//go:build linux && peers

package sftpsource

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/wolkvox/backup/internal/peertest/sshd"
	"github.com/wolkvox/backup/server/internal/source"
	"github.com/wolkvox/backup/server/internal/source/sourcetest"
)

// openSSH is a folder behind OpenSSH's sshd.
type openSSH struct {
	server *sshd.Server
	host   *Host
}

func TestConformanceOpenSSH(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, func(t *testing.T) sourcetest.Place {
		s := sshd.Start(t, sshd.Options{})
		return openSSH{s, newTestHost(t, Config{Address: s.Address, User: s.User, Folder: s.Dir, HostKey: s.HostKey, KeyFile: s.KeyFile}, testTiming())}
	})
}

func (o openSSH) Open(t *testing.T) (source.Driver, error) { return o.host.Open(t.Context()) }

func (o openSSH) Write(t *testing.T, name, contents string) {
	t.Helper()
	path := filepath.Join(o.server.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(contents), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (o openSSH) Remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(o.server.Dir, name)); err != nil {
		t.Fatal(err)
	}
}

func (o openSSH) Break() func(t *testing.T) { return func(*testing.T) { o.server.Kill() } }
