package sftpdest_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/sftpdest"
	"github.com/wolkvox/backup/internal/peertest/gosftp"
)

// wantCode checks that err is unreachable, absent in no way, and carries the driver's own code.
func wantCode(t *testing.T, what string, err error, space dest.CodeSpace, name string) {
	t.Helper()
	code, ok := errors.AsType[*dest.CodeError](err)
	if !ok || code.Space != space || code.Name != name || !errors.Is(err, dest.ErrUnreachable) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s = %v, want ErrUnreachable with the code %s %s", what, err, space, name)
	}
}

func opened(t *testing.T, o sftpdest.Options) error {
	t.Helper()
	driver, err := opener(t, o).Open(t.Context())
	if err != nil {
		return err
	}
	return driver.Close()
}

// newKey makes a key pair; the private half is as ssh-keygen writes it, encrypted where there is a passphrase.
func newKey(t *testing.T, passphrase string) (authorized string, private []byte) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	half, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(half))), pem.EncodeToMemory(block)
}

func TestHostKey(t *testing.T) {
	t.Parallel()
	s := gosftp.Start(t, gosftp.Options{})
	other, _ := newKey(t, "")
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(other))
	if err != nil {
		t.Fatal(err)
	}
	for what, test := range map[string]struct {
		pin   string
		right bool
	}{
		"the key":                    {s.HostKey, true},
		"the key with a comment":     {s.HostKey + " nas@example\n", true},
		"the key as ssh-keyscan has": {"nas.example " + s.HostKey, true},
		"the fingerprint":            {s.Fingerprint, true},
		"another key":                {other, false},
		"another key's fingerprint":  {ssh.FingerprintSHA256(key), false},
	} {
		o := password(s)
		o.HostKey = test.pin
		asked := false
		o.Password = func() (string, error) { asked = true; return s.Password(), nil }
		err := opened(t, o)
		if test.right {
			if err != nil || !asked {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		wantCode(t, what, err, dest.SpaceDriver, dest.CodeHostKey)
		if !strings.Contains(err.Error(), s.Fingerprint) || !strings.Contains(err.Error(), ssh.FingerprintSHA256(key)) {
			t.Errorf("%s: the error %q does not name both keys", what, err)
		}
	}
	for _, text := range []string{"", "SHA256:short", "ssh-ed25519", "MD5:00:11", "nonsense"} {
		if _, err := sftpdest.New(sftpdest.Options{HostKey: text}); err == nil {
			t.Errorf("the host key %q was taken", text)
		}
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	for _, interactive := range []bool{false, true} {
		s := gosftp.Start(t, gosftp.Options{Interactive: interactive})
		o := password(s)
		if err := opened(t, o); err != nil {
			t.Errorf("interactive %v: %v", interactive, err)
		}
		right := s.Password()
		s.SetPassword("changed")
		if err := opened(t, o); err != nil {
			t.Errorf("interactive %v, changed at both ends: %v", interactive, err)
		}
		o.Password = func() (string, error) { return right, nil }
		err := opened(t, o)
		wantCode(t, "the password of before", err, dest.SpaceDriver, dest.CodeAuth)
		if err != nil && strings.Contains(err.Error(), right) {
			t.Errorf("the error %q shows the password", err)
		}
		s.SetPassword(right)
		s.Lock(true)
		wantCode(t, "a locked account", opened(t, o), dest.SpaceDriver, dest.CodeAuth)
	}
	s := gosftp.Start(t, gosftp.Options{})
	o := password(s)
	o.Password = func() (string, error) { return "", fs.ErrNotExist }
	wantCode(t, "a password that is not there", opened(t, o), dest.SpaceDriver, dest.CodeSecret)
	o.Password = nil
	for what, key := range map[string]func() ([]byte, error){
		"a key that is not there": func() ([]byte, error) { return nil, fs.ErrNotExist },
		"no key":                  func() ([]byte, error) { return []byte("PuTTY-User-Key-File-3: ssh-ed25519"), nil },
		"a key without its passphrase": func() ([]byte, error) {
			_, private := newKey(t, "open")
			return private, nil
		},
	} {
		o.Key = key
		wantCode(t, what, opened(t, o), dest.SpaceDriver, dest.CodeSecret)
	}
	_, private := newKey(t, "open")
	o.Key = func() ([]byte, error) { return private, nil }
	o.KeyPassphrase = func() (string, error) { return "wrong", nil }
	wantCode(t, "a key with a wrong passphrase", opened(t, o), dest.SpaceDriver, dest.CodeSecret)
	o.KeyPassphrase = func() (string, error) { return "open", nil }
	wantCode(t, "a key where passwords are taken", opened(t, o), dest.SpaceDriver, dest.CodeAuth)
}

// TestNoServer: what is no SSH server, or none at all.
func TestNoServer(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	greeting := make(chan string, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, <-greeting)
			defer conn.Close()
		}
	}()
	host, _ := newKey(t, "")
	s := opener(t, sftpdest.Options{Address: listener.Addr().String(), HostKey: host, Password: func() (string, error) { return "", nil }})
	s.Hurry()
	greeting <- "220 ftp.example ready\r\n" + strings.Repeat("x", 300)
	_, err = s.Open(t.Context())
	wantCode(t, "an FTP server", err, dest.SpaceDriver, dest.CodeWrongProtocol)
	greeting <- ""
	_, err = s.Open(t.Context())
	wantCode(t, "a server that says nothing", err, dest.SpaceDriver, dest.CodeServerSilent)
	greeting <- "SSH-2.0-silent\r\n"
	_, err = s.Open(t.Context())
	wantCode(t, "a server that only greets", err, dest.SpaceDriver, dest.CodeServerSilent)
	listener.Close()
	<-done
	_, err = s.Open(t.Context())
	if errno, ok := errors.AsType[syscall.Errno](err); !ok || errno != syscall.ECONNREFUSED || !errors.Is(err, dest.ErrUnreachable) {
		t.Errorf("where nothing listens = %v, want ErrUnreachable with ECONNREFUSED", err)
	}
}

// TestFolder: a folder that is missing, or none, is unreachable: it may be a file system that is not mounted.
func TestFolder(t *testing.T) {
	t.Parallel()
	s := gosftp.Start(t, gosftp.Options{})
	o := password(s)
	o.Folder = "absent"
	wantCode(t, "a folder that is missing", opened(t, o), dest.SpaceSFTP, "SSH_FX_NO_SUCH_FILE")
	o.Folder = "."
	if err := opened(t, o); err != nil {
		t.Errorf("the folder where the login leads: %v", err)
	}
}
