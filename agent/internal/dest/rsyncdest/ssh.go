package rsyncdest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// The files of a handle that ssh reads. They are named relative to the working folder of the processes, so that no path needs
// quoting.
const (
	sshConfigFile  = "ssh_config"
	knownHostsFile = "known_hosts"
	identityFile   = "identity"
)

// sshHost is the name that ssh knows the server by, in its configuration and among the known hosts.
const sshHost = "peer"

// sshConfig is all the configuration that ssh gets (ssh_config(5)): one server, one host key, one identity; nobody is asked,
// and nothing of the user's own configuration or agent is used.
const sshConfig = `HostName %s
Port %s
HostKeyAlias ` + sshHost + `
HostKeyAlgorithms %s
UserKnownHostsFile ` + knownHostsFile + `
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
UpdateHostKeys no
IdentityFile ` + identityFile + `
IdentitiesOnly yes
IdentityAgent none
PreferredAuthentications publickey
BatchMode yes
ClearAllForwardings yes
ControlPath none
ConnectTimeout %d
ServerAliveInterval 30
ServerAliveCountMax 4
LogLevel ERROR
`

// prepareSSH writes the files that ssh reads and sets up how the folder is reached.
func (h *handle) prepareSSH(s *SSH) error {
	if _, err := lookProgram("ssh"); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil || strings.ContainsAny(s.Address, " \t\n\"%") {
		return fmt.Errorf("the address %q is not host:port", s.Address)
	}
	kind, key, err := parseHostKey(s.HostKey)
	if err != nil {
		return err
	}
	if s.Key == nil {
		return &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeUnsupported, Cause: errors.New(
			"rsync over SSH takes no password; give it a key, or use the destination sftp, which takes passwords")}
	}
	identity, err := s.Key()
	if err != nil {
		return &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeSecret, Cause: hideAbsence(err)}
	}
	if len(identity) > 0 && identity[len(identity)-1] != '\n' {
		identity = append(identity, '\n') // ssh does not read a key without its last line end
	}
	for name, text := range map[string]string{
		sshConfigFile:  fmt.Sprintf(sshConfig, host, port, hostKeyAlgorithms(kind), connectSeconds),
		knownHostsFile: sshHost + " " + kind + " " + key + "\n",
		identityFile:   string(identity),
	} {
		if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600); err != nil {
			return spoolError(err)
		}
	}
	folder := strings.TrimRight(h.rsync.options.Folder, "/") + "/"
	if !strings.HasPrefix(folder, "/") {
		folder = "./" + folder // neither an option nor a daemon's module
	}
	h.base = s.User + "@" + sshHost + ":" + folder
	h.pullAt = h.base
	h.remote = []string{"--rsh=ssh -F " + sshConfigFile}
	return nil
}

// parseHostKey splits a line of an authorized_keys file.
func parseHostKey(line string) (kind, key string, err error) {
	fields := strings.Fields(line)
	switch {
	case strings.HasPrefix(line, "SHA256:") || strings.HasPrefix(line, "MD5:"):
		return "", "", &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeUnsupported, Cause: errors.New(
			"rsync over SSH needs the server's whole public host key, not its fingerprint; give the line that " +
				"`ssh-keyscan` prints for it, without the host (\"ssh-ed25519 AAAA...\")")}
	case len(fields) < 2:
		return "", "", fmt.Errorf("the host key %q is not like \"ssh-ed25519 AAAA...\"", line)
	}
	return fields[0], fields[1], nil
}

// hostKeyAlgorithms returns the algorithms by which a host proves a key of this kind (RFC 8332 for RSA).
func hostKeyAlgorithms(kind string) string {
	if kind == "ssh-rsa" {
		return "rsa-sha2-512,rsa-sha2-256"
	}
	return kind
}
