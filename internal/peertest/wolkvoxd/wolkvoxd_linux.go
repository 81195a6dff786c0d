// Package wolkvoxd runs the built wolkvox-server for tests of what speaks to one, with a tenant and a destination in wolkvox
// Storage. It is no part of any program of this project. It fails a test where the program was not built.
package wolkvoxd

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/peertest/child"
)

// Names of what a new server has.
const (
	Tenant      = "acme"
	Destination = "nas"
)

// startTimeout bounds how long the server may take to answer.
const startTimeout = 30 * time.Second

// Server is a running server. Its methods are for one goroutine.
type Server struct {
	Address string // host:port
	Dir     string // the folder on this machine's disk where the destination's files are visible

	program, folder string
	daemon          *exec.Cmd
}

// Start starts a server on a free port of the loopback interface. It is killed when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Address: listener.Addr().String(), program: program(t), folder: t.TempDir()}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(s.folder, "state")
	s.Dir = filepath.Join(state, "storage", Tenant, Destination, "files")
	config := fmt.Sprintf("state_dir: %s\nlisten: %s\nnames: [127.0.0.1]\nstate_reserve: 16MiB\n", state, s.Address)
	if err := os.WriteFile(s.config(), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(t, "init", "--config", s.config())
	t.Cleanup(s.Kill)
	s.Restart(t)
	s.Operate(t, "tenant", "add", Tenant, "--time-zone", "UTC")
	s.Operate(t, "destination", "add", Tenant, Destination, "--kind", "wolkvox")
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Server) config() string { return filepath.Join(s.folder, "server.yaml") }

// program returns the path of the built server.
func program(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	path := filepath.Join(dir, "bin", "wolkvox-server")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("run `make build` first: %v", err)
	}
	return path
}

func (s *Server) run(t testing.TB, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.program, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("wolkvox-server %q: %v", args, err)
	}
	return out
}

// Operate runs an operator's command and returns its output.
func (s *Server) Operate(t testing.TB, args ...string) []byte {
	t.Helper()
	return s.run(t, append(args, "--credential", filepath.Join(s.folder, "state", "operator.pem"), "--server", s.Address)...)
}

// Join returns a join string for the destination.
func (s *Server) Join(t testing.TB) string {
	t.Helper()
	var answer struct{ Join string }
	if err := json.Unmarshal(s.Operate(t, "token", "create", Tenant, Destination, "--output", "json"), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Join
}

// Kill ends the server at once.
func (s *Server) Kill() {
	if s.daemon != nil {
		s.daemon.Process.Kill()
		s.daemon.Wait() // it was killed
		s.daemon = nil
	}
}

// Restart starts the server again, at its address, and returns when it answers.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(s.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.daemon = exec.Command(s.program, "serve", "--config", s.config())
	s.daemon.Stdout, s.daemon.Stderr = log, log
	if err := child.Start(s.daemon); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", s.Address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log.Name())
			t.Fatalf("the server does not answer: %v\n%s", err, said)
		}
	}
}
