package agent

import (
	"errors"
	"path/filepath"

	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/rsyncdest"
)

// openRsync returns what opens a module of an rsync daemon, or a folder that rsync reaches over SSH.
func openRsync(d config.Destination) (dest.Opener, error) {
	c := d.Rsync
	o := rsyncdest.Options{
		Address: c.Address, Module: c.Module, User: c.User, Folder: c.Folder,
		Readback: c.Check == config.CheckReadback, Program: c.Program,
		Spool: filepath.Join(c.Spool, d.Name), // each destination sweeps its own
	}
	if c.Password != nil {
		o.Password = c.Password.Text
	}
	if c.SSH != nil {
		if c.SSH.KeyPassphrase != nil {
			return nil, errors.New("rsync over SSH takes no key that is encrypted; give it a key without a passphrase in a file that " +
				"only the agent can read, or use the destination sftp")
		}
		o.SSH = &rsyncdest.SSH{Address: c.SSH.Address, User: c.SSH.User, HostKey: c.SSH.HostKey}
		if c.SSH.Key != nil {
			o.SSH.Key = c.SSH.Key.Read
		}
	}
	return rsyncdest.New(o), nil
}
