//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// peer is a running server of this machine that recordings are copied to. It serves one folder.
type peer struct {
	root    string // the folder
	service *service
	where   func(to string) string // what the agent's configuration has to say of a folder below root
	copiers []copier               // other programs that copy to it
	// holds returns what is in a folder, where that is not to be seen in the file system.
	holds func(ctx context.Context, to string) (tree, error)
}

// below returns a folder below root as the peer's clients name it.
func (p *peer) below(to string) string { return strings.TrimPrefix(to, p.root+"/") }

// tool is a program that copies one tree to a peer.
type tool struct {
	title string
	peer  *peer
	// command returns the program and its arguments.
	command func(to string) (program string, args []string, err error)
}

func (t *tool) name() string { return t.title }

func (t *tool) prepare(_ context.Context, to string) (copying func(context.Context) (used, error), err error) {
	program, args, err := t.command(to)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (used, error) { return withPeer(ctx, t.peer, false, program, args...) }, nil
}

// withPeer measures a program and what the peer's processes use meanwhile.
func withPeer(ctx context.Context, p *peer, sampled bool, program string, args ...string) (used, error) {
	before, err := p.service.treeCPU()
	if err != nil {
		return used{}, err
	}
	u, _, err := measure(ctx, sampled, program, args...)
	if err != nil {
		return used{}, err
	}
	after, err := p.service.treeCPU()
	u.cpu += after - before
	return u, err
}

// startPeer starts the peer of a part, in dir, to serve root; source is what the other programs copy.
func startPeer(ctx context.Context, part, dir, root string, source tree) (*peer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	start := map[string]func(context.Context, string, string, tree) (*peer, error){
		partSFTP: startSFTP, partRsync: startRsyncDaemon, partSMB: startSamba, partS3: startS3, partAzure: startAzure,
	}
	return start[part](ctx, dir, root, source)
}

// startSFTP starts OpenSSH's server.
func startSFTP(ctx context.Context, dir, root string, source tree) (*peer, error) {
	daemon, err := startSSHD(ctx, dir)
	if err != nil {
		return nil, err
	}
	public, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	if err != nil {
		return nil, errors.Join(err, daemon.daemon.stop())
	}
	key := filepath.Join(dir, "client")
	p := &peer{root: root, service: daemon.daemon}
	p.where = func(to string) string {
		return fmt.Sprintf("  sftp:\n    address: 127.0.0.1:%d\n    user: root\n    host_key: %q\n    key: {file: %q}\n    folder: %q\n",
			daemon.port, strings.TrimSpace(string(public)), key, to)
	}
	p.copiers = []copier{
		// With its own check rclone runs a program over ssh for each file, which takes ten times as long.
		&tool{"rclone copy", p, func(to string) (string, []string, error) {
			return "rclone", append(rcloneFlags(), "--sftp-disable-hashcheck", "--sftp-host=127.0.0.1", fmt.Sprintf("--sftp-port=%d", daemon.port),
				"--sftp-user=root", "--sftp-key-file="+key, source.dir, ":sftp:"+to), nil
		}},
		&tool{"sftp -r", p, func(to string) (string, []string, error) {
			batch := filepath.Join(dir, "batch")
			err := os.WriteFile(batch, fmt.Appendf(nil, "put -r %q %q\n", source.dir, to), 0o600)
			return "sftp", []string{"-q", "-b", batch, "-F", "none", "-P", fmt.Sprint(daemon.port), "-i", key, "-o", "BatchMode=yes",
				"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=" + filepath.Join(dir, "known_hosts"), "root@127.0.0.1"}, err
		}},
	}
	return p, nil
}

// rcloneFlags has rclone use its defaults, and no configuration of anybody.
func rcloneFlags() []string {
	return []string{"copy", "--config=/dev/null", "--quiet", "--exclude=/.wolkvox**"}
}

// startRsyncDaemon starts an rsync daemon with an open module.
func startRsyncDaemon(ctx context.Context, dir, root string, source tree) (*peer, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "rsyncd.conf")
	text := fmt.Sprintf("address = 127.0.0.1\nport = %d\nlog file = %s\nuse chroot = no\n[recordings]\npath = %s\nread only = false\nuid = root\ngid = root\n",
		port, filepath.Join(dir, "rsyncd.log"), root)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p := &peer{root: root}
	p.where = func(to string) string {
		return fmt.Sprintf("  rsync:\n    address: 127.0.0.1:%d\n    module: recordings\n    folder: %q\n", port, p.below(to))
	}
	p.copiers = []copier{&tool{"rsync -a", p, func(to string) (string, []string, error) {
		return "rsync", []string{"-a", "--exclude=/.wolkvox*", source.dir + "/", fmt.Sprintf("rsync://127.0.0.1:%d/recordings/%s/", port, p.below(to))}, nil
	}}}
	p.service, err = startService(filepath.Join(dir, "output"), "rsync", "--daemon", "--no-detach", "--config="+config)
	return p, p.answers(ctx, port, err)
}

// startSamba starts Samba's file server.
func startSamba(ctx context.Context, dir, root string, source tree) (*peer, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	const password = "correct-horse"
	config, secret, login := filepath.Join(dir, "smb.conf"), filepath.Join(dir, "secret"), filepath.Join(dir, "login")
	lines := []string{"[global]", fmt.Sprintf("smb ports = %d", port), "server role = standalone server", "interfaces = 127.0.0.1/8",
		"bind interfaces only = yes", "disable netbios = yes", "server min protocol = SMB2_02", "load printers = no", "printcap name = /dev/null",
		"disable spoolss = yes", "rpc start on demand helpers = no", "passdb backend = tdbsam:" + filepath.Join(dir, "passdb.tdb"), "log file = " + filepath.Join(dir, "log")}
	for _, name := range []string{"private dir", "lock directory", "state directory", "cache directory", "pid directory", "ncalrpc dir"} {
		path := filepath.Join(dir, strings.Fields(name)[0])
		if err := os.Mkdir(path, 0o755); err != nil {
			return nil, err
		}
		lines = append(lines, name+" = "+path)
	}
	lines = append(lines, "[recordings]", "path = "+root, "read only = no", "")
	for name, text := range map[string]string{
		config: strings.Join(lines, "\n"), secret: password, login: "username = root\npassword = " + password + "\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	if _, err := command(ctx, "bash", "-c", `printf '%s\n%s\n' "$2" "$2" | smbpasswd -c "$1" -a -s root`, "bash", config, password); err != nil {
		return nil, err
	}
	obscured, err := command(ctx, "rclone", "obscure", password)
	if err != nil {
		return nil, err
	}
	p := &peer{root: root}
	p.where = func(to string) string {
		return fmt.Sprintf("  smb:\n    address: 127.0.0.1:%d\n    share: recordings\n    folder: %q\n    user: root\n    password: {file: %q}\n", port, p.below(to), secret)
	}
	p.copiers = []copier{
		&tool{"smbclient mput", p, func(to string) (string, []string, error) {
			return "smbclient", []string{"//127.0.0.1/recordings", "-p", fmt.Sprint(port), "-A", login, "-d", "0", "-c",
				fmt.Sprintf("recurse ON; prompt OFF; lcd %s; cd %s; mput *", source.dir, p.below(to))}, nil
		}},
		&tool{"rclone copy", p, func(to string) (string, []string, error) {
			return "rclone", append(rcloneFlags(), "--smb-host=127.0.0.1", fmt.Sprintf("--smb-port=%d", port), "--smb-user=root",
				"--smb-pass="+strings.TrimSpace(string(obscured)), source.dir, ":smb:recordings/"+p.below(to)), nil
		}},
	}
	p.service, err = startService(filepath.Join(dir, "output"), "/usr/sbin/smbd", "-F", "--no-process-group", "-s", config)
	return p, p.answers(ctx, port, err)
}

// answers returns when the peer takes connections, or why it does not; err is that of its start.
func (p *peer) answers(ctx context.Context, port int, err error) error {
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(port)))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s does not answer, see %s: %w", p.service.cmd.Path, p.service.log, err), p.service.stop())
		}
	}
}
