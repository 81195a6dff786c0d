// Package gosftp is an SSH server with SFTP inside the test's own process, for what OpenSSH cannot be made to do in a test:
// passwords that change, accounts that are locked, servers without extensions, servers whose rename replaces, and any
// answer to any request. It is no part of any program of this project, and no model of how fast a server is.
package gosftp

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// Options say what is served. The zero value serves an empty folder of its own, by password, without extensions.
type Options struct {
	Dir string // the folder that is served; a new one where empty
	// Extensions are those that are offered, of hardlink@openssh.com, posix-rename@openssh.com and statvfs@openssh.com.
	Extensions []string
	// Replaces makes plain rename replace what has the name, against the protocol, as some servers do.
	Replaces bool
	// Interactive has the server ask for the password by keyboard-interactive, and not take it otherwise.
	Interactive bool
	// Answer is asked before every request that carries a path or data; where it returns true the request is answered with
	// the status that it returns, and not carried out. It may block. It is called from several goroutines.
	Answer func(Request) (status uint32, answered bool)
}

// AllExtensions are all that the server can offer.
func AllExtensions() []string {
	return []string{"hardlink@openssh.com", "posix-rename@openssh.com", "statvfs@openssh.com"}
}

// Server is a running server. Its methods are safe for concurrent use.
type Server struct {
	Address     string // host:port
	User        string
	HostKey     string // as in an authorized_keys file
	Fingerprint string // of the same, "SHA256:..."
	Dir         string // the folder that is served; the login is not confined to it, and SFTP starts in it

	options Options
	host    ssh.Signer
	group   sync.WaitGroup

	mu       sync.Mutex
	password string
	locked   bool
	listener net.Listener // nil while the server is down
	conns    map[net.Conn]struct{}
}

// Start starts a server on a free port of the loopback interface. It ends with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	host, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		User: "backup", HostKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host.PublicKey()))),
		Fingerprint: ssh.FingerprintSHA256(host.PublicKey()), Dir: o.Dir,
		options: o, host: host, password: rand.Text(), conns: make(map[net.Conn]struct{}),
	}
	if s.Dir == "" {
		s.Dir = t.TempDir()
	}
	s.Address = "127.0.0.1:0"
	s.Restart(t)
	t.Cleanup(s.Kill)
	return s
}

// Password returns the one that is right.
func (s *Server) Password() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.password
}

// SetPassword changes the password. Connections that there are stay.
func (s *Server) SetPassword(password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.password = password
}

// Lock has every login refused, or taken again.
func (s *Server) Lock(locked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.locked = locked
}

// Cut resets all connections that there are.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetLinger(0) // a reset, not an orderly end
		}
		conn.Close()
	}
}

// Kill ends the server and all connections at once. Requests that Answer holds up are waited for.
func (s *Server) Kill() {
	s.mu.Lock()
	if s.listener != nil {
		s.listener.Close()
		s.listener = nil
	}
	s.mu.Unlock()
	s.Cut()
	s.group.Wait()
}

// Restart starts the server again on the same port. A running one is killed first.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Kill()
	listener, err := net.Listen("tcp", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.listener, s.Address = listener, listener.Addr().String()
	s.mu.Unlock()
	s.group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if s.add(conn, listener) {
				s.group.Go(func() { s.serve(conn) })
			}
		}
	})
}

func (s *Server) add(conn net.Conn, listener net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != listener {
		conn.Close()
		return false
	}
	s.conns[conn] = struct{}{}
	return true
}

var errRefused = errors.New("refused")

// right tells whether somebody may log in.
func (s *Server) right(user, password string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locked || user != s.User || subtle.ConstantTimeCompare([]byte(password), []byte(s.password)) != 1 {
		return errRefused
	}
	return nil
}

// serve serves one connection to its end.
func (s *Server) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	config := &ssh.ServerConfig{}
	if s.options.Interactive {
		config.KeyboardInteractiveCallback = func(c ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil {
				return nil, err
			}
			return nil, s.right(c.User(), strings.Join(answers, ""))
		}
	} else {
		config.PasswordCallback = func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			return nil, s.right(c.User(), string(password))
		}
	}
	config.AddHostKey(s.host)
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { ssh.DiscardRequests(requests) })
	for offered := range channels {
		if offered.ChannelType() != "session" {
			offered.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		group.Go(func() {
			for r := range requests {
				sftp := r.Type == "subsystem" && len(r.Payload) > 4 && string(r.Payload[4:]) == "sftp"
				r.Reply(sftp, nil)
				if sftp {
					group.Go(func() { s.serveSFTP(channel) })
				}
			}
		})
	}
}
