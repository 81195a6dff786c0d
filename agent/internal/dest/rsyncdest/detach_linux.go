package rsyncdest

import (
	"os/exec"
	"syscall"
)

// detach lets a process run in a session of its own: it cannot ask anybody at a terminal for a password, and is killed
// together with what it has started.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
