//go:build linux && peers

package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Server is a server and its operator.
type Server struct {
	State      string // its state directory
	Log        string // the file with what it logs, over all its lives
	program    string
	config     string
	credential string
	process    *process
}

// NewServer sets a server up. dir is for its configuration and log, state, which must not exist yet, for the rest; more
// are further lines of its configuration.
func NewServer(t testing.TB, dir, state, more string) *Server {
	t.Helper()
	return NewServerOf(t, Program(t, "wolkvox-server"), dir, state, "state_reserve: 16MiB\n"+more)
}

// NewServerOf is [NewServer] with another program than the one that was built, and no more configuration than what more has.
func NewServerOf(t testing.TB, program, dir, state, more string) *Server {
	t.Helper()
	s := &Server{
		State: state, Log: filepath.Join(dir, "server.log"), program: program,
		config: filepath.Join(dir, "server.yaml"), credential: filepath.Join(dir, "operator.pem"),
	}
	writeFile(t, s.config, fmt.Sprintf("state_dir: %s\nlisten: 127.0.0.1:0\nnames: [127.0.0.1]\n%s", state, more))
	if r := Command(t.Context(), s.program, "init", "--config", s.config); r.Status != 0 {
		t.Fatal(r)
	}
	// The operator sits elsewhere: what happens to the server's disk does not take the credential along.
	text, err := os.ReadFile(filepath.Join(state, "operator.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.credential, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// Start starts the server and returns when it can be called.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := os.Remove(s.addressFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	s.process = start(t, s.Log, s.program, "serve", "--config", s.config)
	s.process.await(t, "listening", func() bool { return s.Address() != "" })
}

// Become makes another program the server from its next start on.
func (s *Server) Become(program string) { s.program = program }

// Kill sends SIGKILL.
func (s *Server) Kill() { s.process.Kill() }

// Wait returns when the server is gone.
func (s *Server) Wait() { s.process.Wait() }

// Running reports whether it runs.
func (s *Server) Running() bool { return s.process != nil && s.process.running() }

func (s *Server) addressFile() string { return filepath.Join(s.State, "address") }

// Address returns where the server can be called now, and "" where that is not known.
func (s *Server) Address() string {
	text, err := os.ReadFile(s.addressFile())
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// Try runs an operator's command.
func (s *Server) Try(t testing.TB, args ...string) Result {
	t.Helper()
	return Command(t.Context(), s.program, append(args, "--credential", s.credential, "--server", s.Address())...)
}

// Do runs an operator's command, which must succeed, and returns its output.
func (s *Server) Do(t testing.TB, args ...string) string {
	t.Helper()
	r := s.Try(t, args...)
	if r.Status != 0 {
		t.Fatalf("%v\n%s", r, Tail(s.Log))
	}
	return r.Stdout
}

// Ask runs an operator's command with --output json and decodes the answer.
func (s *Server) Ask(t testing.TB, answer any, args ...string) {
	t.Helper()
	text := s.Do(t, append(args, "--output", "json")...)
	if err := json.Unmarshal([]byte(text), answer); err != nil {
		t.Fatalf("wolkvox-server %q: %v\n%s", args, err, text)
	}
}

// Join returns a join string for a destination; the agent will call address.
func (s *Server) Join(t testing.TB, tenant, destination, address string, more ...string) string {
	t.Helper()
	var answer struct{ Join string }
	s.Ask(t, &answer, append([]string{"token", "create", tenant, destination, "--address", address}, more...)...)
	return answer.Join
}

// Nights returns what was sealed for a destination.
func (s *Server) Nights(t testing.TB, tenant, destination string) []Night {
	t.Helper()
	var answer struct{ Nights []Night }
	s.Ask(t, &answer, "nights", tenant, destination)
	return answer.Nights
}

// Items returns the items of a destination that are in one of the states, or all.
func (s *Server) Items(t testing.TB, tenant, destination string, states ...string) []Item {
	t.Helper()
	args := []string{"items", tenant, destination, "--output", "json"}
	if len(states) > 0 {
		args = append(args, "--state", strings.Join(states, ","))
	}
	var items []Item
	decoder := json.NewDecoder(bytes.NewBufferString(s.Do(t, args...)))
	for {
		var item Item
		err := decoder.Decode(&item)
		if errors.Is(err, io.EOF) {
			return items
		}
		if err != nil {
			t.Fatalf("wolkvox-server %q: %v", args, err)
		}
		items = append(items, item)
	}
}

// Ledger returns the position and the agreed head of a destination's log.
func (s *Server) Ledger(t testing.TB, tenant, destination string) (position, agreed Position) {
	t.Helper()
	var answer struct {
		Destinations []struct {
			Name             string
			Position, Agreed Position
		}
	}
	s.Ask(t, &answer, "destination", "list", "--tenant", tenant)
	for _, d := range answer.Destinations {
		if d.Name == destination {
			return d.Position, d.Agreed
		}
	}
	t.Fatalf("the server has no destination %s/%s", tenant, destination)
	return Position{}, Position{}
}

// Verify has the server verify a ledger.
func (s *Server) Verify(t testing.TB, tenant, destination string) Report {
	t.Helper()
	return report(t, s.Try(t, "ledger", "verify", tenant, destination, "--output", "json"))
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
