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
	address := listen(t, func(conn net.Conn) { ssh.NewServerConn(conn, config) })
	err = opened(t, sftpdest.Options{
		Address: address, User: "backup", HostKey: ssh.FingerprintSHA256(host.PublicKey()), Folder: "x",
		Password: func() (string, error) { return "of last month", nil },
	})
	wantCode(t, "a wrong password", err, dest.SpaceDriver, dest.CodeAuth)
	if wrong.Load() != 1 {
		t.Errorf("the wrong password was given %d times, want once", wrong.Load())
	}
}

// TestNoSFTP: a server that refuses SFTP is told from a line that breaks when SFTP is asked for.
func TestNoSFTP(t *testing.T) {
	t.Parallel()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	host, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{NoClientAuth: true, PasswordCallback: func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, nil }}
	config.AddHostKey(host)
	serve := func(asked func(net.Conn, ssh.NewChannel)) sftpdest.Options {
		address := listen(t, func(conn net.Conn) {
			_, channels, requests, err := ssh.NewServerConn(conn, config)
			if err != nil {
				return
			}
			go func() {
				for r := range requests {
					r.Reply(false, nil)
				}
			}()
			for c := range channels {
				asked(conn, c)
			}
		})
		return sftpdest.Options{
			Address: address, User: "backup", HostKey: ssh.FingerprintSHA256(host.PublicKey()), Folder: "x",
			Password: func() (string, error) { return "", nil },
		}
	}
	err = opened(t, serve(func(_ net.Conn, c ssh.NewChannel) { c.Reject(ssh.UnknownChannelType, "no shell here") }))
	wantCode(t, "a server without SFTP", err, dest.SpaceDriver, dest.CodeUnsupported)
	breaks := serve(func(conn net.Conn, _ ssh.NewChannel) { conn.Close() })
	for range 50 { // the library notices in two places at once
		err := opened(t, breaks)
		if coded, ok := errors.AsType[*dest.CodeError](err); !errors.Is(err, dest.ErrUnreachable) || ok && coded.Name == dest.CodeUnsupported {
			t.Fatalf("the line breaks: %v", err)
		}
	}
}

// listen answers connections until the test ends, and returns at which address.
func listen(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				answer(conn)
			}()
		}
	}()
	return listener.Addr().String()
}
