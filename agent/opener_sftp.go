package agent

import (
	"fmt"

	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/sftpdest"
)

// openSFTP returns what opens a folder of an SSH server.
func openSFTP(c config.Destination) (dest.Opener, error) {
	o := sftpdest.Options{Address: c.SFTP.Address, User: c.SFTP.User, HostKey: c.SFTP.HostKey, Folder: c.SFTP.Folder}
	if c.SFTP.Password != nil {
		o.Password = c.SFTP.Password.Text
	}
	if c.SFTP.Key != nil {
		o.Key = c.SFTP.Key.Read
	}
	if c.SFTP.KeyPassphrase != nil {
		o.KeyPassphrase = c.SFTP.KeyPassphrase.Text
	}
	opener, err := sftpdest.New(o)
	if err != nil {
		return nil, fmt.Errorf("destination %q: sftp: %w", c.Name, err)
	}
	return opener, nil
}
