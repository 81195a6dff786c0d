// Package child starts programs that die with the test, also with one that is killed. It neither waits for them nor reads
// what they say.
package child

import (
	"errors"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Start starts a program, which gets SIGKILL when this process ends. Its caller waits for it as always.
func Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error)
	go func() {
		// The signal is sent when the thread ends that started the program, so no other may end this one.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			err = unix.EINTR
		}
		for errors.Is(err, unix.EINTR) {
			err = unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		}
	}()
	return <-started
}
