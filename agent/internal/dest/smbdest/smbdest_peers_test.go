//go:build peers

package smbdest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/smbdest"
	"github.com/wolkvox/backup/internal/peertest/samba"
)

func TestDriver(t *testing.T) {
	t.Parallel()
	server := samba.Start(t, samba.Options{})
	desttest.Run(t, newEnvs(server))
}

// newEnvs returns what makes an empty folder on the server's share, and opens it.
func newEnvs(server *samba.Server) func(t *testing.T) desttest.Env {
	var folders atomic.Int64
	return func(t *testing.T) desttest.Env {
		folder := "cliente ñandú/" + strconv.FormatInt(folders.Add(1), 10)
		dir := filepath.Join(server.Dir, folder)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		open := func() dest.Opener { return smbdest.New(options(server, folder)) }
		return desttest.Env{
			Slow:       true,
			Opener:     open(),
			NewProcess: open,
			Plant:      func(t *testing.T, name string, data []byte) { t.Helper(); plant(t, dir, name, data) },
			PlantOdd: func(t *testing.T, name string) {
				t.Helper()
				if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
					t.Fatal(err)
				}
			},
			FlipStaged: func(t *testing.T) { t.Helper(); flipStaged(t, dir) },
			Unplug: func(t *testing.T) func() {
				t.Helper()
				rename := func(from, to string) {
					if err := os.Rename(from, to); err != nil {
						t.Fatal(err)
					}
				}
				rename(dir, dir+".away")
				return func() { rename(dir+".away", dir) }
			},
		}
	}
}

func options(server *samba.Server, folder string) smbdest.Options {
	return smbdest.Options{
		Address: server.Address, Share: server.Share, Folder: folder, User: server.User,
		Password: func() (string, error) { return server.Password, nil },
	}
}

func plant(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// flipStaged flips one bit in every staged file on the server's disk.
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
		return os.WriteFile(path, data, 0o644)
	})
	if err != nil || flipped == 0 {
		t.Errorf("flipped a bit in %d staged files: %v", flipped, err)
	}
}
