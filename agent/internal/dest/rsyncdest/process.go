package rsyncdest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wolkvox/backup/agent/internal/dest"
)

const (
	// connectSeconds bounds how long connecting may take.
	connectSeconds = 30
	// silenceSeconds bounds how long a peer may say nothing; a slow disk needs time for a sync.
	silenceSeconds = 300
	// pipesDelay is how long the pipes of a process that was killed may still be open.
	pipesDelay = 5 * time.Second

	// maxLineBytes bounds one line of what a process says: a path has at most 4096 bytes, each escaped by five.
	maxLineBytes = 32 << 10
	// maxMessages bounds how many lines of errors are kept of one process: enough to say for the files of a batch what
	// became of them.
	maxMessages = 1000
)

// call is one run of rsync.
type call struct {
	args           []string
	names          []string          // for --files-from
	line           func(line string) // gets each line of the output; nil drops them
	pulls          bool              // files come here
	keeps          bool              // what was read of the own files counts on
	silenceSeconds int               // silenceSeconds where 0
}

// run runs rsync in the handle's folder. The error is nil, that of ctx, a *failure, or that the program cannot be run.
func (h *handle) run(ctx context.Context, c call) error {
	if !c.keeps {
		h.kept.acts.Add(1)
	}
	return h.rsync.inTurn(ctx, func() error { return h.runNow(ctx, c) })
}

func (h *handle) runNow(ctx context.Context, c call) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	program, err := h.rsync.program()
	if err != nil {
		return err
	}
	silence := max(c.silenceSeconds, silenceSeconds)
	// -s sends names past the shell and the options of the other side; -8 leaves bytes above 127 as they are.
	args := append([]string{"-s", "-8", "--timeout=" + strconv.Itoa(silence)}, h.remote...)
	if c.names != nil {
		args = append(args, "--from0", "--files-from=-")
	}
	cmd := exec.CommandContext(ctx, program, append(args, c.args...)...)
	cmd.Dir, cmd.Env = h.dir, h.env
	cmd.Stdin = strings.NewReader(joinNames(c.names))
	failed := &failure{place: h.rsync.label, folder: strings.Trim(h.rsync.options.Folder, "/"), pulls: c.pulls}
	out, messages := &lines{line: c.line}, &lines{line: failed.add}
	cmd.Stdout, cmd.Stderr = out, messages
	cmd.WaitDelay = pipesDelay
	detach(cmd)
	err = cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	out.end()
	messages.end()
	if err == nil {
		return nil
	}
	exit, ended := errors.AsType[*exec.ExitError](err)
	switch {
	case !ended:
		return &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeProgram, Cause: fmt.Errorf("run %s: %w", program, hideAbsence(err))}
	case !exit.Exited():
		failed.add(exit.String())
		failed.status = statusKilled
	default:
		failed.status = exit.ExitCode()
	}
	return failed
}

// joinNames returns names as --from0 wants them. A name that begins with # or ; would be a comment.
func joinNames(names []string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteString("./")
		b.WriteString(name)
		b.WriteByte(0)
	}
	return b.String()
}

// lines is a writer that hands on whole lines without their ends. What is longer than maxLineBytes is cut.
type lines struct {
	mu   sync.Mutex // the process's pipes may outlive it by pipesDelay
	line func(line string)
	rest []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	for {
		head, tail, ended := bytes.Cut(p, []byte("\n"))
		l.rest = append(l.rest, head[:min(len(head), maxLineBytes-len(l.rest))]...)
		if !ended {
			return n, nil
		}
		l.flush()
		p = tail
	}
}

// end hands on a last line that has no end.
func (l *lines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) > 0 {
		l.flush()
	}
}

func (l *lines) flush() {
	if l.line != nil {
		l.line(strings.TrimSuffix(string(l.rest), "\r"))
	}
	l.rest = l.rest[:0]
}
