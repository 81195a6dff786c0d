//go:build peers

package rsyncd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/wolkvox/backup/internal/peertest/rsyncd"
)

// TestServer pushes with the rsync program, with changed passwords, to a killed daemon and one that takes no writes.
func TestServer(t *testing.T) {
	t.Parallel()
	s := rsyncd.Start(t, rsyncd.Options{})
	file := filepath.Join(t.TempDir(), "a.gsm")
	if err := os.WriteFile(file, []byte("recording"), 0o600); err != nil {
		t.Fatal(err)
	}
	push := func(password string) error {
		cmd := exec.CommandContext(t.Context(), "rsync", "-I", file, "rsync://"+s.User+"@"+s.Address+"/"+s.Module+"/")
		cmd.Env = append(os.Environ(), "RSYNC_PASSWORD="+password)
		return cmd.Run()
	}
	if err := push(s.Password); err != nil {
		t.Fatalf("push: %v; log:\n%s", err, s.Log())
	}
	if data, err := os.ReadFile(filepath.Join(s.Dir, "a.gsm")); err != nil || string(data) != "recording" {
		t.Errorf("pushed was %q, %v", data, err)
	}
	old := s.Password
	s.SetPassword(t, "another")
	if push(old) == nil {
		t.Error("the old password is still taken")
	}
	if err := push(s.Password); err != nil {
		t.Errorf("push with the new password: %v", err)
	}
	s.Kill()
	if push(s.Password) == nil {
		t.Error("the killed daemon still answers")
	}
	s.Restart(t)
	s.Configure(t, rsyncd.Options{ReadOnly: true})
	if push(s.Password) == nil {
		t.Error("a module that is read-only took a write")
	}
	s.Configure(t, rsyncd.Options{})
	if err := push(s.Password); err != nil {
		t.Errorf("push after all: %v", err)
	}
}
