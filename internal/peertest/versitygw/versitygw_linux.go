// Package versitygw runs versitygw, a server of the S3 API that keeps objects as files of a folder, for tests. It is no part of
// any program of this project. It fails a test where the program is missing.
package versitygw

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/peertest/child"
)

// startTimeout bounds how long the server may take to answer.
const startTimeout = 20 * time.Second

// Region is the region that requests are signed for.
const Region = "us-east-1"

// Options say what is served. The zero value serves an empty bucket in a folder of its own.
type Options struct {
	Dir      string // the bucket's folder, whose name is the bucket's; a new one where empty
	Versions bool   // earlier versions of objects are kept, which object locks need
}

// Server is a running server. Its methods are for one goroutine.
type Server struct {
	Address   string // host:port
	Endpoint  string // its URL
	Bucket    string
	Dir       string // where the objects of the bucket are, each under its key
	KeyID     string
	SecretKey string

	versions string // the folder of earlier versions; empty where they are not kept
	readOnly bool
	output   output
	cmd      *exec.Cmd
}

// output is what the server said.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Start starts a server on a free port of the loopback interface. It is killed when the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{Dir: o.Dir, KeyID: "AKIAWOLKVOXTEST00000", SecretKey: "a/secret+key of wolkvox's tests"}
	if s.Dir == "" {
		s.Dir = filepath.Join(t.TempDir(), "recordings")
		if err := os.Mkdir(s.Dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.Bucket = filepath.Base(s.Dir)
	if o.Versions {
		s.versions = t.TempDir()
	}
	t.Cleanup(s.Kill)
	for attempt := 1; ; attempt++ { // another process may take the free port meanwhile
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.Address = listener.Addr().String()
		s.Endpoint = "http://" + s.Address
		listener.Close()
		if err = s.run(); err == nil {
			return s
		}
		if attempt == 3 {
			t.Fatal(err)
		}
	}
}

// SetKey changes the access key; it counts from the next [Server.Restart] on.
func (s *Server) SetKey(id, secret string) { s.KeyID, s.SecretKey = id, secret }

// SetReadOnly has the server refuse all changes, or take them again; it counts from the next [Server.Restart] on.
func (s *Server) SetReadOnly(on bool) { s.readOnly = on }

// Kill ends the server and all its connections at once, by SIGKILL. Killing what is dead does nothing.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	s.cmd.Wait()
	s.cmd = nil
}

// Restart starts the server again on the same port, with the same folder. A running one is killed first.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Kill()
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
}

// Log returns what the server has said since it was first started.
func (s *Server) Log() string { return s.output.String() }

// run starts the server and waits until it answers.
func (s *Server) run() error {
	args := []string{"--port", s.Address, "--region", Region}
	if s.readOnly {
		args = append(args, "--readonly")
	}
	args = append(args, "posix")
	if s.versions != "" {
		args = append(args, "--versioning-dir", s.versions)
	}
	cmd := exec.Command("versitygw", append(args, filepath.Dir(s.Dir))...)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.KeyID, "ROOT_SECRET_KEY="+s.SecretKey)
	cmd.Stdout, cmd.Stderr = &s.output, &s.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := child.Start(cmd); err != nil {
		return fmt.Errorf("start versitygw (make peers installs it, into bin/peers): %w", err)
	}
	s.cmd = cmd
	err := errors.New("it was not asked")
	for end := time.Now().Add(startTimeout); err != nil && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		err = s.greet()
	}
	if err != nil {
		s.Kill()
		return fmt.Errorf("versitygw does not answer: %w; it said:\n%s", err, s.Log())
	}
	return nil
}

// greet asks whether the server answers.
func (s *Server) greet() error {
	client := http.Client{Timeout: 5 * time.Second}
	r, err := client.Get(s.Endpoint + "/" + s.Bucket)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	defer r.Body.Close()
	if r.StatusCode != http.StatusForbidden { // nobody may look without a key
		return fmt.Errorf("somebody else answers, with %s", r.Status)
	}
	return nil
}
