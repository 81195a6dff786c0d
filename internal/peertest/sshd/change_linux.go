package sshd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// SetReadOnly makes the SFTP server refuse every change, or take them again. It counts after the next [Server.Restart].
func (s *Server) SetReadOnly(t testing.TB, on bool) {
	t.Helper()
	const name = "sshd_config"
	text, err := os.ReadFile(filepath.Join(s.folder, name))
	if err != nil {
		t.Fatal(err)
	}
	plain := "internal-sftp -d " + s.Dir
	config := strings.ReplaceAll(string(text), plain+" -R", plain)
	if on {
		config = strings.ReplaceAll(config, plain, plain+" -R")
	}
	s.write(t, name, []byte(config))
}

// SetAuthorized has one key taken from now on, and no other. Connections that there are stay.
func (s *Server) SetAuthorized(t testing.TB, key ssh.PublicKey) {
	t.Helper()
	s.write(t, "authorized_keys", ssh.MarshalAuthorizedKey(key))
}
