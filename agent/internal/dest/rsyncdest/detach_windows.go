package rsyncdest

import "os/exec"

// detach does nothing: on Windows nothing is run but to ask for a version.
func detach(*exec.Cmd) {}
