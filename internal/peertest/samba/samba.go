//go:build unix

// Package samba runs Samba's file server for tests: one share, one user with a password. It is no part of any program
// of this project. It fails a test where smbd is missing, and needs root: Samba maps its user to one of the system's, and
// the tests' folder belongs to whoever runs them.
package samba

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Where Debian has the programs.
const (
	smbd      = "/usr/sbin/smbd"
	smbpasswd = "/usr/bin/smbpasswd"
)

// startTimeout bounds how long smbd may take to answer.
const startTimeout = 20 * time.Second

// Options say what is served. The zero value serves an empty folder of its own.
type Options struct {
	Dir      string // the folder that is served; a new one where empty
	ReadOnly bool   // the share takes no writes
	Encrypt  bool   // the server demands encryption
	Sign     bool   // the server demands signatures
	Guest    bool   // whoever it does not know is let in as a guest
	Config   string // further lines of the share's section of smb.conf(5)
}

// Server is a running smbd. Its methods are for one goroutine.
type Server struct {
	Address  string // host:port
	Share    string // the share's name
	User     string // who may log in
	Password string // the user's
	Dir      string // the folder that is served

	folder string // configuration, state and log
	smbd   *exec.Cmd
}

// Start starts a server on a free port of the loopback interface. It is killed when the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	// The system's user must exist; the password is Samba's own.
	s := &Server{Share: "recordings", User: "root", Dir: o.Dir, folder: t.TempDir()}
	if s.Dir == "" {
		s.Dir = t.TempDir()
	}
	t.Cleanup(s.Kill)
	var err error
	for attempt := 1; ; attempt++ { // another process may take the free port meanwhile
		s.configure(t, o)
		s.SetPassword(t, "correct horse battery staple")
		if err = s.run(); err == nil {
			return s
		}
		if attempt == 3 {
			t.Fatal(err)
		}
	}
}

// Kill ends the server and all processes it has started at once, by SIGKILL. Killing what is dead does nothing.
func (s *Server) Kill() {
	if s.smbd == nil {
		return
	}
	s.signal(syscall.SIGKILL)
	s.smbd.Wait()
	s.smbd = nil
}

// Freeze stops all the server's processes where they are: connections stay, and nobody answers.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw lets the server go on after [Server.Freeze].
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

// signal reaches the whole process group, which is the server's own.
func (s *Server) signal(signal syscall.Signal) { syscall.Kill(-s.smbd.Process.Pid, signal) }

// Restart starts the server again on the same port, with the same users and folder. A running one is killed first.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Kill()
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
}

// SetPassword gives the user another password, and the right to log in. Sessions that are open stay.
func (s *Server) SetPassword(t testing.TB, password string) {
	t.Helper()
	s.passwd(t, password+"\n"+password+"\n", "-a", "-s", s.User)
	s.passwd(t, "", "-e", s.User)
	s.Password = password
}

// Disable takes the right to log in from the user. Sessions that are open stay.
func (s *Server) Disable(t testing.TB) {
	t.Helper()
	s.passwd(t, "", "-d", s.User)
}

// Log returns what smbd has logged since it was first started.
func (s *Server) Log() string {
	text, err := os.ReadFile(filepath.Join(s.folder, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (s *Server) passwd(t testing.TB, input string, args ...string) {
	t.Helper()
	program := exec.CommandContext(t.Context(), smbpasswd, append([]string{"-c", s.config()}, args...)...)
	program.Stdin = strings.NewReader(input)
	if out, err := program.CombinedOutput(); err != nil {
		t.Fatalf("smbpasswd: %v\n%s", err, out)
	}
}

func (s *Server) config() string { return filepath.Join(s.folder, "smb.conf") }

// configure chooses a free port and writes the configuration.
func (s *Server) configure(t testing.TB, o Options) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Address = listener.Addr().String()
	listener.Close()
	lines := []string{
		"[global]",
		"server role = standalone server",
		"smb ports = " + strconv.Itoa(listener.Addr().(*net.TCPAddr).Port),
		"interfaces = 127.0.0.1/8",
		"bind interfaces only = yes",
		"disable netbios = yes",
		"server min protocol = SMB2_02",
		"passdb backend = tdbsam:" + filepath.Join(s.folder, "passdb.tdb"),
		"log file = " + filepath.Join(s.folder, "log"),
		"load printers = no",
		"printcap name = /dev/null",
		"disable spoolss = yes",
		"rpc start on demand helpers = no",
	}
	for _, dir := range []string{"private", "lock", "state", "cache", "pid", "ncalrpc"} {
		path := filepath.Join(s.folder, dir)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		name := dir + " dir"
		switch dir {
		case "lock", "state", "cache", "pid":
			name = dir + " directory"
		}
		lines = append(lines, name+" = "+path)
	}
	if o.Encrypt {
		lines = append(lines, "smb encrypt = required")
	}
	if o.Sign {
		lines = append(lines, "server signing = mandatory")
	}
	if o.Guest {
		lines = append(lines, "map to guest = bad user", "guest account = root")
	}
	lines = append(lines, "["+s.Share+"]", "path = "+s.Dir, "read only = "+yesNo(o.ReadOnly), "guest ok = "+yesNo(o.Guest), o.Config, "")
	if err := os.WriteFile(s.config(), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// run starts smbd in a process group of its own and waits until it answers.
func (s *Server) run() error {
	program := exec.Command(smbd, "-F", "--no-process-group", "-s", s.config())
	program.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var said bytes.Buffer
	program.Stdout, program.Stderr = &said, &said
	if err := program.Start(); err != nil {
		return fmt.Errorf("start smbd: %w", err)
	}
	s.smbd = program
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", s.Address)
		if err == nil {
			return conn.Close()
		}
		var ended syscall.WaitStatus
		if pid, _ := syscall.Wait4(program.Process.Pid, &ended, syscall.WNOHANG, nil); pid != 0 || time.Now().After(deadline) {
			s.Kill()
			return errors.Join(fmt.Errorf("smbd does not answer at %s: %w", s.Address, err), errors.New(said.String()+s.Log()))
		}
	}
}
