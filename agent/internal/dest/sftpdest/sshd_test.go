//go:build linux && peers

package sftpdest_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/sftpdest"
	"github.com/wolkvox/backup/internal/peertest/sshd"
)

// TestDriverOpenSSH runs the suite against OpenSSH, with folders of their own on one server.
func TestDriverOpenSSH(t *testing.T) {
	t.Parallel()
	s := sshd.Start(t, sshd.Options{})
	desttest.Run(t, func(t *testing.T) desttest.Env {
		dir := t.TempDir()
		return newEnv(t, dir, func() dest.Opener {
			o := withKey(s)
			o.Folder = dir
			return opener(t, o)
		})
	})
}

// withKey returns the options for sshd's folder.
func withKey(s *sshd.Server) sftpdest.Options {
	return sftpdest.Options{
		Address: s.Address, User: s.User, HostKey: s.HostKey, Folder: s.Dir,
		Key: func() ([]byte, error) { return s.Key, nil },
	}
}

// TestOpenSSHFacts: all that the driver can use is there, so that there is nothing to warn of.
func TestOpenSSHFacts(t *testing.T) {
	t.Parallel()
	s := sshd.Start(t, sshd.Options{})
	facts := factsOf(t, opener(t, withKey(s)))
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s.HostKey))
	if err != nil {
		t.Fatal(err)
	}
	place := fmt.Sprintf(`^the server calls itself "SSH-2\.0-OpenSSH_[^"]+", and takes the agent for its user %s$`, s.User)
	if len(facts) != 2 || facts[0].Subject != dest.SubjectPlace || facts[0].Warning || !regexp.MustCompile(place).MatchString(facts[0].Text) {
		t.Errorf("Facts = %+v, want the first like %s", facts, place)
	}
	want := dest.Fact{Subject: dest.SubjectHostKey, Text: "the server proved itself with the pinned host key " + ssh.FingerprintSHA256(key) + " (" + key.Type() + ")"}
	if !slices.Contains(facts, want) {
		t.Errorf("Facts = %+v, want %+v", facts, want)
	}
}

// TestOpenSSHLogin: keys with and without a passphrase, and the host's keys of two kinds, pinned in every form.
func TestOpenSSHLogin(t *testing.T) {
	t.Parallel()
	s := sshd.Start(t, sshd.Options{})
	raw, err := ssh.ParseRawPrivateKey(s.Key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(raw, "", []byte("open"))
	if err != nil {
		t.Fatal(err)
	}
	o := withKey(s)
	o.Key = func() ([]byte, error) { return pem.EncodeToMemory(block), nil }
	o.KeyPassphrase = func() (string, error) { return "open", nil }
	if err := opened(t, o); err != nil {
		t.Errorf("a key with a passphrase: %v", err)
	}
	_, stranger := newKey(t, "")
	o.Key = func() ([]byte, error) { return stranger, nil }
	wantCode(t, "a stranger's key", opened(t, o), dest.SpaceDriver, dest.CodeAuth)

	scan, err := exec.CommandContext(t.Context(), "ssh-keyscan", "-p", port(t, s.Address), "127.0.0.1").Output()
	if err != nil {
		t.Fatal(err)
	}
	kinds := 0
	for line := range strings.Lines(string(scan)) {
		_, text, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		kinds++
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, pin := range []string{text, ssh.FingerprintSHA256(key)} {
			o := withKey(s)
			o.HostKey = pin
			opener := opener(t, o)
			for range 2 { // the second time it is known what to ask for
				driver, err := opener.Open(t.Context())
				if err != nil {
					t.Fatalf("pinned to %s: %v", pin, err)
				}
				driver.Close()
			}
		}
	}
	if kinds < 2 {
		t.Errorf("the server has %d keys, want 2", kinds)
	}
	o = withKey(s)
	o.HostKey = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7vbqajDhA+17CAU1HDSzONr3Ye5EoyPPgdpFQTXJz6DaCOYGAJMXzHEzA1q5lKcHPUxRJ2VUBB5J+4yBS6R6MXX" +
		"jLJt4xlCaJFOgRRJX7F4iFx2Wb4lCvVDS0tm6HAVxi7vU8m0OtLmz2cKXmLDY1KjLtZ8YyYzq0uEY4g5Yl0w=="
	err = opened(t, o)
	wantCode(t, "a key of a kind that the server does not have", err, dest.SpaceDriver, dest.CodeHostKey)
	own, _, _, _, parseErr := ssh.ParseAuthorizedKey([]byte(s.HostKey))
	if parseErr != nil || !strings.Contains(fmt.Sprint(err), ssh.FingerprintSHA256(own)) {
		t.Errorf("the error %v does not name the key that the server shows", err)
	}
}

func port(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestOpenSSHKilled kills OpenSSH between stage and publish, and in the middle of writing.
func TestOpenSSHKilled(t *testing.T) {
	t.Parallel()
	s := sshd.Start(t, sshd.Options{})
	killed(t, s.Dir, opener(t, withKey(s)), s.Kill, func() { s.Restart(t) })
}

// TestOpenSSHLinks: links that lead out are conflicts; one that stays inside is followed.
func TestOpenSSHLinks(t *testing.T) {
	t.Parallel()
	s := sshd.Start(t, sshd.Options{})
	linksLeadOut(t, s.Dir, opener(t, withKey(s)))
	if err := errors.Join(os.Mkdir(filepath.Join(s.Dir, "real"), 0o755), os.Symlink("real", filepath.Join(s.Dir, "2026"))); err != nil {
		t.Fatal(err)
	}
	if r := publish(t, place(t, opener(t, withKey(s))), []byte("ours"), "2026/a.gsm")["2026/a.gsm"]; r.Err != nil {
		t.Fatal(r.Err)
	}
	if data, err := os.ReadFile(filepath.Join(s.Dir, "real", "a.gsm")); err != nil || string(data) != "ours" {
		t.Errorf("through the link came %q, %v", data, err)
	}
}

// mount mounts a small file system for the test.
func mount(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatalf("mount a file system of memory, which needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestNoRoom: behind a status that says nothing, the full disk and the missing inodes are found.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		options     string
		files, size int
		wantErrno   int64
		remounted   bool
	}{
		"disk full": {options: "size=4m", files: 100, size: 500_000, wantErrno: int64(unix.ENOSPC)},
		"no inodes": {options: "size=4m,nr_inodes=20", files: 100, size: 10, wantErrno: int64(unix.ENOSPC)},
		"read-only": {options: "size=4m", files: 1, size: 10, wantErrno: int64(unix.EROFS), remounted: true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := sshd.Start(t, sshd.Options{Dir: mount(t, test.options)})
			p := place(t, opener(t, withKey(s)))
			if test.remounted {
				if err := unix.Mount("", s.Dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
					t.Fatal(err)
				}
			}
			names := make([]string, test.files)
			for i := range names {
				names[i] = fmt.Sprintf("%d.gsm", i)
			}
			batch, err := p.Begin(t.Context())
			if err == nil {
				err = stageAll(t.Context(), batch, make([]byte, test.size), names...)
				if err == nil {
					err = batch.Sync(t.Context())
				}
				if err := batch.Discard(); err != nil {
					t.Errorf("Discard: %v", err)
				}
			}
			code, ok := errors.AsType[*dest.CodeError](err)
			if !ok || code.Space != dest.SpaceErrno || code.Number != test.wantErrno || errors.Is(err, dest.ErrUnreachable) {
				t.Fatalf("staging = %v, want errno %d", err, test.wantErrno)
			}
			if behind, ok := errors.AsType[*dest.CodeError](code.Cause); !ok || behind.Space != dest.SpaceSFTP {
				t.Errorf("%v does not hold the server's own status", err)
			}
			if test.remounted {
				return
			}
			if r := publish(t, p, []byte("small"), "small.gsm")["small.gsm"]; r.Err != nil {
				t.Errorf("after the staging was discarded: %v", r.Err)
			}
		})
	}
}

// TestReadOnlyServer: a server that lets nothing be changed says so, and can still be read.
func TestReadOnlyServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writable := sshd.Start(t, sshd.Options{Dir: dir})
	publish(t, place(t, opener(t, withKey(writable))), []byte("ours"), "a.gsm")
	s := sshd.Start(t, sshd.Options{Dir: dir, ReadOnly: true})
	p := place(t, opener(t, withKey(s)))
	_, err := p.Begin(t.Context())
	code, ok := errors.AsType[*dest.CodeError](err)
	if !ok || code.Space != dest.SpaceSFTP || code.Number != 3 || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Begin = %v, want SSH_FX_PERMISSION_DENIED", err)
	}
	if _, err := p.HashExisting(t.Context(), "b.gsm"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("hashing what is absent = %v, want fs.ErrNotExist", err)
	}
}

// TestCuts cuts the connection at 50 random instants. Nothing is ever visible that is not whole, nothing is called
// missing, and what was confirmed is there.
func TestCuts(t *testing.T) {
	t.Parallel()
	s := sshd.Start(t, sshd.Options{})
	line := newProxy(t, s.Address)
	o := withKey(s)
	o.Address = line.address
	store := store(t, opener(t, o))
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	confirmed := make(map[string][]byte)
	const cuts, files = 50, 12
	failed := 0
	for cut := range cuts {
		data := make(map[string][]byte)
		for i := range files {
			data[fmt.Sprintf("2026/%d/%d.gsm", cut, i)] = bytes.Repeat([]byte{byte(cut), byte(i)}, 1+random.IntN(40_000))
		}
		line.cutAfter(random.Int64N(900_000))
		now, err := night(t, store, data)
		line.cutAfter(-1)
		if err != nil {
			failed++
			wantUnreachable(t, fmt.Sprintf("cut %d", cut), err)
		}
		for _, name := range now {
			confirmed[name] = data[name]
		}
		for name, want := range data {
			got, err := os.ReadFile(filepath.Join(s.Dir, filepath.FromSlash(name)))
			if err == nil && !bytes.Equal(got, want) {
				t.Errorf("cut %d: %q has %d bytes that are not the %d it should have", cut, name, len(got), len(want))
			}
		}
	}
	for name, want := range confirmed {
		if got, err := os.ReadFile(filepath.Join(s.Dir, filepath.FromSlash(name))); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q was confirmed and is %d bytes, %v", name, len(got), err)
		}
	}
	if failed < cuts/2 {
		t.Errorf("only %d of %d nights were cut", failed, cuts)
	}
}

// night does what the night does, and returns what it may call confirmed.
func night(t *testing.T, store *dest.Store, data map[string][]byte) (confirmed []string, err error) {
	ctx := t.Context()
	p, err := store.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	var names []string
	for name := range data {
		names = append(names, name)
	}
	if _, err := p.Hash(ctx, names); err != nil {
		return nil, err
	}
	batch, err := p.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer batch.Discard()
	for _, name := range names {
		if err := stageAll(ctx, batch, data[name], name); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(batch.Sync(ctx), batch.Verify(ctx)); err != nil {
		return nil, err
	}
	results, err := batch.Publish(ctx)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, r := range results {
		if r.Err == nil {
			confirmed = append(confirmed, r.Name)
		}
		errs = append(errs, r.Err)
	}
	return confirmed, errors.Join(append(errs, p.WriteOwn(ctx, dest.LastDelivered, []byte("hash")))...)
}

// TestDeadLine: a line on which nothing moves any more is noticed, without anybody's context ending.
func TestDeadLine(t *testing.T) {
	t.Parallel()
	s := sshd.Start(t, sshd.Options{})
	line := newProxy(t, s.Address)
	o := withKey(s)
	o.Address = line.address
	opener := opener(t, o)
	store(t, opener)
	opener.HurryLine()
	p := place(t, opener)
	line.setStall(true)
	_, err := p.HashExisting(t.Context(), "a.gsm")
	wantCode(t, "hashing over a dead line", err, dest.SpaceDriver, dest.CodeServerSilent)
	line.setStall(false)
}

// TestSessions: many files are written over several sessions, and over one where the server allows no more.
func TestSessions(t *testing.T) {
	t.Parallel()
	for _, config := range []string{"", "MaxSessions 1"} {
		s := sshd.Start(t, sshd.Options{Config: config})
		p := place(t, opener(t, withKey(s)))
		data := bytes.Repeat([]byte("recording"), 10_000)
		var names []string
		for i := range 50 {
			names = append(names, fmt.Sprintf("2026/%d.gsm", i))
		}
		for name, r := range publish(t, p, data, names...) {
			if got, err := os.ReadFile(filepath.Join(s.Dir, filepath.FromSlash(name))); r.Err != nil || err != nil || !bytes.Equal(got, data) {
				t.Errorf("%q: %v, %d bytes, %v", config, r.Err, len(got), err)
			}
		}
		sessions := strings.Count(s.Log(), "Starting session: subsystem 'sftp'")
		if several := config == ""; several != (sessions > 4) {
			t.Errorf("%q: %d sessions were begun", config, sessions)
		}
	}
}
