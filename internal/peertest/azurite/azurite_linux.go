// Package azurite runs Azurite, Microsoft's own emulator of Azure Blob Storage, for tests. It is no part of any program of
// this project. It checks signatures, MD5 and conditions as the service does; it knows no immutability, no Microsoft Entra and
// no bills. It fails a test where Azurite is missing.
package azurite

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/peertest/child"
)

// startTimeout bounds how long Azurite may take to answer.
const startTimeout = 60 * time.Second

// endTimeout bounds how long Azurite may take to end.
const endTimeout = 5 * time.Second

// Options say what is served. The zero value serves an empty container.
type Options struct {
	Dir string // where Azurite keeps its data, on this machine's disk; a new folder where empty
}

// Server is a running Azurite with one account and one container. Its methods are for one goroutine.
type Server struct {
	Address   string // host:port
	Account   string
	Key       string // base64
	Container string
	Dir       string // where Azurite keeps its data, in a form of its own

	log    bytes.Buffer // of the program that runs
	daemon *exec.Cmd
}

// Start starts Azurite on a free port of the loopback interface and makes a container. It is killed when the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{Account: "wolkvoxtest", Key: NewKey(), Container: "recordings", Dir: o.Dir}
	if s.Dir == "" {
		s.Dir = t.TempDir()
	}
	t.Cleanup(s.Kill)
	for attempt := 1; ; attempt++ { // another process may take the free port meanwhile
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.Address = listener.Addr().String()
		listener.Close()
		if err = s.run(); err == nil {
			break
		}
		if attempt == 3 {
			t.Fatal(err)
		}
	}
	s.MakeContainer(t, s.Container)
	return s
}

// NewKey returns a new random account key.
func NewKey() string {
	var key [64]byte
	rand.Read(key[:]) // never fails (crypto/rand)
	return base64.StdEncoding.EncodeToString(key[:])
}

// Endpoint is the URL of the account's blob service.
func (s *Server) Endpoint() string { return s.EndpointAt(s.Address) }

// EndpointAt is Endpoint where another address leads to the server.
func (s *Server) EndpointAt(address string) string { return "http://" + address + "/" + s.Account }

// Kill ends Azurite and its connections. It keeps its index in memory and writes it every few seconds, so that a sudden death
// would lose what it has acknowledged, which no service does: it is asked to end first. Killing what is dead does nothing.
func (s *Server) Kill() {
	if s.daemon == nil {
		return
	}
	group := -s.daemon.Process.Pid
	syscall.Kill(group, syscall.SIGTERM)
	late := time.AfterFunc(endTimeout, func() { syscall.Kill(group, syscall.SIGKILL) })
	s.daemon.Wait()
	late.Stop()
	s.daemon = nil
}

// Restart starts Azurite again on the same port, with the same data and the key that Key holds now. A running one is killed
// first.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Kill()
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
}

// run starts Azurite and waits until it answers.
func (s *Server) run() error {
	program, err := find("azurite/dist/src/blob/main.js")
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return err
	}
	s.log.Reset()
	cmd := exec.Command("node", program, "--blobHost", host, "--blobPort", port, "--location", s.Dir, "--silent", "--disableTelemetry", "--skipApiVersionCheck")
	cmd.Env = append(os.Environ(), "AZURITE_ACCOUNTS="+s.Account+":"+s.Key)
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := child.Start(cmd); err != nil {
		return fmt.Errorf("start Azurite with node (Debian: nodejs): %w", err)
	}
	s.daemon = cmd
	for end := time.Now().Add(startTimeout); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var answer *http.Response
		if answer, err = http.Get(s.Endpoint()); err == nil {
			answer.Body.Close()
			if strings.HasPrefix(answer.Header.Get("Server"), "Azurite") {
				return nil
			}
			err = fmt.Errorf("somebody else answers: %q", answer.Header.Get("Server"))
		}
	}
	s.Kill()
	return fmt.Errorf("the emulator does not answer: %w; it said:\n%s", err, s.log.String())
}

// find returns a file of the packages that test/peers/install.sh installs.
func find(name string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", fmt.Errorf("no go.mod above the test's folder")
		}
		dir = above
	}
	path := filepath.Join(dir, "bin", "peers", "npm", "node_modules", filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("run test/peers/install.sh: %w", err)
	}
	return path, nil
}

// MakeContainer makes a container, which may be there already.
func (s *Server) MakeContainer(t testing.TB, name string) {
	t.Helper()
	if err := s.do(http.MethodPut, name, url.Values{"restype": {"container"}}, nil, http.StatusCreated, http.StatusConflict); err != nil {
		t.Fatal(err)
	}
}

// RemoveContainer deletes a container and all that is in it.
func (s *Server) RemoveContainer(t testing.TB, name string) {
	t.Helper()
	if err := s.do(http.MethodDelete, name, url.Values{"restype": {"container"}}, nil, http.StatusAccepted); err != nil {
		t.Fatal(err)
	}
}

// Put has somebody else write a blob, in place of what is there. It may be called by several goroutines at once.
func (s *Server) Put(t testing.TB, name string, data []byte) {
	t.Helper()
	at := s.Container + "/" + (&url.URL{Path: name}).EscapedPath()
	if err := s.do(http.MethodPut, at, url.Values{}, data, http.StatusCreated); err != nil {
		t.Error(err)
	}
}

// do sends a request of the administrator; data is nil where it is not about a blob.
func (s *Server) do(method, name string, query url.Values, data []byte, want ...int) error {
	signature := s.SAS(time.Now().Add(time.Hour), "rwdlac")
	request, err := http.NewRequest(method, s.Endpoint()+"/"+name+"?"+query.Encode()+"&"+signature, bytes.NewReader(data))
	if err != nil {
		return err
	}
	request.Header.Set("x-ms-version", sasVersion)
	if data != nil {
		request.Header.Set("x-ms-blob-type", "BlockBlob")
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if !slices.Contains(want, answer.StatusCode) {
		return fmt.Errorf("%s of %s: %s %s", method, name, answer.Status, answer.Header.Get("x-ms-error-code"))
	}
	return nil
}

// sasVersion is the version of the service whose form signatures have.
const sasVersion = "2020-12-06"

// SAS returns a signature for everything in the account's blob service with these permissions
// (https://learn.microsoft.com/rest/api/storageservices/create-account-sas).
func (s *Server) SAS(expiry time.Time, permissions string) string {
	end := expiry.UTC().Format(time.RFC3339)
	key, err := base64.StdEncoding.DecodeString(s.Key)
	if err != nil {
		panic(err) // NewKey made it
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n", s.Account, permissions, "b", "sco", "", end, "", "https,http", sasVersion, "")
	return url.Values{
		"sv": {sasVersion}, "ss": {"b"}, "srt": {"sco"}, "sp": {permissions}, "se": {end}, "spr": {"https,http"},
		"sig": {base64.StdEncoding.EncodeToString(mac.Sum(nil))},
	}.Encode()
}
