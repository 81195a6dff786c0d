//go:build linux && peers

package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// Agent is an agent with one destination, and its administrator.
type Agent struct {
	State   string // its state directory
	Log     string // the file with what it logs, over all its lives
	Config  string // the file
	Socket  string
	program string
	process *process
}

// AgentOptions say how an agent is set up.
type AgentOptions struct {
	Dir         string // for its configuration and log
	State       string // its state directory
	Destination string // the name
	Directory   string // of the destination
	Where       string // lines of the configuration that say where the destination is, for one that is no directory
	Top         string // further lines of the configuration
	More        string // further lines on the destination; where empty, a small reserve
	Program     string // another program than the one that was built
}

// NewAgent writes an agent's configuration.
func NewAgent(t testing.TB, o AgentOptions) *Agent {
	t.Helper()
	a := &Agent{
		State: o.State, Log: filepath.Join(o.Dir, "agent.log"), Config: filepath.Join(o.Dir, "agent.yaml"),
		Socket: filepath.Join(o.Dir, "agent.sock"), program: o.Program,
	}
	if a.program == "" {
		a.program = Program(t, "wolkvox-agent")
	}
	if o.More == "" {
		o.More = "  reserve: 1MiB\n"
	}
	if o.Where == "" {
		o.Where = "  directory: " + o.Directory + "\n"
	}
	writeFile(t, a.Config, fmt.Sprintf("state_dir: %s\nsocket: %s\nproxy: none\nstate_reserve: 16MiB\n%sdestinations:\n- name: %s\n%s%s",
		o.State, a.Socket, o.Top, o.Destination, o.Where, o.More))
	return a
}

// Start starts the agent as a service and returns when it answers.
func (a *Agent) Start(t testing.TB) {
	t.Helper()
	a.process = start(t, a.Log, a.program, "run", "--config", a.Config)
	a.process.await(t, "answering", a.answers)
}

func (a *Agent) answers() bool {
	conn, err := net.Dial("unix", a.Socket)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// Become makes another program the agent from its next start on.
func (a *Agent) Become(program string) { a.program = program }

// Kill sends SIGKILL.
func (a *Agent) Kill() { a.process.Kill() }

// Wait returns when the agent is gone.
func (a *Agent) Wait() { a.process.Wait() }

// Running reports whether the service runs.
func (a *Agent) Running() bool { return a.process != nil && a.process.running() }

// Try runs a command of the agent.
func (a *Agent) Try(t testing.TB, args ...string) Result {
	t.Helper()
	return Command(t.Context(), a.program, append(args, "--config", a.Config)...)
}

// Do runs a command, which must succeed, and returns its output.
func (a *Agent) Do(t testing.TB, args ...string) string {
	t.Helper()
	r := a.Try(t, args...)
	if r.Status != 0 {
		t.Fatalf("%v\n%s", r, Tail(a.Log))
	}
	return r.Stdout
}

// Status returns what the agent says of itself; the exit status is not looked at, because it is bad while there are
// faults.
func (a *Agent) Status(t testing.TB) Status {
	t.Helper()
	r := a.Try(t, "status", "--output", "json")
	var status Status
	if err := json.Unmarshal([]byte(r.Stdout), &status); err != nil {
		t.Fatalf("%v: %v\n%s", r, err, Tail(a.Log))
	}
	return status
}

// Only returns what the agent says of its only destination.
func (a *Agent) Only(t testing.TB) Destination {
	t.Helper()
	status := a.Status(t)
	if len(status.Destinations) != 1 {
		t.Fatalf("the agent names %d destinations", len(status.Destinations))
	}
	return status.Destinations[0]
}

// Verify has the agent verify its ledger.
func (a *Agent) Verify(t testing.TB, destination string) Report {
	t.Helper()
	return report(t, a.Try(t, "ledger", "verify", "--destination", destination, "--output", "json"))
}

// RunNow has the running service copy what is pending, and returns whether that is complete, or else why not. Unlike the
// command it never becomes the agent itself.
func (a *Agent) RunNow(ctx context.Context) (complete bool, message string, err error) {
	conn, err := grpc.NewClient("unix:"+a.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return false, "", err
	}
	defer conn.Close()
	stream, err := backupv1.NewAgentServiceClient(conn).Run(ctx, &backupv1.RunRequest{})
	if err != nil {
		return false, "", err
	}
	for {
		step, err := stream.Recv()
		if err != nil {
			return false, "", err
		}
		if result := step.GetResult(); result != nil {
			return result.GetComplete(), result.GetMessage(), nil
		}
	}
}
