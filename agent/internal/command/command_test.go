package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup/agent/internal/enroll"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/store"
)

// each calls f with every command of the program, but those that cobra adds.
func each(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, child := range cmd.Commands() {
		if child.Name() != "help" && child.Name() != "completion" {
			each(child, f)
		}
	}
}

// TestHelp shows, for every command, what it is for and an example that begins with the program's name.
func TestHelp(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	count := 0
	each((&program{}).root(), func(cmd *cobra.Command) {
		count++
		path := cmd.CommandPath()
		if cmd.Short == "" || cmd.RunE == nil {
			t.Errorf("%s does not say what it is for, or does nothing", path)
		}
		if !strings.Contains(cmd.Example, path) {
			t.Errorf("the example of %q is %q", path, cmd.Example)
		}
		status, stdout, stderr := m.run(append(strings.Fields(path)[1:], "--help")...)
		if status != 0 || stderr != "" || !strings.Contains(stdout, "Examples:") || !strings.Contains(stdout, path) {
			t.Errorf("%s --help: status %d\n%s%s", path, status, stdout, stderr)
		}
	})
	if count < 10 {
		t.Errorf("there are %d commands only", count)
	}
	if m.agent.opened != 0 {
		t.Error("help opened the agent")
	}
}

// TestExamples runs every example's words through the parser, so that none shows a flag that is none.
func TestExamples(t *testing.T) {
	t.Parallel()
	each((&program{}).root(), func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			line, _, _ = strings.Cut(line, "<")
			words := strings.Fields(line)
			if len(words) == 0 || words[0] != "wolkvox-agent" {
				t.Errorf("%s: example %q", cmd.CommandPath(), line)
				continue
			}
			found, args, err := (&program{}).root().Find(words[1:])
			if err == nil {
				err = found.ParseFlags(args)
			}
			if err == nil {
				err = found.ValidateArgs(found.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: example %q: %v", cmd.CommandPath(), line, err)
			}
		}
	})
}

func TestUsage(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, test := range []struct{ args, words string }{
		{"", "needs a command"},
		{"frobnicate", `no command "frobnicate"`},
		{"--frobnicate", "unknown flag"},
		{"status now", `"now"`},
		{"status --output yaml", `"yaml"`},
		{"version --output", "needs an argument"},
		{"check nas tape", "one name"},
		{"destination", "needs a command"},
		{"destination format", `no command "format"`},
		{"destination init", "one name"},
		{"destination init nas tape", "one name"},
		{"destination accept-losses", "one name"},
		{"destination accept-losses nas tape", "one name"},
		{"ledger", "needs a command"},
		{"ledger fold", `no command "fold"`},
		{"ledger verify nas", `"nas"`},
		{"ledger export", "--to"},
		{"ledger export here", `"here"`},
		{"run now", `"now"`},
		{"run --destination nas", "--once"},
		{"run --once=maybe", "maybe"},
		{"enroll", "--join-file"},
		{"enroll a b", "one argument"},
		{"enroll a --join-file b", "one argument"},
	} {
		status, stdout, stderr := m.run(strings.Fields(test.args)...)
		if status != statusUsage || stdout != "" || !strings.Contains(stderr, test.words) || !strings.HasPrefix(stderr, "wolkvox-agent: ") {
			t.Errorf("%q: status %d, %q, %q, want %d and %q", test.args, status, stdout, stderr, statusUsage, test.words)
		}
	}
	if m.agent.opened != 0 {
		t.Error("a command line that makes no sense opened the agent")
	}
}

// TestConfiguration names the file, the line and the key that is wrong, and opens nothing.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	text, err := os.ReadFile(m.config)
	check(t, err)
	for word, config := range map[string]string{
		"reserv":       string(text) + "reserv: 1GiB\n",
		"direktory":    strings.Replace(string(text), "directory", "direktory", 1),
		"state_dir":    "state_dir: here\n",
		"destinations": "state_dir: '" + m.dir + "'\ndestinations: []\n",
	} {
		m.configure(config)
		for _, args := range [][]string{{"status"}, {"run"}, {"run", "--once"}, {"destination", "init", "nas"}, {"ledger", "verify"}, {"enroll", "x"}} {
			if status, _, stderr := m.run(args...); status != statusBad || !strings.Contains(stderr, word) || !strings.Contains(stderr, m.config) {
				t.Errorf("%v with a wrong %s: status %d, %q", args, word, status, stderr)
			}
		}
	}
	check(t, os.Remove(m.config))
	if status, _, stderr := m.run("status"); status != statusBad || !strings.Contains(stderr, m.config) {
		t.Errorf("without a configuration: status %d, %q", status, stderr)
	}
	if m.agent.opened != 0 {
		t.Error("the agent was opened")
	}
}

// TestOpenFails shows why the agent cannot be opened.
func TestOpenFails(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{enroll.ErrNotEnrolled, store.ErrInUse, errors.New("the agent's state belongs to user 7")} {
		m := newMachine(t)
		m.agent.openFail = cause
		for _, args := range [][]string{{"status"}, {"run"}, {"run", "--once"}, {"destination", "init", "nas"}, {"ledger", "verify"}} {
			if status, stdout, stderr := m.run(args...); status != statusBad || stdout != "" || stderr != "wolkvox-agent: "+cause.Error()+"\n" {
				t.Errorf("%v: status %d, %q, %q, want %v", args, status, stdout, stderr, cause)
			}
		}
	}
}

// TestService asks the service where one answers, and otherwise is the agent itself for as long as it takes.
func TestService(t *testing.T) {
	t.Parallel()
	for _, running := range []bool{true, false} {
		m := newMachine(t)
		if running {
			m.serve()
		}
		m.agent.steps = []*backupv1.RunResponse{{Destination: "nas", Result: &backupv1.RunResult{Complete: true}}}
		m.agent.report = &backupv1.LedgerReport{Origin: "o"}
		commands := [][]string{{"status"}, {"destination", "init", "nas"}, {"ledger", "verify"}, {"ledger", "export", "--to", filepath.Join(m.dir, "out")}, {"run", "--once"}}
		for _, args := range commands {
			if status, stdout, stderr := m.run(args...); status != 0 || stdout == "" || stderr != "" {
				t.Errorf("%v with a service %v: status %d, %q, %q", args, running, status, stdout, stderr)
			}
			if m.agent.online != (args[0] == "run" && !running) {
				t.Errorf("%v with a service %v: parts at work %v", args, running, m.agent.online)
			}
		}
		want := len(commands)
		if running {
			want = 0
		}
		if m.agent.opened != want || m.agent.closed != want {
			t.Errorf("with a service %v the state was opened %d and closed %d times, want %d", running, m.agent.opened, m.agent.closed, want)
		}
		if _, err := os.Lstat(m.socket); (err == nil) != running {
			t.Errorf("with a service %v the socket is there afterwards: %v", running, err == nil)
		}
	}
}

// TestAnswers shows what the service says, without the words of gRPC around it.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, running := range []bool{true, false} {
		m := newMachine(t)
		if running {
			m.serve()
		}
		for _, args := range [][]string{{"destination", "init", "tape"}, {"run", "--once", "--destination", "tape"}, {"check", "tape"}} {
			status, _, stderr := m.run(args...)
			if want := "wolkvox-agent: there is no destination \"tape\" in the agent's configuration\n"; status != statusBad || stderr != want {
				t.Errorf("%v: status %d, %q, want %q", args, status, stderr, want)
			}
		}
	}
}

// TestAgentFails shows why an agent that the command made ended, closes it, and leaves no socket.
func TestAgentFails(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.agent.runFail = errors.New("another process of this agent serves the destination")
	for _, args := range [][]string{{"run", "--once"}, {"run"}} {
		m.agent.closed = 0
		status, _, stderr := m.run(args...)
		if status != statusBad || !strings.Contains(stderr, "another process") || m.agent.closed != 1 {
			t.Errorf("%v: status %d, %q, closed %d times", args, status, stderr, m.agent.closed)
		}
		if _, err := os.Lstat(m.socket); err == nil {
			t.Errorf("%v left a socket", args)
		}
	}
}

// TestSocketInTheWay closes the agent where it cannot listen.
func TestSocketInTheWay(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	check(t, os.WriteFile(m.socket, []byte("mine"), 0o600))
	for _, args := range [][]string{{"status"}, {"run"}} {
		m.agent.closed = 0
		if status, _, stderr := m.run(args...); status != statusBad || !strings.Contains(stderr, "is no socket") || m.agent.closed != 1 {
			t.Errorf("%v: status %d, %q, closed %d times", args, status, stderr, m.agent.closed)
		}
	}
}

// TestRunEnds is good when the service is stopped.
func TestRunEnds(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() {
		var out bytes.Buffer
		ended <- Run(ctx, m.agent.open, []string{"run", "--config", m.config}, strings.NewReader(""), &out, &out)
	}()
	for began := time.Now(); !m.isOnline() && time.Since(began) < time.Minute; {
		time.Sleep(5 * time.Millisecond)
	}
	if status, _, stderr := m.run("status"); status != 0 || m.agent.opened != 1 {
		t.Errorf("status while it runs: %d, %q, opened %d times", status, stderr, m.agent.opened)
	}
	cancel()
	if status := <-ended; status != 0 {
		t.Errorf("run ends with status %d", status)
	}
	if _, err := os.Lstat(m.socket); err == nil {
		t.Error("the socket is still there")
	}
}

// TestRunWaitsForRoom begins when there is room for the agent's state, and ends well where it is stopped before.
func TestRunWaitsForRoom(t *testing.T) {
	t.Parallel()
	for _, stopped := range []bool{false, true} {
		m := newMachine(t)
		ctx, cancel := context.WithCancel(t.Context())
		var asked atomic.Int32
		ended := make(chan int)
		var out, errs bytes.Buffer
		go func() {
			ended <- Run(ctx, func(o Options) (Agent, error) {
				if n := asked.Add(1); n <= 2 || stopped {
					return nil, fmt.Errorf("%w: 0 MiB", store.ErrNoRoom)
				}
				return m.agent.open(o)
			}, []string{"run", "--config", m.config}, strings.NewReader(""), &out, &errs)
		}()
		for began := time.Now(); !m.isOnline() && asked.Load() < 2 && time.Since(began) < time.Minute; {
			time.Sleep(5 * time.Millisecond)
		}
		for began := time.Now(); !stopped && !m.isOnline() && time.Since(began) < time.Minute; {
			time.Sleep(5 * time.Millisecond)
		}
		if m.isOnline() == stopped || asked.Load() > 4 {
			t.Errorf("stopped %v: at work %v after %d attempts", stopped, m.isOnline(), asked.Load())
		}
		cancel()
		if status := <-ended; status != 0 {
			t.Errorf("run ends with status %d", status)
		}
		if got := strings.Count(errs.String(), "0 MiB"); got != 1 {
			t.Errorf("it is said %d times: %q", got, errs.String())
		}
	}
}

func (m *machine) isOnline() bool {
	m.agent.mu.Lock()
	defer m.agent.mu.Unlock()
	return m.agent.online
}

func TestVersion(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if status, stdout, _ := m.run("version"); status != 0 || !strings.HasPrefix(stdout, "wolkvox-agent ") {
		t.Errorf("version: status %d, %q", status, stdout)
	}
	var got map[string]string
	_, stdout, _ := m.run("version", "--output", "json")
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || got["platform"] == "" || got["go"] == "" {
		t.Errorf("version as JSON: %v, %v", got, err)
	}
}

func TestSentence(t *testing.T) {
	t.Parallel()
	answer := status.Error(codes.NotFound, "there is no such thing")
	for want, err := range map[string]error{
		"there is no such thing": both(answer, nil),
		"disk":                   both(nil, errors.New("disk")),
		"verify: rpc error: code = NotFound desc = there is no such thing": fmt.Errorf("verify: %w", answer),
	} {
		if got := sentence(err); got != want {
			t.Errorf("sentence(%v) = %q, want %q", err, got, want)
		}
	}
	if err := both(errBad, errors.New("disk")); !errors.Is(err, errBad) || !strings.Contains(err.Error(), "disk") {
		t.Errorf("both = %v", err)
	}
	if both(nil, nil) != nil {
		t.Error("both of nothing is an error")
	}
}
