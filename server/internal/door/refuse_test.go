package door_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
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

func TestKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t, door.Limits{})
	expired := s.addKey(servertest.Tenant, -time.Second)
	removed := s.addKey(servertest.Tenant, time.Hour)
	_, err := s.Registry.RemoveDoorKey(servertest.Tenant, ssh.FingerprintSHA256(removed.PublicKey()))
	s.Must(err)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	s.Must(err)
	unknown, err := ssh.NewSignerFromKey(private)
	s.Must(err)
	for what, auth := range map[string]ssh.AuthMethod{
		"an expired key": ssh.PublicKeys(expired), "a removed key": ssh.PublicKeys(removed), "an unknown key": ssh.PublicKeys(unknown),
		"a password": ssh.Password("x"), "an answer": ssh.KeyboardInteractive(func(string, string, []string, []bool) ([]string, error) { return nil, nil }),
	} {
		if client, err := s.login(servertest.Tenant, auth); err == nil {
			client.Close()
			t.Errorf("%s is let in", what)
		}
	}
	if client, err := s.login(servertest.Tenant); err == nil {
		client.Close()
		t.Error("nothing is let in")
	}
	// A client may offer several keys; the one that it holds counts.
	client, err := s.login(servertest.Tenant, ssh.PublicKeys(unknown, expired, s.key))
	s.Must(err)
	if _, err := sftp.NewClient(client); err != nil { // it is served, so its login was taken down
		t.Fatal(err)
	}
	client.Close()
	acts := s.acts("DoorLogin")
	if len(acts) != 4 {
		t.Fatalf("the admin log has %+v", acts)
	}
	for i, want := range []string{"REFUSED", "REFUSED", "REFUSED", "OK"} {
		if acts[i].Outcome != want || acts[i].Tenant != servertest.Tenant {
			t.Errorf("the admin log has %+v, want %s", acts[i], want)
		}
	}
}

// A key that is removed, a key that expires and a tenant that is retired end what is open.
func TestOpenConnectionsEnd(t *testing.T) {
	t.Parallel()
	for what, end := range map[string]func(s *site, key ssh.Signer){
		"removed": func(s *site, key ssh.Signer) {
			fingerprint := ssh.FingerprintSHA256(key.PublicKey())
			_, err := s.Registry.RemoveDoorKey(servertest.Tenant, fingerprint)
			s.Must(err)
			s.door.CloseKey(servertest.Tenant, fingerprint)
		},
		"retired": func(s *site, _ ssh.Signer) {
			s.Must(s.Registry.EndTenant(servertest.Tenant, noon))
			s.door.CloseTenant(servertest.Tenant)
		},
		"expired": func(*site, ssh.Signer) {},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, door.Limits{})
			life := time.Hour
			if what == "expired" {
				life = 2 * time.Second
			}
			key := s.addKey(servertest.Tenant, life)
			conn, err := s.login(servertest.Tenant, ssh.PublicKeys(key))
			s.Must(err)
			defer conn.Close()
			ended := make(chan error, 1)
			go func() { ended <- conn.Wait() }()
			end(s, key)
			select {
			case <-ended:
			case <-time.After(20 * time.Second):
				t.Fatal("the connection stays open")
			}
			if client, err := s.login(servertest.Tenant, ssh.PublicKeys(key)); err == nil {
				client.Close()
				t.Error("it is let in again")
			}
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	s := newSite(t, door.Limits{
		ConnectionsPerKey: 2, ConnectionsPerTenant: 3, ConnectionsPerAddress: 5, FilesPerConnection: 3, FilesPerDay: 5,
		LoginTimeout: 2 * time.Second, IdleTimeout: time.Minute,
	})
	s.Write("one.gsm", "one", noon)
	s.seal()
	name := "/pending/" + night + "/main/one.gsm"
	first, second := s.sftp(), s.ssh()
	waitClosed(t, s, s.key) // a third one by the same key
	third := s.addKey(servertest.Tenant, time.Hour)
	conn, err := s.login(servertest.Tenant, ssh.PublicKeys(third))
	s.Must(err)
	defer conn.Close()
	waitClosed(t, s, s.addKey(servertest.Tenant, time.Hour)) // a fourth one of the tenant
	for range channelsOpen {
		_, err := second.NewSession()
		s.Must(err)
	}
	if _, err := second.NewSession(); err == nil {
		t.Error("there is no limit to channels")
	}
	var open []*sftp.File
	for range 3 {
		file, err := first.Open(name)
		s.Must(err)
		open = append(open, file)
	}
	if _, err := first.Open(name); err == nil || !strings.Contains(err.Error(), "too many files") {
		t.Errorf("a fourth file: %v", err)
	}
	if _, err := first.ReadDir("/"); err == nil {
		t.Error("a folder beyond the limit")
	}
	for _, file := range open {
		s.Must(file.Close())
	}
	for range 2 {
		read(t, first, name)
	}
	if _, err := first.Open(name); err == nil || !strings.Contains(err.Error(), "24 hours") {
		t.Errorf("a sixth file of the day: %v", err)
	}
	if got := names(t, first, "/"); got != "expired/ pending/" {
		t.Errorf("afterwards: %q", got)
	}
}

// channelsOpen is how many channels a connection may have.
const channelsOpen = 4

// waitClosed connects with a key that the limits do not let in.
func waitClosed(t *testing.T, s *site, key ssh.Signer) {
	t.Helper()
	conn, err := s.login(servertest.Tenant, ssh.PublicKeys(key))
	if err != nil {
		return
	}
	defer conn.Close()
	ended := make(chan error, 1)
	go func() { ended <- conn.Wait() }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("there is no limit to connections")
	}
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	line := func(key any) string {
		t.Helper()
		public, err := ssh.NewPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(ssh.MarshalAuthorizedKey(public))
	}
	edKey, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey := func(bits int) string {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return line(&key.PublicKey)
	}
	good := line(edKey)
	for what, text := range map[string]string{"Ed25519": good, "ECDSA": line(&ecKey.PublicKey), "RSA": rsaKey(3072)} {
		key, err := door.ParseKey(strings.TrimSpace(text) + " Ana, laptop\n")
		if err != nil || key.Comment != "Ana, laptop" || key.Text != strings.TrimSpace(text) || !strings.HasPrefix(key.Fingerprint, "SHA256:") {
			t.Errorf("%s: %+v, %v", what, key, err)
		}
	}
	for what, text := range map[string]string{
		"nothing": "", "RSA of 2048 bits": rsaKey(2048), "two keys": good + good, "options": `from="192.0.2.1" ` + good, "half": good[:30],
		"a private key": "-----BEGIN OPENSSH PRIVATE KEY-----\n", "too long": strings.Repeat("#\n", 5000) + good,
		"DSA":         "ssh-dss AAAAB3NzaC1kc3MAAACBAPhgcSnn9YTX",
		"certificate": "ssh-ed25519-cert-v01@openssh.com " + strings.Fields(good)[1],
	} {
		if key, err := door.ParseKey(text); err == nil {
			t.Errorf("%s: %+v", what, key)
		}
	}
	for comment, ok := range map[string]bool{"": true, "José": true, "a\nb": false, "\x1b[2J": false, "\xff": false, strings.Repeat("x", 101): false} {
		if err := door.CheckComment(comment); (err == nil) != ok {
			t.Errorf("%q: %v", comment, err)
		}
	}
}

// The host key is made once, and nobody else can read it.
func TestHostKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), door.HostKeyFile)
	made, err := door.LoadHostKey(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := door.LoadHostKey(path)
	if err != nil || again.Fingerprint() != made.Fingerprint() || !strings.HasPrefix(made.PublicKey(), "ssh-ed25519 ") {
		t.Errorf("%v, %s and %s", err, made.Fingerprint(), again.Fingerprint())
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for what, spoil := range map[string]func() error{
		"readable": func() error { return os.Chmod(path, 0o644) },
		"damaged":  func() error { return errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte("x"), 0o600)) },
		"empty":    func() error { return os.WriteFile(path, nil, 0o600) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if _, err := door.LoadHostKey(path); err == nil {
			t.Errorf("%s: it is taken", what)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(fmt.Errorf("%s: %w", what, err))
		}
	}
}
