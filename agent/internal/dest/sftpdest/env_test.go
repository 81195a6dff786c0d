package sftpdest_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/sftpdest"
	"github.com/wolkvox/backup/internal/peertest/gosftp"
)

// TestDriver runs the suite against servers that offer more or less.
func TestDriver(t *testing.T) {
	t.Parallel()
	for name, extensions := range map[string][]string{
		"all extensions of the library": gosftp.AllExtensions(),
		"no extensions":                 nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			desttest.Run(t, func(t *testing.T) desttest.Env {
				s := gosftp.Start(t, gosftp.Options{Extensions: extensions})
				env := newEnv(t, s.Dir, func() dest.Opener { return open(t, s) })
				env.NoSpace = extensions == nil
				return env
			})
		})
	}
}

// password returns the options for a server of package gosftp.
func password(s *gosftp.Server) sftpdest.Options {
	return sftpdest.Options{
		Address: s.Address, User: s.User, HostKey: s.HostKey, Folder: s.Dir,
		Password: func() (string, error) { return s.Password(), nil },
	}
}

func open(t testing.TB, s *gosftp.Server) *sftpdest.SFTP {
	t.Helper()
	return opener(t, password(s))
}

func opener(t testing.TB, o sftpdest.Options) *sftpdest.SFTP {
	t.Helper()
	s, err := sftpdest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newEnv is a place whose server serves dir from this machine's disk.
func newEnv(t *testing.T, dir string, open func() dest.Opener) desttest.Env {
	return desttest.Env{
		Slow:       true,
		Opener:     open(),
		NewProcess: open,
		Plant: func(t *testing.T, name string, data []byte) {
			t.Helper()
			path := filepath.Join(dir, filepath.FromSlash(name))
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644)); err != nil {
				t.Fatal(err)
			}
		},
		PlantOdd: func(t *testing.T, name string) {
			t.Helper()
			if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(name)), 0o755); err != nil {
				t.Fatal(err)
			}
		},
		FlipStaged: func(t *testing.T) { t.Helper(); flipStaged(t, dir) },
		Unplug: func(t *testing.T) func() {
			t.Helper()
			move := func(from, to string) {
				t.Helper()
				if err := os.Rename(from, to); err != nil {
					t.Fatal(err)
				}
			}
			move(dir, dir+".away")
			return func() { move(dir+".away", dir) }
		},
	}
}

// flipStaged flips one bit in every staged file, through the cache, as another program would.
func flipStaged(t *testing.T, dir string) {
	t.Helper()
	flipped := 0
	err := filepath.WalkDir(filepath.Join(dir, backup.OwnPrefix, "staging"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil || len(data) == 0 {
			return err
		}
		flipped++
		data[len(data)/2] ^= 1
		return os.WriteFile(path, data, 0)
	})
	if err != nil || flipped == 0 {
		t.Errorf("flipped a bit in %d staged files: %v", flipped, err)
	}
}
