//go:build peers

package sshd_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/wolkvox/backup/internal/peertest/sshd"
)

// TestServer logs in by the ssh program and by the library, kills the server in mid-session and starts it again.
func TestServer(t *testing.T) {
	t.Parallel()
	s := sshd.Start(t, sshd.Options{})
	client := login(t, s)
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start("sleep 1000"); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	if err := session.Wait(); err == nil {
		t.Error("the session outlived the server")
	}
	if _, err := ssh.Dial("tcp", s.Address, &ssh.ClientConfig{}); err == nil {
		t.Error("the killed server still answers")
	}
	s.Restart(t)
	login(t, s)

	known := t.TempDir() + "/known_hosts"
	host, port := split(t, s.Address)
	write(t, known, "["+host+"]:"+port+" "+s.HostKey+"\n")
	out, err := exec.CommandContext(t.Context(), "ssh", "-F", "none", "-i", s.KeyFile, "-p", port, "-o", "UserKnownHostsFile="+known,
		"-o", "BatchMode=yes", s.User+"@"+host, "echo", "served").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("served")) {
		t.Errorf("ssh: %v: %s", err, out)
	}
}

func login(t *testing.T, s *sshd.Server) *ssh.Client {
	t.Helper()
	signer, err := ssh.ParsePrivateKey(s.Key)
	if err != nil {
		t.Fatal(err)
	}
	host, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s.HostKey))
	if err != nil {
		t.Fatal(err)
	}
	client, err := ssh.Dial("tcp", s.Address, &ssh.ClientConfig{
		User: s.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.FixedHostKey(host), HostKeyAlgorithms: []string{host.Type()},
	})
	if err != nil {
		t.Fatalf("%v; log:\n%s", err, s.Log())
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func split(t *testing.T, address string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
