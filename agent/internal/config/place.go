package config

import (
	"errors"
	"fmt"
	"net"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/secret"
)

// Place is where a destination is: exactly one of its fields is set.
type Place struct {
	// Directory is a local or mounted directory, on Windows also a UNC path. Absolute.
	Directory string `yaml:"directory"`
	// Login is who the agent is to the server of a UNC path; on Windows only, and only beside Directory.
	Login *Login `yaml:"login"`
	// SMB is a share that need not be mounted.
	SMB *SMB `yaml:"smb"`
	// SFTP is a folder of an SSH server.
	SFTP *SFTP `yaml:"sftp"`
	// Rsync is a module of an rsync daemon, or a folder reached by rsync over SSH. Linux agents only.
	Rsync *Rsync `yaml:"rsync"`
	// Wolkvox is wolkvox Storage.
	Wolkvox *Wolkvox `yaml:"wolkvox"`
}

// Login is a user of a file server.
type Login struct {
	User     string         `yaml:"user"`
	Domain   string         `yaml:"domain"` // empty for the server's own users
	Password *secret.Source `yaml:"password"`
}

// SMB is a folder of an SMB 2 or 3 share.
type SMB struct {
	Address string `yaml:"address"` // host or host:port; port 445 where there is none
	Share   string `yaml:"share"`
	Folder  string `yaml:"folder"` // below the share, with slashes; empty for the share itself
	Login   `yaml:",inline"`
}

// SFTP is a folder of an SSH server.
type SFTP struct {
	SSH    `yaml:",inline"`
	Folder string `yaml:"folder"` // absolute, or relative to where the login leads
}

// SSH is a login at an SSH server whose host key is known.
type SSH struct {
	Address string `yaml:"address"` // host or host:port; port 22 where there is none
	User    string `yaml:"user"`
	// HostKey is the server's public key as in an authorized_keys file ("ssh-ed25519 AAAA..."), or its fingerprint ("SHA256:...").
	HostKey  string         `yaml:"host_key"`
	Password *secret.Source `yaml:"password"`
	Key      *secret.Source `yaml:"key"` // a private key in a form that ssh-keygen writes
	// KeyPassphrase opens Key where it is encrypted.
	KeyPassphrase *secret.Source `yaml:"key_passphrase"`
}

// Rsync is what the rsync program copies to: an rsync daemon's module, or a folder over SSH.
type Rsync struct {
	// Address is the daemon's host or host:port; port 873 where there is none. Not beside SSH.
	Address string `yaml:"address"`
	Module  string `yaml:"module"`
	User    string `yaml:"user"`
	// Password is the daemon's.
	Password *secret.Source `yaml:"password"`
	// SSH reaches the folder with rsync over SSH.
	SSH    *SSH   `yaml:"ssh"`
	Folder string `yaml:"folder"` // below the module; with SSH absolute, or relative to where the login leads
	// Check is how what is stored is compared: "peer" (the default: the NAS computes a checksum over what it stored) or
	// "readback" (everything is pulled back).
	Check string `yaml:"check"`
	// Program is the rsync program. Found in PATH where not set.
	Program string `yaml:"program"`
	// Spool is a directory of this machine where a batch is gathered before it is sent. Below the state directory where not set.
	Spool string `yaml:"spool"`
}

// The values of [Rsync.Check].
const (
	CheckPeer     = "peer"
	CheckReadback = "readback"
)

// Location is where the place is, for a person. It holds no secret.
func (p *Place) Location() string {
	switch {
	case p.SMB != nil:
		return `\\` + p.SMB.Address + `\` + strings.ReplaceAll(path.Join(p.SMB.Share, p.SMB.Folder), "/", `\`)
	case p.SFTP != nil:
		return "sftp://" + p.SFTP.User + "@" + p.SFTP.Address + "/" + strings.TrimPrefix(p.SFTP.Folder, "/")
	case p.Wolkvox != nil:
		return "wolkvox Storage"
	case p.Rsync != nil && p.Rsync.SSH != nil:
		return p.Rsync.SSH.User + "@" + p.Rsync.SSH.Address + ":" + p.Rsync.Folder + " (rsync)"
	case p.Rsync != nil:
		return "rsync://" + p.Rsync.Address + "/" + path.Join(p.Rsync.Module, p.Rsync.Folder)
	}
	return p.Directory
}

func (p *Place) check() error {
	set := 0
	for _, is := range []bool{p.Directory != "", p.SMB != nil, p.SFTP != nil, p.Rsync != nil, p.Wolkvox != nil} {
		if is {
			set++
		}
	}
	if set != 1 {
		return errors.New("give exactly one of directory, smb, sftp, rsync and wolkvox")
	}
	if p.Login != nil && p.Directory == "" {
		return errors.New("login goes with directory; smb, sftp and rsync have a user of their own")
	}
	switch {
	case p.SMB != nil:
		return inKey("smb", p.SMB.check())
	case p.SFTP != nil:
		return inKey("sftp", p.SFTP.check())
	case p.Rsync != nil:
		return inKey("rsync", p.Rsync.check())
	case p.Wolkvox != nil:
		return inKey("wolkvox", p.Wolkvox.check())
	}
	if !filepath.IsAbs(p.Directory) {
		return fmt.Errorf("directory is %q; give the absolute path of a local or mounted directory", p.Directory)
	}
	if p.Login != nil {
		if runtime.GOOS != "windows" {
			return errors.New("login is for UNC paths on Windows; here mount the share with its user and password (mount.cifs(8), in /etc/fstab) " +
				"and give the directory where it is mounted, or give smb instead of directory")
		}
		return inKey("login", p.Login.check())
	}
	return nil
}

func inKey(key string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func (l *Login) check() error {
	if l.User == "" {
		return errors.New("user is empty")
	}
	if l.Password == nil {
		return errors.New("password is missing; it says where the password is: file, environment or credential")
	}
	return inKey("password", l.Password.Check())
}

func (s *SMB) check() error {
	if err := setPort(&s.Address, "445"); err != nil {
		return err
	}
	if s.Share == "" || strings.ContainsAny(s.Share, `/\`) {
		return fmt.Errorf("share is %q; give the share's name alone, and what is below it as folder", s.Share)
	}
	if s.Folder != "" {
		if err := backup.CheckPath(s.Folder); err != nil {
			return fmt.Errorf("folder: %w", err)
		}
	}
	return s.Login.check()
}

func (s *SFTP) check() error {
	if s.Folder == "" {
		return errors.New("folder is empty; give the folder on the server")
	}
	return s.SSH.check()
}

func (s *SSH) check() error {
	if err := setPort(&s.Address, "22"); err != nil {
		return err
	}
	if s.User == "" {
		return errors.New("user is empty")
	}
	if s.HostKey == "" {
		return errors.New("host_key is empty; give the server's public key or its fingerprint, as `ssh-keyscan` shows it and its administrator confirms")
	}
	if s.Password == nil && s.Key == nil {
		return errors.New("give password or key: it says where the secret is")
	}
	for key, source := range map[string]*secret.Source{"password": s.Password, "key": s.Key, "key_passphrase": s.KeyPassphrase} {
		if source != nil {
			if err := source.Check(); err != nil {
				return inKey(key, err)
			}
		}
	}
	return nil
}

func (r *Rsync) check() error {
	if r.Check == "" {
		r.Check = CheckPeer
	}
	if r.Check != CheckPeer && r.Check != CheckReadback {
		return fmt.Errorf("check is %q; give %s or %s", r.Check, CheckPeer, CheckReadback)
	}
	for key, v := range map[string]string{"program": r.Program, "spool": r.Spool} {
		if v != "" && !filepath.IsAbs(v) {
			return fmt.Errorf("%s is %q; give an absolute path", key, v)
		}
	}
	if r.SSH != nil {
		if r.Address != "" || r.Module != "" || r.User != "" || r.Password != nil {
			return errors.New("address, module, user and password are those of a daemon; with ssh they stand below ssh")
		}
		if r.Folder == "" {
			return errors.New("folder is empty; give the folder on the server")
		}
		return inKey("ssh", r.SSH.check())
	}
	if err := setPort(&r.Address, "873"); err != nil {
		return err
	}
	if r.Module == "" || strings.Contains(r.Module, "/") {
		return fmt.Errorf("module is %q; give the module's name alone, and what is below it as folder", r.Module)
	}
	if r.Folder != "" {
		if err := backup.CheckPath(r.Folder); err != nil {
			return fmt.Errorf("folder: %w", err)
		}
	}
	if (r.User == "") != (r.Password == nil) {
		return errors.New("user and password go together")
	}
	if r.Password != nil {
		return inKey("password", r.Password.Check())
	}
	return nil
}

// setPort adds the port to an address that has none.
func setPort(address *string, port string) error {
	if *address == "" {
		return errors.New("address is empty; give host or host:port")
	}
	if host, given, err := net.SplitHostPort(*address); err == nil && host != "" && given != "" {
		return nil
	}
	host := strings.Trim(*address, "[]")
	if strings.ContainsAny(host, "/ ") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return fmt.Errorf("address is %q; give host or host:port", *address)
	}
	*address = net.JoinHostPort(host, port)
	return nil
}
