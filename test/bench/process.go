//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clockTick is the unit of the times in /proc/PID/stat: USER_HZ, which is 100 on every architecture that Go knows.
const clockTick = 10 * time.Millisecond

// command runs a program to its end and returns what it wrote to standard output; what it wrote to standard error is
// in the error.
func command(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s%s", name, strings.Join(args, " "), err, stderr.Bytes(), stdout.Bytes())
	}
	return stdout.Bytes(), nil
}

// service is a program that runs until it is stopped.
type service struct {
	cmd *exec.Cmd
	log string
}

// startService starts a program, with its output in the file log.
func startService(log, name string, args ...string) (*service, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // smbd ends its whole group
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &service{cmd, log}, nil
}

// stop ends the program. One that does not heed SIGTERM within a while is killed.
func (s *service) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return errors.Join(err, s.cmd.Wait())
	}
	kill := time.AfterFunc(20*time.Second, func() { s.cmd.Process.Kill() })
	defer kill.Stop()
	err := s.cmd.Wait()
	if status, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGTERM {
		return nil
	}
	if err != nil {
		log, _ := os.ReadFile(s.log)
		return fmt.Errorf("%s: %w: %s", s.cmd.Path, err, log)
	}
	return nil
}

// cpu returns the time that the program, and those of its children that have ended and were waited for, have used.
func (s *service) cpu() (time.Duration, error) { return cpuOf(s.cmd.Process.Pid) }

// treeCPU returns the time that the program and all that descend from it have used.
func (s *service) treeCPU() (time.Duration, error) {
	total := time.Duration(0)
	for tree := []int{s.cmd.Process.Pid}; len(tree) > 0; tree = tree[1:] {
		used, err := cpuOf(tree[0])
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) { // it has ended meanwhile
			continue
		}
		if err != nil {
			return 0, err
		}
		total += used
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", tree[0]))
		if err != nil {
			return 0, err
		}
		for _, name := range threads {
			text, _ := os.ReadFile(name) // of a thread that has ended there are none
			for field := range strings.FieldsSeq(string(text)) {
				if child, err := strconv.Atoi(field); err == nil {
					tree = append(tree, child)
				}
			}
		}
	}
	return total, nil
}

func cpuOf(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// proc(5): the name, in parentheses, may hold anything; utime, stime, cutime and cstime are the fields 14 to 17.
	_, rest, _ := bytes.Cut(text, []byte(") "))
	fields := strings.Fields(string(rest))
	if len(fields) < 15 {
		return 0, fmt.Errorf("/proc/%d/stat is too short: %q", pid, text)
	}
	var ticks int64
	for _, field := range fields[11:15] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// used is what a program that ran to its end has used.
type used struct {
	wall          time.Duration
	cpu           time.Duration // of it and of all its children
	peakAnonymous int64         // bytes, sampled; 0 where it was not asked for
}

// measure runs a program to its end.
func measure(ctx context.Context, sampled bool, name string, args ...string) (used, []byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return used{}, nil, err
	}
	peak := func() int64 { return 0 }
	if sampled {
		peak = sample(cmd.Process.Pid)
	}
	err := cmd.Wait()
	u := used{wall: time.Since(began), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), peakAnonymous: peak()}
	if err != nil {
		return used{}, nil, fmt.Errorf("%s %s: %w: %s%s", name, strings.Join(args, " "), err, stderr.Bytes(), stdout.Bytes())
	}
	return u, stdout.Bytes(), nil
}

// samplePeriod is how often the memory of a process is looked at.
const samplePeriod = 20 * time.Millisecond

// sample looks at the anonymous memory of a process until the function that it returns is called, which returns the
// peak in bytes.
func sample(pid int) func() int64 {
	stop, peak := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(samplePeriod)
		defer tick.Stop()
		highest := int64(0)
		for {
			highest = max(highest, anonymous(pid))
			select {
			case <-tick.C:
			case <-stop:
				peak <- highest
				return
			}
		}
	}()
	return func() int64 {
		close(stop)
		return <-peak
	}
}

// anonymous returns the anonymous memory of a process in bytes, 0 once it has ended.
func anonymous(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "\nRssAnon:")
	kibibytes, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(firstLine(rest), " kB")), 10, 64)
	return kibibytes << 10
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// progress tells a person what goes on.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}
