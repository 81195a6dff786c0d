//go:build linux && peers

package nas

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/wolkvox/backup/internal/peertest/gosftp"
	"github.com/wolkvox/backup/internal/peertest/rsyncd"
	"github.com/wolkvox/backup/internal/peertest/samba"
	"github.com/wolkvox/backup/internal/peertest/sshd"
	"github.com/wolkvox/backup/test/fleet"
)

// slowBytes is what a slow line carries to the peer in a second.
const slowBytes = 300_000

// network is what all peers with an address have in common.
type network struct{ secret string }

func newNetwork(t testing.TB) network {
	t.Helper()
	return network{filepath.Join(t.TempDir(), "secret")}
}

func (network) cut(_ testing.TB, line *fleet.Line) { line.Cut() }

func (network) slow(line *fleet.Line, on bool) {
	if on {
		line.SlowBack(slowBytes)
	} else {
		line.SlowBack(0)
	}
}

// tell writes the agent's secret.
func (n network) tell(t testing.TB, secret []byte) {
	t.Helper()
	if err := os.WriteFile(n.secret, secret, 0o600); err != nil {
		t.Fatal(err)
	}
}

// or returns the address that is given.
func or(address, own string) string {
	if address != "" {
		return address
	}
	return own
}

// smb is Samba's server.
type smb struct {
	network
	*samba.Server
}

func startSMB(t testing.TB, dir string) peer {
	t.Helper()
	p := &smb{newNetwork(t), samba.Start(t, samba.Options{Dir: dir})}
	p.unlock(t)
	return p
}

func (p *smb) where(address string) string {
	return fmt.Sprintf("  smb:\n    address: %s\n    share: %s\n    user: %s\n    password: {file: %s}\n", or(address, p.Address), p.Share, p.User, p.secret)
}

func (p *smb) address() string      { return p.Address }
func (p *smb) kill()                { p.Kill() }
func (p *smb) restart(t testing.TB) { p.Restart(t) }

func (p *smb) lock(t testing.TB) {
	p.SetPassword(t, "another horse")
	p.Restart(t) // sessions that are open would stay
}

func (p *smb) unlock(t testing.TB) { p.tell(t, []byte(p.Password+"\n")) }

func (p *smb) readOnly(t testing.TB, on bool) {
	p.SetReadOnly(t, on)
	p.Restart(t)
}

// openSSH is OpenSSH's server, for SFTP, or for rsync over ssh.
type openSSH struct {
	network
	*sshd.Server
	rsync bool
	key   []byte // the one that it takes
}

func startOpenSSH(t testing.TB, dir string, rsync bool) *openSSH {
	t.Helper()
	s := sshd.Start(t, sshd.Options{Dir: dir})
	p := &openSSH{newNetwork(t), s, rsync, s.Key}
	p.unlock(t)
	return p
}

func startSFTP(t testing.TB, dir string) peer     { return startOpenSSH(t, dir, false) }
func startRsyncSSH(t testing.TB, dir string) peer { return startOpenSSH(t, dir, true) }

func (p *openSSH) where(address string) string {
	login := "%[1]s  address: %[2]s\n%[1]s  user: %[3]s\n%[1]s  host_key: %[4]q\n%[1]s  key: {file: %[5]s}\n"
	if p.rsync {
		return fmt.Sprintf("  rsync:\n    ssh:\n"+login+"    folder: %[6]s\n", "    ", or(address, p.Address), p.User, p.HostKey, p.secret, p.Dir)
	}
	return fmt.Sprintf("  sftp:\n"+login+"    folder: %[6]s\n", "  ", or(address, p.Address), p.User, p.HostKey, p.secret, p.Dir)
}

func (p *openSSH) address() string      { return p.Address }
func (p *openSSH) kill()                { p.Kill() }
func (p *openSSH) restart(t testing.TB) { p.Restart(t) }

// lock has the server take another key, and no more the one that the agent has.
func (p *openSSH) lock(t testing.TB) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	half, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	p.SetAuthorized(t, half)
	p.key = pem.EncodeToMemory(block)
	p.Restart(t) // connections that are open would stay
}

func (p *openSSH) unlock(t testing.TB) { p.tell(t, p.key) }

// readOnly makes the SFTP server read-only, or for rsync the file system that it writes to.
func (p *openSSH) readOnly(t testing.TB, on bool) {
	if p.rsync {
		remount(t, filepath.Dir(p.Dir), readOnlyOption(on))
		return
	}
	p.SetReadOnly(t, on)
	p.Restart(t)
}

// plainSFTP is an SFTP server without any extensions.
type plainSFTP struct {
	network
	*gosftp.Server
	refuses *atomic.Bool
}

func startPlainSFTP(t testing.TB, dir string) peer {
	t.Helper()
	refuses := &atomic.Bool{}
	s := gosftp.Start(t, gosftp.Options{Dir: dir, Answer: func(r gosftp.Request) (status uint32, answered bool) {
		switch r.Type {
		case gosftp.Write, gosftp.Mkdir, gosftp.Remove, gosftp.Rename, gosftp.Rmdir:
			return gosftp.StatusPermissionDenied, refuses.Load()
		}
		return 0, false
	}})
	p := &plainSFTP{newNetwork(t), s, refuses}
	p.unlock(t)
	return p
}

func (p *plainSFTP) where(address string) string {
	return fmt.Sprintf("  sftp:\n    address: %s\n    user: %s\n    host_key: %q\n    password: {file: %s}\n    folder: %s\n",
		or(address, p.Address), p.User, p.HostKey, p.secret, p.Dir)
}

func (p *plainSFTP) address() string      { return p.Address }
func (p *plainSFTP) kill()                { p.Kill() }
func (p *plainSFTP) restart(t testing.TB) { p.Restart(t) }

func (p *plainSFTP) lock(testing.TB) {
	p.SetPassword("another horse")
	p.Cut()
}

func (p *plainSFTP) unlock(t testing.TB)            { p.tell(t, []byte(p.Password()+"\n")) }
func (p *plainSFTP) readOnly(_ testing.TB, on bool) { p.refuses.Store(on) }

// daemon is an rsync daemon.
type daemon struct {
	network
	*rsyncd.Server
}

func startRsync(t testing.TB, dir string) peer {
	t.Helper()
	p := &daemon{newNetwork(t), rsyncd.Start(t, rsyncd.Options{Dir: dir})}
	p.unlock(t)
	return p
}

func (p *daemon) where(address string) string {
	return fmt.Sprintf("  rsync:\n    address: %s\n    module: %s\n    user: %s\n    password: {file: %s}\n", or(address, p.Address), p.Module, p.User, p.secret)
}

func (p *daemon) address() string      { return p.Address }
func (p *daemon) kill()                { p.Kill() }
func (p *daemon) restart(t testing.TB) { p.Restart(t) }
func (p *daemon) lock(t testing.TB)    { p.SetPassword(t, "another horse") }
func (p *daemon) unlock(t testing.TB)  { p.tell(t, []byte(p.Password+"\n")) }

func (p *daemon) readOnly(t testing.TB, on bool) { p.Configure(t, rsyncd.Options{ReadOnly: on}) }
