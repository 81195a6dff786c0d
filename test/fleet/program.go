//go:build linux && peers

package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds what takes a moment: a start, a stop, a command.
const patience = 60 * time.Second

// Program returns the path of a built program.
func Program(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			path := filepath.Join(dir, "bin", name)
			if _, err := os.Stat(path); err != nil {
				t.Fatalf("%s is not there: run `make build` first (%v)", path, err)
			}
			return path
		}
	}
	t.Fatal("the test does not run within the repository")
	return ""
}

// Result is how a command ended.
type Result struct {
	Args           []string
	Stdout, Stderr string
	Status         int // the exit status; -1 where it was killed or could not be run
}

// String shows all of it.
func (r Result) String() string {
	return fmt.Sprintf("%s\nexit status %d\n%s%s", strings.Join(r.Args, " "), r.Status, r.Stdout, r.Stderr)
}

// Command runs a command to its end.
func Command(ctx context.Context, name string, args ...string) Result {
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	r := Result{append([]string{filepath.Base(name)}, args...), stdout.String(), stderr.String(), 0}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.Status = exit.ExitCode()
	case err != nil:
		r.Status = -1
		r.Stderr += err.Error()
	}
	return r
}

// process is a program that runs beside the test, and dies with it.
type process struct {
	name  string
	cmd   *exec.Cmd
	clock *clock // nil where it has the machine's
	log   string // where its standard error goes; what it wrote before stays
	done  chan struct{}
	err   error // after done
}

// start starts a program.
func start(t testing.TB, log, name string, args ...string) *process {
	t.Helper()
	return startProcess(t, log, nil, name, args...)
}

// startProcess starts a program, with a clock of its own that is wrong by wrong where that is not nil.
func startProcess(t testing.TB, log string, wrong *time.Duration, name string, args ...string) *process {
	t.Helper()
	file, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p := &process{name: filepath.Base(name), cmd: exec.Command(name, args...), log: log, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = file, file
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Ptrace: wrong != nil}
	started := make(chan error)
	go func() {
		// The kernel sends the signal when the thread ends that started the program.
		runtime.LockOSThread()
		err := p.cmd.Start()
		if err == nil && wrong != nil {
			if p.clock, err = startWithClock(p.cmd.Process.Pid, *wrong); err != nil {
				p.Kill()
				_ = p.cmd.Wait()
			}
		}
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	t.Cleanup(func() { p.Kill(); p.Wait() })
	return p
}

// Kill sends SIGKILL, and does not wait.
func (p *process) Kill() { _ = p.cmd.Process.Kill() } // one that has ended is as good as killed

// Wait returns when the program is gone.
func (p *process) Wait() { <-p.done }

// running reports whether the program runs.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// await returns when ready returns true; a program that ends before, or takes too long, ends the test.
func (p *process) await(t testing.TB, what string, ready func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ready(); time.Sleep(5 * time.Millisecond) {
		if !p.running() {
			t.Fatalf("%s ended instead of %s: %v\n%s", p.name, what, p.err, Tail(p.log))
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has not come to %s in %s\n%s", p.name, what, patience, Tail(p.log))
		}
	}
}

// Tail returns the end of a log.
func Tail(path string) string {
	const most = 4000
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}
