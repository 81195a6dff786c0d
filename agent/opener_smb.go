package agent

import (
	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/smbdest"
)

// openSMB returns what opens a folder of a share that is not mounted.
func openSMB(c *config.SMB) dest.Opener {
	return smbdest.New(smbdest.Options{
		Address: c.Address, Share: c.Share, Folder: c.Folder, User: c.User, Domain: c.Domain, Password: c.Password.Text,
	})
}
