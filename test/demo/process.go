package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// patience bounds every wait for something that takes moments.
const patience = 30 * time.Second

// betweenLooks is how often the demo looks at something that is under way.
const betweenLooks = 20 * time.Millisecond

// service is a program that runs until it is stopped or killed.
type service struct {
	name    string
	process *exec.Cmd
	cancel  context.CancelFunc
	ended   chan struct{} // closed when the process has ended; then err is set
	err     error
}

// startService starts a program whose output is appended to a log. When ctx ends it is interrupted, and killed if it does
// not heed that.
func startService(ctx context.Context, log, program string, args ...string) (*service, error) {
	file, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &service{name: filepath.Base(program), process: exec.CommandContext(ctx, program, args...), cancel: cancel, ended: make(chan struct{})}
	s.process.Stdout, s.process.Stderr = file, file
	s.process.Cancel = func() error {
		if s.process.Process.Signal(os.Interrupt) != nil {
			return s.process.Process.Kill()
		}
		return nil
	}
	s.process.WaitDelay = 10 * time.Second
	if err := s.process.Start(); err != nil {
		cancel()
		return nil, errors.Join(err, file.Close())
	}
	go func() {
		s.err = errors.Join(s.process.Wait(), file.Close())
		close(s.ended)
	}()
	return s, nil
}

// stop ends the program and waits for its end.
func (s *service) stop() {
	s.cancel()
	<-s.ended
}

// kill ends the program at once, as a power cut would, and waits for its end.
func (s *service) kill() error {
	err := s.process.Process.Kill()
	<-s.ended
	s.cancel()
	return err
}

// await waits until holds returns true; it gives up when the program ends, or patience does.
func (s *service) await(ctx context.Context, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("waited %s for %s", patience, what))
	defer cancel()
	for !holds() {
		select {
		case <-s.ended:
			return fmt.Errorf("wait for %s: %s has ended: %v", what, s.name, s.err)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(betweenLooks):
		}
	}
	return nil
}

// command runs a program to its end and returns its standard output.
func command(ctx context.Context, stdin io.Reader, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var out, problems bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &problems
	if err := cmd.Run(); err != nil {
		said := bytes.TrimSpace(append(out.Bytes(), problems.Bytes()...))
		return out.Bytes(), fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, said)
	}
	return out.Bytes(), nil
}

// operate runs a command of wolkvox's operator.
func (d *demo) operate(ctx context.Context, args ...string) ([]byte, error) {
	return command(ctx, nil, d.serverBinary, append(args, "--credential", d.credential())...)
}

// operateJSON runs a command of wolkvox's operator and decodes what it prints.
func (d *demo) operateJSON(ctx context.Context, to any, args ...string) error {
	out, err := d.operate(ctx, append(args, "--output", "json")...)
	if err != nil {
		return err
	}
	return decode(out, to)
}

// credential is the file by which the server knows its operator.
func (d *demo) credential() string { return d.path("server", "operator.pem") }

// ask runs a command of the client's administrator.
func (d *demo) ask(ctx context.Context, args ...string) ([]byte, error) {
	return command(ctx, nil, d.agentBinary, append(args, "--config", d.path("agent.yaml"))...)
}

func decode(text []byte, to any) error {
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("understand %.200q: %w", text, err)
	}
	return nil
}

// sleep waits, unless ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
