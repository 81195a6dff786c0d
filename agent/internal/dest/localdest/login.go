package localdest

import (
	"fmt"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// Login is who the agent is to the server of a UNC path, instead of the account that it runs as.
type Login struct {
	User     string
	Domain   string                 // empty for the server's own users
	Password func() (string, error) // read at each opening
}

// NewWithLogin returns an opener for the UNC path dir, on Windows only, that connects to the server as login. The connection
// is the process's own: it has no drive letter, nobody remembers it, and it is never ended here, because others may use it.
func NewWithLogin(dir string, login Login) (*Local, error) {
	if shareOf(dir) == "" {
		return nil, fmt.Errorf(`login goes with a UNC path such as \\nas\recordings, and directory is %q`, dir)
	}
	l := New(dir)
	l.login = &login
	return l, nil
}

// account returns the user as Windows takes it.
func (g *Login) account() string {
	if g.Domain == "" {
		return g.User
	}
	return g.Domain + `\` + g.User
}

func (g *Login) password() (string, error) {
	password, err := g.Password()
	if err != nil {
		return "", &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeSecret, Cause: err}
	}
	return password, nil
}
