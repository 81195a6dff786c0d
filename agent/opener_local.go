package agent

import (
	"fmt"

	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/localdest"
)

// openLocal returns what opens a local or mounted directory, or a UNC path.
func openLocal(c config.Destination) (dest.Opener, error) {
	if c.Login == nil {
		return localdest.New(c.Directory), nil
	}
	opener, err := localdest.NewWithLogin(c.Directory, localdest.Login{User: c.Login.User, Domain: c.Login.Domain, Password: c.Login.Password.Text})
	if err != nil {
		return nil, fmt.Errorf("destination %q: %w", c.Name, err)
	}
	return opener, nil
}
