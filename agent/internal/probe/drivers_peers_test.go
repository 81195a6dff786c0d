//go:build peers && linux

package probe

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/rsyncdest"
	"github.com/wolkvox/backup/agent/internal/dest/sftpdest"
	"github.com/wolkvox/backup/agent/internal/dest/smbdest"
	"github.com/wolkvox/backup/internal/peertest/rsyncd"
	"github.com/wolkvox/backup/internal/peertest/samba"
	"github.com/wolkvox/backup/internal/peertest/sshd"
)

// peer is a real server with a folder, reached in the right way and with one thing changed.
type peer struct {
	dir   string
	open  func(t *testing.T, wrong string) dest.Opener
	wants map[string]want // by what is wrong
	well  []want          // what is told where nothing is wrong
}

func text(s string) func() (string, error) { return func() (string, error) { return s, nil } }

func sftpPeer(t *testing.T) peer {
	s := sshd.Start(t, sshd.Options{})
	return peer{s.Dir, func(t *testing.T, wrong string) dest.Opener {
		o := sftpdest.Options{Address: s.Address, User: s.User, HostKey: s.HostKey, Folder: s.Dir, Key: func() ([]byte, error) { return s.Key, nil }}
		switch wrong {
		case "host key":
			o.HostKey = "SHA256:" + strings.Repeat("A", 43)
		case "login":
			o.User = "nobody-at-all"
		case "folder":
			o.Folder += "/none"
		}
		opener, err := sftpdest.New(o)
		must(t, err)
		return opener
	}, map[string]want{
		"host key": {SubjectHostKey, backup.CheckBad, []string{"another host key"}},
		"login":    {SubjectAccount, backup.CheckBad, []string{"user, password or key"}},
		"folder":   {SubjectPlace, backup.CheckBad, nil},
	}, []want{
		{SubjectPlace, backup.CheckGood, []string{"SSH-2.0-OpenSSH", "for its user " + s.User}},
		{SubjectHostKey, backup.CheckGood, []string{fingerprint(t, s.HostKey)}},
		{SubjectSync, backup.CheckGood, nil},
		{SubjectRename, backup.CheckGood, nil},
	}}
}

func rsyncSSHPeer(t *testing.T) peer {
	s := sshd.Start(t, sshd.Options{Config: "SetEnv SHLVL=2"}) // so that bash reads no ~/.bashrc, which may take long
	return peer{s.Dir, func(t *testing.T, wrong string) dest.Opener {
		o := rsyncdest.Options{SSH: &rsyncdest.SSH{Address: s.Address, User: s.User, HostKey: s.HostKey, Key: func() ([]byte, error) { return s.Key, nil }}, Folder: s.Dir, Spool: t.TempDir()}
		switch wrong {
		case "host key":
			o.SSH.HostKey = sshdKey(t)
		case "program":
			o.Program = "/nowhere/rsync"
		case "folder":
			o.Folder += "/none"
		}
		return rsyncdest.New(o)
	}, map[string]want{
		"host key": {SubjectHostKey, backup.CheckBad, []string{"another host key"}},
		"program":  {SubjectProgram, backup.CheckBad, []string{"missing"}},
		"folder":   {SubjectPlace, backup.CheckBad, []string{"the folder exists"}},
	}, []want{
		{SubjectPlace, backup.CheckGood, []string{"for its user " + s.User}},
		{SubjectHostKey, backup.CheckGood, []string{fingerprint(t, s.HostKey)}},
		{SubjectProgram, backup.CheckGood, []string{"the rsync of this machine is 3."}},
	}}
}

// fingerprint returns a public key's fingerprint.
func fingerprint(t *testing.T, key string) string {
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(key))
	must(t, err)
	return ssh.FingerprintSHA256(public)
}

// sshdKey returns the host key of another server.
func sshdKey(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	key, err := os.ReadFile(path + ".pub")
	must(t, err)
	return strings.Join(strings.Fields(string(key))[:2], " ")
}

func rsyncPeer(t *testing.T) peer {
	s := rsyncd.Start(t, rsyncd.Options{})
	return peer{s.Dir, func(t *testing.T, wrong string) dest.Opener {
		o := rsyncdest.Options{Address: s.Address, Module: s.Module, User: s.User, Spool: t.TempDir(), Password: text(s.Password)}
		switch wrong {
		case "login":
			o.Password = text("wrong")
		case "program":
			o.Program = "/nowhere/rsync"
		case "module":
			o.Module = "none"
		}
		return rsyncdest.New(o)
	}, map[string]want{
		"login":   {SubjectAccount, backup.CheckBad, []string{"password"}},
		"program": {SubjectProgram, backup.CheckBad, []string{"missing"}},
		"module":  {SubjectPlace, backup.CheckBad, []string{"no such module"}},
	}, []want{
		{SubjectPlace, backup.CheckGood, []string{"the module " + s.Module + " takes the agent for the user " + s.User}},
		{SubjectProgram, backup.CheckGood, []string{"the rsync of this machine is 3."}},
	}}
}

func smbPeer(t *testing.T) peer {
	s := samba.Start(t, samba.Options{})
	return peer{s.Dir, func(t *testing.T, wrong string) dest.Opener {
		o := smbdest.Options{Address: s.Address, Share: s.Share, User: s.User, Password: text(s.Password)}
		switch wrong {
		case "login":
			o.Password = text("wrong")
		case "share":
			o.Share = "none"
		}
		return smbdest.New(o)
	}, map[string]want{
		"login": {SubjectAccount, backup.CheckBad, []string{"user, password or key"}},
		"share": {SubjectPlace, backup.CheckBad, []string{"no such share"}},
	}, []want{{SubjectPlace, backup.CheckGood, []string{"user " + s.User, "SMB 3.1.1", "signed"}}}}
}

// TestDriversOfPeers checks real servers through each driver: all is well, and says who is wrong where one thing is.
func TestDriversOfPeers(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) peer{"sftp": sftpPeer, "rsync daemon": rsyncPeer, "rsync over ssh": rsyncSSHPeer, "smb": smbPeer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			made := func(wrong string) Config {
				c := well(t, p.open(t, wrong))
				c.Mounted, c.Login = false, true
				return c
			}
			c := initialised(t, made(""))
			before := files(t, p.dir)
			report := run(t, New(c))
			for _, line := range report.Lines {
				t.Logf("%-7v %-11s %s", line.Verdict, line.Subject, line.Message)
			}
			if report.Worst == backup.CheckBad {
				t.Error("a place that is well is bad")
			}
			for _, w := range p.well {
				w.in(t, report)
			}
			for path := range files(t, p.dir) {
				if _, was := before[path]; !was {
					t.Errorf("the check left %s", path)
				}
			}
			for wrong, w := range p.wants {
				report := run(t, New(made(wrong)))
				w.in(t, report)
				onlyBad(t, report, w.subject)
				t.Logf("wrong %s: %+v", wrong, lineOf(report, w.subject))
			}
		})
	}
}

// TestOldProgram: an rsync of this machine that is old works, and somebody should replace it.
func TestOldProgram(t *testing.T) {
	t.Parallel()
	s := rsyncd.Start(t, rsyncd.Options{})
	program := filepath.Join(t.TempDir(), "rsync")
	must(t, os.WriteFile(program, []byte("#!/bin/sh\n[ \"$1\" = --version ] && exec echo 'rsync  version 3.2.7  protocol version 31'\nexec rsync \"$@\"\n"), 0o700))
	c := well(t, rsyncdest.New(rsyncdest.Options{
		Address: s.Address, Module: s.Module, User: s.User, Spool: t.TempDir(), Password: text(s.Password), Program: program,
	}))
	c.Mounted, c.Login = false, true
	report := run(t, New(initialised(t, c)))
	want{SubjectProgram, backup.CheckWarning, []string{"3.2.7", "install 3.5.0 or later"}}.in(t, report)
	if report.Worst != backup.CheckWarning {
		t.Errorf("the report is %v", report.Worst)
	}
}
