// Package sshd runs OpenSSH's sshd for tests: SFTP, and any program over SSH, for one user with one key. It is no part of
// any program of this project. It fails a test where sshd is missing, and does not test passwords: sshd would ask the
// system's own accounts for them.
package sshd

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/wolkvox/backup/internal/peertest/child"
)

// program is where Debian has it; sshd must be started by its absolute path.
const program = "/usr/sbin/sshd"

// startTimeout bounds how long sshd may take to answer.
const startTimeout = 20 * time.Second

// Options say what is served. The zero value serves an empty folder of its own.
type Options struct {
	Dir      string // the folder that is served; a new one where empty
	ReadOnly bool   // the SFTP server refuses every change
	Config   string // further lines of sshd_config(5), which win over those of the harness
}

// Server is a running sshd. Its methods are for one goroutine.
type Server struct {
	Address string // host:port
	User    string // who may log in: the user who runs the tests
	HostKey string // as in an authorized_keys file; sshd also has a host key of another kind
	Key     []byte // the client's private key, not encrypted
	KeyFile string // the same, in a file that only this user can read
	Dir     string // the folder that is served; the login is not confined to it, and SFTP starts in it

	folder string // configuration, keys and log
	sshd   *exec.Cmd
}

// Start starts a server on a free port of the loopback interface. It is killed when the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	who, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{User: who.Username, Dir: o.Dir, folder: t.TempDir()}
	if s.Dir == "" {
		s.Dir = t.TempDir()
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where sshd puts its unprivileged half
		t.Fatal(err)
	}
	s.makeKeys(t)
	t.Cleanup(s.Kill)
	for attempt := 1; ; attempt++ { // another process may take the free port meanwhile
		s.configure(t, o)
		if err = s.run(); err == nil {
			return s
		}
		if attempt == 3 {
			t.Fatal(err)
		}
	}
}

// Kill ends the server and everything it has started at once, by SIGKILL. Killing what is dead does nothing.
func (s *Server) Kill() {
	if s.sshd == nil {
		return
	}
	// Stopped processes start no others, so the tree stays as it is found.
	for tree := []int{s.sshd.Process.Pid}; len(tree) > 0; {
		for _, pid := range tree {
			syscall.Kill(pid, syscall.SIGSTOP)
		}
		if again := descendants(s.sshd.Process.Pid); len(again) > len(tree) {
			tree = again
			continue
		}
		for _, pid := range tree {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		break
	}
	s.sshd.Wait()
	s.sshd = nil
}

// Restart starts the server again on the same port, with the same keys and folder. A running one is killed first.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Kill()
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
}

// Log returns what sshd has logged since it was first started.
func (s *Server) Log() string {
	text, err := os.ReadFile(filepath.Join(s.folder, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// configure chooses a free port and writes the configuration.
func (s *Server) configure(t testing.TB, o Options) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Address = listener.Addr().String()
	listener.Close()
	sftp := "internal-sftp -d " + s.Dir
	if o.ReadOnly {
		sftp += " -R"
	}
	config := []string{
		o.Config, // the first value of a keyword counts
		"ListenAddress " + s.Address,
		"HostKey " + filepath.Join(s.folder, "host_ed25519"),
		"HostKey " + filepath.Join(s.folder, "host_ecdsa"),
		"AuthorizedKeysFile " + filepath.Join(s.folder, "authorized_keys"),
		"StrictModes no",
		"PermitRootLogin prohibit-password",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"MaxStartups 500",
		"MaxSessions 100",
		"PidFile none",
		"UseDNS no",
		"PrintMotd no",
		"PrintLastLog no",
		"LogLevel VERBOSE",
		"SetEnv SHLVL=2", // or bash would run the .bashrc of whoever runs the tests, once for each program
		"Subsystem sftp " + sftp,
	}
	s.write(t, "sshd_config", []byte(strings.Join(config, "\n")+"\n"))
}

// makeKeys makes the host's keys and the client's.
func (s *Server) makeKeys(t testing.TB) {
	t.Helper()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	nist, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, client, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.HostKey, _ = s.writeKey(t, "host_ed25519", edwards)
	s.writeKey(t, "host_ecdsa", nist)
	authorized, private := s.writeKey(t, "client", client)
	s.Key, s.KeyFile = private, filepath.Join(s.folder, "client")
	s.write(t, "authorized_keys", []byte(authorized+"\n"))
}

// writeKey writes a private key and returns both halves, the public one as in an authorized_keys file.
func (s *Server) writeKey(t testing.TB, name string, key crypto.Signer) (public string, private []byte) {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	half, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	private = pem.EncodeToMemory(block)
	s.write(t, name, private)
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(half))), private
}

func (s *Server) write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.folder, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run starts sshd and waits until it answers.
func (s *Server) run() error {
	log, err := os.OpenFile(filepath.Join(s.folder, "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, "-D", "-e", "-f", filepath.Join(s.folder, "sshd_config"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := child.Start(cmd); err != nil {
		return fmt.Errorf("start sshd (Debian: openssh-server): %w", err)
	}
	s.sshd = cmd
	for end := time.Now().Add(startTimeout); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err = s.greet(); err == nil {
			return nil
		}
		if !alive(cmd.Process.Pid) {
			break
		}
	}
	s.Kill()
	return fmt.Errorf("sshd does not answer: %w; its log:\n%s", err, s.Log())
}

// greet asks whether sshd answers.
func (s *Server) greet() error {
	conn, err := net.DialTimeout("tcp", s.Address, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	var greeting [4]byte
	if _, err := io.ReadFull(conn, greeting[:]); err != nil {
		return err
	}
	if string(greeting[:]) != "SSH-" {
		return fmt.Errorf("somebody else answers with %q", greeting)
	}
	return nil
}

// alive reports whether a process runs, which one that ended and was not waited for does not.
func alive(pid int) bool {
	state, _, ok := stat(pid)
	return ok && state != 'Z'
}

// descendants returns pid and all that descend from it.
func descendants(pid int) []int {
	children := make(map[int][]int)
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return []int{pid}
	}
	for _, entry := range entries {
		var child int
		if _, err := fmt.Sscan(entry.Name(), &child); err != nil {
			continue
		}
		if _, parent, ok := stat(child); ok {
			children[parent] = append(children[parent], child)
		}
	}
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree
}

// stat returns the state and the parent of a process, see proc_pid_stat(5).
func stat(pid int) (state byte, parent int, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, false
	}
	_, err = fmt.Sscanf(string(text[bytes.LastIndexByte(text, ')')+1:]), " %c %d", &state, &parent)
	return state, parent, err == nil
}
