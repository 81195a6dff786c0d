package sftpdest_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/sftpdest"
)

// TestPasswordOnce: a server that takes a password in two ways counts a wrong one once for each connection.
func TestPasswordOnce(t *testing.T) {
	t.Parallel()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	host, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var wrong atomic.Int64
	refused := errors.New("refused")
	config := &ssh.ServerConfig{
		PasswordCallback: func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { wrong.Add(1); return nil, refused },
		KeyboardInteractiveCallback: func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			if _, err := ask("", "", []string{"Password: "}, []bool{false}); err == nil {
				wrong.Add(1)
			}
			return nil, refused
		},
	}
	config.AddHostKey(host)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				ssh.NewServerConn(conn, config)
			}()
		}
	}()
	err = opened(t, sftpdest.Options{
		Address: listener.Addr().String(), User: "backup", HostKey: ssh.FingerprintSHA256(host.PublicKey()), Folder: "x",
		Password: func() (string, error) { return "of last month", nil },
	})
	wantCode(t, "a wrong password", err, dest.SpaceDriver, dest.CodeAuth)
	if wrong.Load() != 1 {
		t.Errorf("the wrong password was given %d times, want once", wrong.Load())
	}
}
