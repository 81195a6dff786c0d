//go:build peers

package rsyncdest_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/rsyncdest"
	"github.com/wolkvox/backup/internal/peertest/rsyncd"
	"github.com/wolkvox/backup/internal/peertest/sshd"
)

// toDaemon returns options that reach a daemon's module.
func toDaemon(t *testing.T, s *rsyncd.Server) rsyncdest.Options {
	t.Helper()
	o := rsyncdest.Options{Address: s.Address, Module: s.Module, User: s.User, Spool: t.TempDir()}
	if s.User != "" {
		o.Password = func() (string, error) { return s.Password, nil }
	}
	return o
}

// overSSH returns options that reach a folder over SSH.
func overSSH(t *testing.T, s *sshd.Server) rsyncdest.Options {
	t.Helper()
	key := func() ([]byte, error) { return s.Key, nil }
	return rsyncdest.Options{SSH: &rsyncdest.SSH{Address: s.Address, User: s.User, HostKey: s.HostKey, Key: key}, Folder: s.Dir, Spool: t.TempDir()}
}

// TestDaemon runs the suite against a folder of a daemon's module.
func TestDaemon(t *testing.T) {
	t.Parallel()
	desttest.Run(t, func(t *testing.T) desttest.Env {
		s := rsyncd.Start(t, rsyncd.Options{})
		o := toDaemon(t, s)
		o.Folder = "calls of 2026"
		env := newEnv(filepath.Join(s.Dir, o.Folder), o)
		if err := os.Mkdir(filepath.Join(s.Dir, o.Folder), 0o755); err != nil {
			t.Fatal(err)
		}
		env.CrashEvery = 3
		env.Unplug = func(t *testing.T) func() { s.Kill(); return func() { s.Restart(t) } }
		return env
	})
}

// TestSSH runs the suite against a folder over SSH.
func TestSSH(t *testing.T) {
	t.Parallel()
	desttest.Run(t, func(t *testing.T) desttest.Env {
		s := sshd.Start(t, sshd.Options{})
		env := newEnv(s.Dir, overSSH(t, s))
		env.CrashEvery = 12
		env.Unplug = func(t *testing.T) func() { s.Kill(); return func() { s.Restart(t) } }
		return env
	})
}

func newEnv(dir string, o rsyncdest.Options) desttest.Env {
	return desttest.Env{
		Opener:     rsyncdest.New(o),
		NewProcess: func() dest.Opener { return rsyncdest.New(o) },
		Plant: func(t *testing.T, name string, data []byte) {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
		},
		PlantOdd: func(t *testing.T, name string) {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("nowhere", path); err != nil {
				t.Fatal(err)
			}
		},
		FlipStaged: func(t *testing.T) { flipStaged(t, o.Spool) },
		Slow:       true,
		NoSpace:    true,
	}
}

// flipStaged flips a bit of every staged file in a spool that is not empty.
func flipStaged(t *testing.T, spool string) {
	t.Helper()
	flipped := 0
	err := filepath.WalkDir(spool, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || filepath.Base(filepath.Dir(path)) != "files" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil || len(data) == 0 {
			return err
		}
		flipped++
		data = bytes.Clone(data)
		data[len(data)/2] ^= 0x10
		return os.WriteFile(path, data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	if flipped == 0 {
		t.Error("nothing was staged")
	}
}
