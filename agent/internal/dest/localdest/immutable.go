package localdest

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/internal/durable"
)

// protected says of an error that comes from the immutable or the append-only attribute of one of names, or of the folder that
// such a name is in, that it is one of [dest.CodeImmutable]; any other error is returned as it is. EPERM alone has other causes,
// such as a share that maps owners.
func (h *handle) protected(err error, names ...string) error {
	if !errors.Is(err, syscall.EPERM) {
		return err
	}
	for _, name := range names {
		if at, is := h.protector(path.Clean(name)); is {
			return &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeImmutable,
				Cause: fmt.Errorf("%q has the attribute immutable or append-only (lsattr shows it, chattr takes it away): %w", at, err)}
		}
	}
	return err
}

// protector returns what has the attribute: what is under name, or the nearest folder above it that is there.
func (h *handle) protector(name string) (at string, is bool) {
	if is, _ := durable.Protected(h.root, name); is || name == "." {
		return name, is
	}
	for at = path.Dir(name); ; at = path.Dir(at) {
		is, err := durable.Protected(h.root, at)
		if at == "." || !errors.Is(err, fs.ErrNotExist) {
			return at, is
		}
	}
}
