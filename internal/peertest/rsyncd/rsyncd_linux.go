// Package rsyncd runs the rsync program as a daemon for tests, with one module for one user. It is no part of any program of
// this project. It fails a test where rsync is missing.
package rsyncd

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/peertest/child"
)

// startTimeout bounds how long the daemon may take to answer.
const startTimeout = 20 * time.Second

// Options say what is served. The zero value serves an empty folder of its own to a user with a password.
type Options struct {
	Dir      string // the folder that is served; a new one where empty
	ReadOnly bool   // the module takes no writes
	Open     bool   // the module asks for no user
	Config   string // further lines for the module, see rsyncd.conf(5)
}

// Server is a running daemon. Its methods are for one goroutine.
type Server struct {
	Address  string // host:port
	Module   string
	User     string // empty where the module asks for none
	Password string
	Dir      string // the folder that is served

	folder string // configuration, secrets and log
	daemon *exec.Cmd
}

// Start starts a daemon on a free port of the loopback interface. It is killed when the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{Module: "recordings", Dir: o.Dir, folder: t.TempDir()}
	if s.Dir == "" {
		s.Dir = t.TempDir()
	}
	if !o.Open {
		s.User = "wolkvox"
		s.SetPassword(t, "a password: with spaces")
	}
	t.Cleanup(s.Kill)
	for attempt := 1; ; attempt++ { // another process may take the free port meanwhile
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.Address = listener.Addr().String()
		listener.Close()
		s.Configure(t, o)
		if err = s.run(); err == nil {
			return s
		}
		if attempt == 3 {
			t.Fatal(err)
		}
	}
}

// Configure changes what is served, except the folder and whether a user is asked for; it counts for the next connection.
func (s *Server) Configure(t testing.TB, o Options) {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{
		"address = " + host, "port = " + port, "log file = " + filepath.Join(s.folder, "log"), "reverse lookup = no",
		"[" + s.Module + "]", "path = " + s.Dir, "use chroot = no",
		fmt.Sprintf("read only = %v", o.ReadOnly),
	}
	if os.Geteuid() == 0 {
		lines = append(lines, "uid = root", "gid = root") // folders of tests are root's alone
	}
	if s.User != "" {
		lines = append(lines, "auth users = "+s.User, "secrets file = "+filepath.Join(s.folder, "secrets"))
	}
	s.write(t, "rsyncd.conf", strings.Join(append(lines, o.Config), "\n")+"\n")
}

// SetPassword changes the user's password; it counts for the next connection.
func (s *Server) SetPassword(t testing.TB, password string) {
	t.Helper()
	s.Password = password
	s.write(t, "secrets", s.User+":"+password+"\n")
}

// Kill ends the daemon and all its connections at once, by SIGKILL. Killing what is dead does nothing.
func (s *Server) Kill() {
	if s.daemon == nil {
		return
	}
	syscall.Kill(-s.daemon.Process.Pid, syscall.SIGKILL) // one child for each connection, and theirs, are of the group
	s.daemon.Wait()
	s.daemon = nil
}

// Restart starts the daemon again on the same port, with the same folder. A running one is killed first.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Kill()
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
}

// Log returns what the daemon has logged since it was first started.
func (s *Server) Log() string {
	text, err := os.ReadFile(filepath.Join(s.folder, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (s *Server) write(t testing.TB, name, text string) {
	t.Helper()
	path := filepath.Join(s.folder, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// run starts the daemon and waits until it answers.
func (s *Server) run() error {
	cmd := exec.Command("rsync", "--daemon", "--no-detach", "--config="+filepath.Join(s.folder, "rsyncd.conf"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := child.Start(cmd); err != nil {
		return fmt.Errorf("start rsync (Debian: rsync): %w", err)
	}
	s.daemon = cmd
	var err error
	for end := time.Now().Add(startTimeout); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err = s.greet(); err == nil {
			return nil
		}
	}
	s.Kill()
	return fmt.Errorf("the rsync daemon does not answer: %w; its log:\n%s", err, s.Log())
}

// greet asks whether the daemon answers.
func (s *Server) greet() error {
	conn, err := net.DialTimeout("tcp", s.Address, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	var greeting [8]byte
	if _, err := io.ReadFull(conn, greeting[:]); err != nil {
		return err
	}
	if string(greeting[:]) != "@RSYNCD:" {
		return fmt.Errorf("somebody else answers with %q", greeting)
	}
	return nil
}
