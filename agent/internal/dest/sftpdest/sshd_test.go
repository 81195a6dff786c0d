//go:build linux && peers

package sftpdest_test

import (
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/sftpdest"
	"github.com/wolkvox/backup/internal/peertest/sshd"
)

// TestDriverOpenSSH runs the suite against OpenSSH, with folders of their own on one server.
func TestDriverOpenSSH(t *testing.T) {
	t.Parallel()
	s := sshd.Start(t, sshd.Options{})
	desttest.Run(t, func(t *testing.T) desttest.Env {
		dir := t.TempDir()
		return newEnv(t, dir, func() dest.Opener {
			o := withKey(s)
			o.Folder = dir
			return opener(t, o)
		})
	})
}

// withKey returns the options for sshd's folder.
func withKey(s *sshd.Server) sftpdest.Options {
	return sftpdest.Options{
		Address: s.Address, User: s.User, HostKey: s.HostKey, Folder: s.Dir,
		Key: func() ([]byte, error) { return s.Key, nil },
	}
}
