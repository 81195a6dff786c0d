package rsyncdest

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// Version returns the version of the rsync program on this machine. It is a dest.CodeError with dest.CodeProgram where there is
// none that runs. What runs at the place rsync does not tell.
func (r *Rsync) Version(ctx context.Context) (Version, error) {
	program, err := r.program()
	if err != nil {
		return Version{}, err
	}
	cmd := exec.CommandContext(ctx, program, "--version")
	cmd.WaitDelay = pipesDelay
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return Version{}, context.Cause(ctx)
	}
	if err != nil {
		return Version{}, &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeProgram, Cause: fmt.Errorf("run %s --version: %w", program, hideAbsence(err))}
	}
	first, _, _ := bytes.Cut(out, []byte("\n"))
	version, ok := parseVersion(string(first))
	if !ok {
		return Version{}, &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeProgram, Cause: fmt.Errorf("%s is not rsync: it says %.100q", program, first)}
	}
	return version, nil
}
