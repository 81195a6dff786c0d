// Package authority is what a person does with the authority of a server on this machine: looking at it, rotating its
// intermediate and its root, and moving the root's key away. It works on the state directory. A running server goes on
// with what it read when it started, and is to be started again. It issues nothing.
package authority

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/server/internal/config"
)

// DirName is the directory below the state directory that holds the authority and the server's certificate.
const DirName = "identity"

// State is what can be seen of an authority.
type State struct {
	*identity.Authority
	RootKey string // the file of the root's private key below the state directory; empty where it was moved away
}

// Load reads the authority of a configured server.
func Load(c config.Config) (State, error) {
	dir := filepath.Join(c.StateDir, DirName)
	loaded, err := identity.LoadAuthority(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, fmt.Errorf("%w; run `wolkvox-server init` first, as the user that serves", err)
	}
	if err != nil {
		return State{}, err
	}
	return stateOf(loaded, dir), nil
}

// Rotate makes a new intermediate, and a new root where the authority is of the earlier form. The root's key is read from
// the file that it was moved to, or from the state directory where that is empty.
func Rotate(c config.Config, rootKeyFile string, at time.Time) (State, error) {
	return change(c, func(a State, dir string) (*identity.Authority, error) {
		if !a.HasIntermediate() {
			return a.RotateRoot(nil, at)
		}
		key, err := a.LoadRootKey(dir, rootKeyFile)
		if err != nil {
			return nil, err
		}
		return a.Rotate(key, at)
	})
}

// RotateRoot makes a new root, which the present one certifies, and a new intermediate. The key of the present root is
// read as [Rotate] does; the new one's is in the state directory afterwards.
func RotateRoot(c config.Config, rootKeyFile string, at time.Time) (State, error) {
	return change(c, func(a State, dir string) (*identity.Authority, error) {
		key, err := a.LoadRootKey(dir, rootKeyFile)
		if err != nil {
			return nil, err
		}
		return a.RotateRoot(key, at)
	})
}

// ExportRoot moves the root's key from the state directory to a new file.
func ExportRoot(c config.Config, to string) (State, error) {
	a, err := Load(c)
	if err != nil {
		return State{}, err
	}
	dir := filepath.Join(c.StateDir, DirName)
	if err := checkOwner(dir); err != nil {
		return State{}, err
	}
	if err := a.ExportRootKey(dir, to); err != nil {
		return State{}, fmt.Errorf("export the root's key: %w", err)
	}
	return stateOf(a.Authority, dir), nil
}

func change(c config.Config, rotate func(a State, dir string) (*identity.Authority, error)) (State, error) {
	a, err := Load(c)
	if err != nil {
		return State{}, err
	}
	dir := filepath.Join(c.StateDir, DirName)
	if err := checkOwner(dir); err != nil {
		return State{}, err
	}
	rotated, err := rotate(a, dir)
	if err != nil {
		return State{}, err
	}
	if err := rotated.Save(dir); err != nil {
		return State{}, err
	}
	return stateOf(rotated, dir), nil
}

func stateOf(a *identity.Authority, dir string) State {
	state := State{Authority: a}
	if path, isThere := a.RootKeyPath(dir); isThere {
		state.RootKey = path
	}
	return state
}
