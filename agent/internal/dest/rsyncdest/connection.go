package rsyncdest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// controlSocket is where the processes of a handle find its connection.
const controlSocket = "control"

// connection is an ssh program that keeps one SSH connection for all processes of a handle (ssh_config(5), ControlMaster):
// connecting takes longer than most operations. A process that finds it gone connects by itself.
type connection struct {
	kill  context.CancelFunc
	ended chan struct{} // closed when the program has ended
}

// connect starts the connection and returns when it stands. Otherwise its error says why it does not.
func (h *handle) connect(ctx context.Context, user string) error {
	program, err := lookProgram("ssh")
	if err != nil {
		return err
	}
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	cmd := exec.CommandContext(life, program, "-F", sshConfigFile, "-M", "-N", user+"@"+sshHost)
	cmd.Dir, cmd.Env = h.dir, h.env
	failed := &failure{place: h.rsync.label, status: statusSSH}
	messages := &lines{line: failed.add}
	cmd.Stderr = messages
	cmd.WaitDelay = pipesDelay
	detach(cmd)
	endWithParent(cmd)
	if err := cmd.Start(); err != nil {
		kill()
		return &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeProgram, Cause: hideAbsence(err)}
	}
	c := &connection{kill: kill, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		cmd.Wait() // how it ended shows in its messages
	}()
	h.connection = c
	const step, limit = 5 * time.Millisecond, 2 * connectSeconds * time.Second
	for waited := time.Duration(0); waited < limit; waited += step {
		if _, err := os.Lstat(filepath.Join(h.dir, controlSocket)); err == nil {
			return nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return spoolError(err)
		}
		select {
		case <-time.After(step):
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.ended:
			messages.end()
			return failed.explain()
		}
	}
	c.close() // nothing else adds messages from now on
	failed.add("ssh: the server has not answered in " + limit.String())
	failed.status = statusSilent
	return failed.explain()
}

// close ends the program. A nil connection is none.
func (c *connection) close() {
	if c != nil {
		c.kill()
		<-c.ended
	}
}
