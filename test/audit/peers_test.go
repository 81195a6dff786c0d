//go:build linux && peers

package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/wolkvox/backup/internal/peertest/rsyncd"
	"github.com/wolkvox/backup/internal/peertest/samba"
	"github.com/wolkvox/backup/internal/peertest/sshd"
	"github.com/wolkvox/backup/internal/peertest/versitygw"
)

// peer is a place where recordings go.
type peer struct {
	where   string // the lines of the agent's configuration that lead there
	kill    func() // nil for what cannot be stopped
	restart func()
}

// kind is one way to a peer that serves a folder.
type kind struct {
	name  string
	start func(t testing.TB, dir string) peer
	// reads says that a file that the peer itself cannot read is one that it names as such.
	reads bool
}

func kinds() []kind {
	return []kind{
		{"local", startFolder, true},
		{"sftp", startSFTP, true},
		{"smb", startSMB, true},
		{"rsync", startRsync, true},
		{"s3", startS3, false},
	}
}

func startFolder(_ testing.TB, dir string) peer {
	return peer{where: "  directory: " + dir + "\n"}
}

func secret(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func startSFTP(t testing.TB, dir string) peer {
	p := sshd.Start(t, sshd.Options{Dir: dir})
	return peer{fmt.Sprintf("  sftp:\n    address: %s\n    user: %s\n    host_key: %q\n    key: {file: %s}\n    folder: %s\n",
		p.Address, p.User, p.HostKey, secret(t, string(p.Key)), p.Dir), p.Kill, func() { p.Restart(t) }}
}

func startSMB(t testing.TB, dir string) peer {
	p := samba.Start(t, samba.Options{Dir: dir})
	return peer{fmt.Sprintf("  smb:\n    address: %s\n    share: %s\n    user: %s\n    password: {file: %s}\n",
		p.Address, p.Share, p.User, secret(t, p.Password+"\n")), p.Kill, func() { p.Restart(t) }}
}

func startRsync(t testing.TB, dir string) peer {
	p := rsyncd.Start(t, rsyncd.Options{Dir: dir})
	return peer{fmt.Sprintf("  rsync:\n    address: %s\n    module: %s\n    user: %s\n    password: {file: %s}\n",
		p.Address, p.Module, p.User, secret(t, p.Password+"\n")), p.Kill, func() { p.Restart(t) }}
}

func startS3(t testing.TB, dir string) peer {
	p := versitygw.Start(t, versitygw.Options{Dir: dir})
	return peer{fmt.Sprintf("  s3:\n    bucket: %q\n    endpoint: http://%s\n    path_style: true\n    region: %s\n    key: {file: %s}\n",
		p.Bucket, p.Address, versitygw.Region, secret(t, p.KeyID+"\n"+p.SecretKey+"\n")), p.Kill, func() { p.Restart(t) }}
}
