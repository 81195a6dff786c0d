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

// endWithParent lets a process that would run on for ever end with the one that started it, however that ends.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM }
