//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// sshd is a running sshd on this machine, with keys of its own.
type sshd struct {
	dir    string
	port   int
	daemon *service
}

// startSSHD makes a host key and a client's key and starts sshd with its own defaults, so that it takes the cipher
// that any other would.
func startSSHD(ctx context.Context, dir string) (*sshd, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &sshd{dir: dir}
	for _, key := range []string{"host", "client"} {
		if _, err := command(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		return nil, fmt.Errorf("sshd wants it: %w", err)
	}
	var err error
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	config := fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nPidFile none\nSubsystem sftp internal-sftp\n",
		s.port, filepath.Join(dir, "host"), filepath.Join(dir, "client.pub"))
	path := filepath.Join(dir, "sshd_config")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	if s.daemon, err = startService(filepath.Join(dir, "sshd.log"), "/usr/sbin/sshd", "-D", "-e", "-f", path); err != nil {
		return nil, err
	}
	if err := s.wait(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("sshd does not answer, see %s: %w", s.daemon.log, err), s.daemon.stop())
	}
	return s, nil
}

// freePort returns a port that nobody listened at a moment ago.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

func (s *sshd) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		_, err := command(ctx, "ssh", append(s.flags(), "127.0.0.1", "true")...)
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// flags are those of ssh. No user's or system's own settings count.
func (s *sshd) flags() []string {
	return []string{"-F", "none", "-p", strconv.Itoa(s.port), "-i", filepath.Join(s.dir, "client"), "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=" + filepath.Join(s.dir, "known_hosts"), "-o", "LogLevel=ERROR"}
}

// rsync copies by rsync over ssh, from where sshd is to here, as the agent does.
type rsync struct {
	sshd   *sshd
	source tree
	flags  []string
}

// name is what this program is called in tables.
func (r *rsync) name() string {
	return strings.Join(append([]string{"rsync"}, r.flags...), " ")
}

// prepare has nothing to prepare. What it returns copies everything.
func (r *rsync) prepare(_ context.Context, to string) (copying func(context.Context) (used, error), err error) {
	return func(ctx context.Context) (used, error) {
		before, err := r.sshd.daemon.cpu()
		if err != nil {
			return used{}, err
		}
		shell := strings.Join(append([]string{"ssh"}, r.sshd.flags()...), " ")
		args := append([]string{}, r.flags...)
		args = append(args, "--exclude=/.wolkvox*", "-e", shell, "127.0.0.1:"+r.source.dir+"/", to+"/")
		u, _, err := measure(ctx, false, "rsync", args...)
		if err != nil {
			return used{}, err
		}
		after, err := r.sshd.settled(ctx)
		u.cpu += after - before
		return u, err
	}, nil
}

// settled returns the time that sshd has used once the processes of all connections have ended: only then are their
// times among those of sshd.
func (s *sshd) settled(ctx context.Context) (time.Duration, error) {
	pid := s.daemon.cmd.Process.Pid
	children := fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)
	for {
		left, err := os.ReadFile(children)
		if err != nil {
			return 0, err
		}
		if len(left) == 0 {
			return s.daemon.cpu()
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}
