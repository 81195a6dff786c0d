package dest

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/wolkvox/backup"
)

// Errors that callers act on; the package comment says when each is returned.
var (
	ErrUnreachable   = errors.New("the destination cannot be reached")
	ErrNoMarker      = errors.New("the destination has no marker: it is not initialised, or not mounted")
	ErrForeignMarker = errors.New("the destination belongs to another log")
	ErrMarker        = errors.New("the destination's marker cannot be understood")
	ErrUnsuitable    = errors.New("the place cannot do what safe copying needs")
	ErrName          = errors.New("the name cannot be used at a destination")
	ErrConflict      = fmt.Errorf("something else is under the name and was left as it is: %w", fs.ErrExist)
	ErrReadBack      = fmt.Errorf("what is stored is not what was written: %w", backup.ErrDigest)
	ErrBroken        = errors.New("the batch is unknown and must be discarded")
)

// UnreachableError is an [ErrUnreachable] with its cause. The cause can be had with errors.As (for its code),
// but errors.Is does not look into it: some systems' codes for an unreachable share (Windows' ERROR_BAD_NETPATH)
// count as fs.ErrNotExist in Go, and unreachable is not missing.
type UnreachableError struct {
	Place string // as configured
	Cause error
}

// Error names the place and the cause.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%v: %s: %v", ErrUnreachable, e.Place, e.Cause)
}

// Is reports whether target is [ErrUnreachable].
func (e *UnreachableError) Is(target error) bool { return target == ErrUnreachable }

// As finds target in the cause.
func (e *UnreachableError) As(target any) bool { return errors.As(e.Cause, target) }

// ForeignMarkerError is an [ErrForeignMarker] that names both logs.
type ForeignMarkerError struct{ Want, Found string } // origins

// Error names both logs and the remedy.
func (e *ForeignMarkerError) Error() string {
	return fmt.Sprintf("%v: its marker says %s, this agent copies for %s; configure another folder; if wolkvox has begun a new log "+
		"for the same destination, let the agent run: it takes the place over once it has the new log", ErrForeignMarker, e.Found, e.Want)
}

// Is reports whether target is [ErrForeignMarker].
func (e *ForeignMarkerError) Is(target error) bool { return target == ErrForeignMarker }
