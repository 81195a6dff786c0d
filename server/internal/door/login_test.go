package door_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/wolkvox/backup/server/internal/door"
	"github.com/wolkvox/backup/server/internal/servertest"
)

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

// Who does not log in, and who says nothing after it, is cut off.
func TestSilence(t *testing.T) {
	t.Parallel()
	s := newSite(t, door.Limits{LoginTimeout: 300 * time.Millisecond})
	conn, err := net.Dial("tcp", s.address)
	s.Must(err)
	defer conn.Close()
	s.Must(conn.SetReadDeadline(time.Now().Add(20 * time.Second)))
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("a connection without a login: %v", err)
	}
	s = newSite(t, door.Limits{IdleTimeout: 300 * time.Millisecond})
	waitClosed(t, s, s.key)
}

// Who leaves with a file open leaves a record.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	s := newSite(t, door.Limits{})
	s.Write("one.gsm", "one", noon)
	s.seal()
	conn := s.ssh()
	client, err := sftp.NewClient(conn)
	s.Must(err)
	_, err = client.Open("/pending/" + night + "/main/one.gsm")
	s.Must(err)
	conn.Close()
	for wait := time.Millisecond; ; wait *= 2 {
		if acts := s.acts("DoorRead"); len(acts) == 1 {
			if acts[0].Outcome != "INTERRUPTED" || field(t, acts[0], "sent_bytes") != 0.0 {
				t.Errorf("%+v", acts[0])
			}
			return
		}
		if wait > 20*time.Second {
			t.Fatal("there is no record")
		}
		time.Sleep(wait)
	}
}
