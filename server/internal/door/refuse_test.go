package door_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/wolkvox/backup/server/internal/door"
	"github.com/wolkvox/backup/server/internal/servertest"
)

// Whatever changes something is refused, and nothing changes.
func TestNothingIsWritten(t *testing.T) {
	t.Parallel()
	s := newSite(t, door.Limits{})
	s.Write("calls/one.gsm", "one", noon)
	s.seal()
	client := s.sftp()
	name := "/pending/" + night + "/main/calls/one.gsm"
	before := tree(t, client)
	open := func(flags int) error {
		file, err := client.OpenFile(name, flags)
		if err == nil {
			file.Close()
		}
		return err
	}
	file, err := client.Open(name)
	s.Must(err)
	defer file.Close()
	for what, try := range map[string]func() error{
		"put": func() error {
			_, err := client.Create("/pending/new.gsm")
			return err
		},
		"overwrite":      func() error { _, err := client.Create(name); return err },
		"write":          func() error { return open(os.O_WRONLY) },
		"read and write": func() error { return open(os.O_RDWR) },
		"append":         func() error { return open(os.O_WRONLY | os.O_APPEND) },
		"create":         func() error { return open(os.O_RDONLY | os.O_CREATE) },
		"truncate":       func() error { return open(os.O_RDONLY | os.O_TRUNC) },
		"write to what is read": func() error {
			_, err := file.Write([]byte("x"))
			return err
		},
		"truncate what is read": func() error { return file.Truncate(0) },
		"chmod what is read":    func() error { return file.Chmod(0o777) },
		"truncate by name":      func() error { return client.Truncate(name, 0) },
		"chmod":                 func() error { return client.Chmod(name, 0o777) },
		"chown":                 func() error { return client.Chown(name, 0, 0) },
		"setstat":               func() error { return client.Chtimes(name, noon, noon.Add(time.Hour)) },
		"mkdir":                 func() error { return client.Mkdir("/pending/folder") },
		"mkdir at the top":      func() error { return client.Mkdir("/folder") },
		"rm":                    func() error { return client.Remove(name) },
		"rmdir":                 func() error { return client.RemoveDirectory("/expired") },
		"rename":                func() error { return client.Rename(name, name+"2") },
		"posix rename":          func() error { return client.PosixRename(name, name+"2") },
		"ln":                    func() error { return client.Link(name, name+"2") },
		"ln -s":                 func() error { return client.Symlink("/etc/passwd", "/pending/passwd") },
		"readlink":              func() error { _, err := client.ReadLink(name); return err },
		"statvfs":               func() error { _, err := client.StatVFS("/"); return err },
	} {
		if err := try(); err == nil {
			t.Errorf("%s was not refused", what)
		}
	}
	if diff := cmp.Diff(before, tree(t, client)); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
	if data, err := os.ReadFile(filepath.Join(s.Directory, "calls/one.gsm")); err != nil || string(data) != "one" {
		t.Errorf("the source has %q, %v", data, err)
	}
}

// waysOut are paths that lead nowhere.
var waysOut = []string{
	"..", "/..", "../..", "/../../etc/passwd", "../../../../../../etc/passwd", "/etc/passwd", "/pending/../../etc/passwd",
	"/pending/" + night + "/../../../etc/passwd", "/pending/%2e%2e/etc/passwd", "/pending/..%2fetc", "/pending/" + night + "/main/..\\..\\etc\\passwd",
	"/pending/" + night + "/main/.wolkvox-source", "//etc/passwd", "/pending//../../etc/passwd", "/pending/\x00", "/pending/" + night + "/main/\xff",
	"/pending/" + night + "/main/calls/one.gsm/..", "/pending/" + night + "/main/calls/one.gsm/x", "/PENDING", "/storage", "/proc/self/environ", "~", "~root", "C:\\",
	"/pending/" + strings.Repeat("a/", 5000),
}

func TestNoWayOut(t *testing.T) {
	t.Parallel()
	s := newSite(t, door.Limits{})
	s.Write("calls/one.gsm", "one", noon)
	s.seal()
	client := s.sftp()
	for _, name := range waysOut {
		data, err := readAll(client, name)
		if err == nil {
			t.Errorf("%.80q was read: %q", name, data)
		}
		entries, err := client.ReadDir(name)
		if err != nil {
			continue
		}
		for _, e := range entries { // .. of the root is the root, and of a file its folder
			if e.Name() != "pending" && e.Name() != "expired" && e.Name() != "one.gsm" {
				t.Errorf("%.80q has %s", name, e.Name())
			}
		}
	}
	for name, want := range map[string]string{"..": "/", "../..": "/", "/pending/../..": "/", ".": "/", "/pending/./x/..": "/pending"} {
		if got, err := client.RealPath(name); err != nil || got != want {
			t.Errorf("%s is %s, %v, want %s", name, got, err, want)
		}
	}
}

// Another tenant's names are as if they did not exist.
func TestOtherTenant(t *testing.T) {
	t.Parallel()
	s := newSite(t, door.Limits{})
	s.Write("one.gsm", "one", noon)
	s.seal()
	s.rival()
	theirs := s.addKey(other, time.Hour)
	client := s.sftp()
	for _, name := range []string{
		"/" + other, "/" + other + "/pending", "/pending/" + other, "/pending/" + other + "/" + night, "/pending/" + night + "/main/secret",
		"/pending/" + night + "/main/secret/theirs.gsm", "/pending/nas/" + night + "/main/secret/theirs.gsm", "/pending/../" + other, "/storage/" + other,
	} {
		_, statErr := client.Stat(name)
		_, readErr := client.Open(name)
		_, listErr := client.ReadDir(name)
		_, absent := client.Stat(strings.ReplaceAll(strings.ReplaceAll(name, other, "nobody"), "secret", "nothing"))
		for _, err := range []error{statErr, readErr, listErr} {
			if !errors.Is(err, fs.ErrNotExist) || err.Error() != absent.Error() {
				t.Errorf("%s: %v; what does not exist: %v", name, err, absent)
			}
		}
	}
	if got := tree(t, client); len(got) != 1 {
		t.Errorf("the tenant sees %q", got)
	}
	// A key opens its own tenant only, and whether a tenant exists does not show.
	var answers []string
	for _, user := range []string{other, "nobody", "", servertest.Tenant + "/", "ACME", "acme\x00", strings.Repeat("x", 3000)} {
		_, err := s.login(user, ssh.PublicKeys(s.key))
		if err == nil {
			t.Errorf("%.20q was let in", user)
			continue
		}
		answers = append(answers, err.Error())
	}
	if answers[0] != answers[1] {
		t.Errorf("tenants show: %q", answers)
	}
	conn, err := s.login(other, ssh.PublicKeys(theirs))
	s.Must(err)
	defer conn.Close()
	their, err := sftp.NewClient(conn)
	s.Must(err)
	defer their.Close()
	want := map[string]string{"/pending/" + night + "/main/secret/theirs.gsm": "not yours"}
	if diff := cmp.Diff(want, tree(t, their)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// There is no shell, no program and no forwarding; what is left goes on after it was asked for.
func TestNothingButSFTP(t *testing.T) {
	t.Parallel()
	s := newSite(t, door.Limits{})
	conn := s.ssh()
	session := func() *ssh.Session {
		t.Helper()
		one, err := conn.NewSession()
		s.Must(err)
		t.Cleanup(func() { one.Close() })
		return one
	}
	for what, try := range map[string]func() error{
		"shell":         func() error { return session().Shell() },
		"exec":          func() error { return session().Run("id") },
		"scp":           func() error { return session().Run("scp -f /etc/passwd") },
		"internal-sftp": func() error { return session().Run("internal-sftp") },
		"subsystem":     func() error { return session().RequestSubsystem("shell") },
		"environment": func() error {
			one := session()
			defer one.Close()
			return one.Setenv("LD_PRELOAD", "/tmp/x.so")
		},
		"terminal": func() error {
			one := session()
			defer one.Close()
			return one.RequestPty("xterm", 80, 25, nil)
		},
		"agent": func() error {
			one := session()
			defer one.Close()
			ok, err := one.SendRequest("auth-agent-req@openssh.com", true, nil)
			return refusedBy(ok, err)
		},
		"X11": func() error {
			one := session()
			defer one.Close()
			ok, err := one.SendRequest("x11-req", true, ssh.Marshal(struct {
				Single         bool
				Proto, Cookie  string
				ScreenNumber32 uint32
			}{true, "MIT-MAGIC-COOKIE-1", "0", 0}))
			return refusedBy(ok, err)
		},
		"local forwarding":  func() error { _, err := conn.Dial("tcp", s.address); return err },
		"remote forwarding": func() error { _, err := conn.Listen("tcp", "127.0.0.1:0"); return err },
		"socket forwarding": func() error { _, err := conn.Dial("unix", "/run/x.sock"); return err },
		"unknown channel":   func() error { _, _, err := conn.OpenChannel("tun@openssh.com", nil); return err },
		"unknown request": func() error {
			ok, _, err := conn.SendRequest("streamlocal-forward@openssh.com", true, nil)
			return refusedBy(ok, err)
		},
	} {
		if err := try(); err == nil {
			t.Errorf("%s was not refused", what)
		}
	}
	client, err := sftp.NewClient(conn)
	s.Must(err)
	defer client.Close()
	if got := names(t, client, "/"); got != "expired/ pending/" {
		t.Errorf("afterwards: %q", got)
	}
}

func refusedBy(ok bool, err error) error {
	if err == nil && !ok {
		err = errors.New("refused")
	}
	return err
}
