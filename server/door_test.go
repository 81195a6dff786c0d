package server_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// doorAddress waits for the door to be open.
func (f *fixture) doorAddress(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(f.path("state", "door"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// newDoorKey writes a pair of keys as ssh-keygen does, and returns the path of the private one.
func newDoorKey(t *testing.T, path, comment string) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		t.Fatal(err)
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line))) + " " + comment + "\n"
	for name, data := range map[string][]byte{path: pem.EncodeToMemory(block), path + ".pub": []byte(text)} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// fillDoor makes a tenant with a night of recordings, and returns the night's label.
func (f *fixture) fillDoor(t *testing.T, files map[string]string) (night string) {
	t.Helper()
	f.must(t, "tenant add acme --time-zone UTC --quiet 1s")
	f.must(t, "destination add acme nas --kind rsync")
	at := time.Now().Add(-time.Hour)
	for name, contents := range files {
		path := f.path("recordings", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(contents), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	f.must(t, "source add acme main --directory "+f.path("recordings"))
	f.must(t, "seal acme --wait")
	return at.UTC().Format(time.DateOnly)
}

func TestDoor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.configure(t, "door: {listen: '127.0.0.1:0'}\n")
	f.serve(t)
	f.fillDoor(t, map[string]string{"calls/one.gsm": "one"})
	f.must(t, "tenant add globex --time-zone UTC")
	f.issue(t, "client acme ana")
	f.issue(t, "auditor acme ben")
	ana, ben := f.path("client-acme-ana.pem"), f.path("auditor-acme-ben.pem")
	private := newDoorKey(t, f.path("id"), "ana@laptop")
	text, err := os.ReadFile(private)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	fingerprint := ssh.FingerprintSHA256(signer.PublicKey())
	for _, c := range []struct {
		path, line string
		code       int
		wants      string
	}{
		{ana, "door-key list", 0, "SHA256:"}, // the server's own
		{ana, "door-key add acme --file " + private + ".pub", 0, "ana@laptop"},
		{ana, "door-key add acme --file " + private + ".pub", 1, "(DOOR_KEY_EXISTS)"},
		{ana, "door-key add globex --file " + private + ".pub", 1, "(OTHER_TENANT)"},
		{ana, "door-key add acme --file " + private, 1, "private key"},
		{ana, "door-key add acme --file " + f.path("none.pub"), 1, "ssh-keygen"},
		{ana, "door-key add acme --file " + private + ".pub --lifetime 9000h", 1, "(BAD_REQUEST)"},
		{ben, "door-key list", 0, fingerprint},
		{ben, "door-key add acme --file " + private + ".pub", 1, "(NOT_ALLOWED)"},
		{ben, "door-key remove acme " + fingerprint, 1, "(NOT_ALLOWED)"},
		{ana, "door-key list --tenant globex", 1, "(OTHER_TENANT)"},
		{ana, "door-key remove acme SHA256:x", 1, "(NO_DOOR_KEY)"},
		{f.path("state", "operator.pem"), "door-key add nowhere --file " + private + ".pub", 1, "(NO_TENANT)"},
	} {
		code, out, errs := f.with(t, c.path, strings.Fields(c.line)...)
		if code != c.code || !strings.Contains(out+errs, c.wants) {
			t.Errorf("%s: status %d, %q%q, want %d, %q", c.line, code, out, errs, c.code, c.wants)
		}
	}
	host := at(t, f.must(t, "door-key list"), "host_fingerprint").(string)
	connect := func() (*ssh.Client, error) {
		return ssh.Dial("tcp", f.doorAddress(t), &ssh.ClientConfig{
			User: "acme", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, Timeout: 10 * time.Second,
			HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
				if ssh.FingerprintSHA256(key) != host {
					t.Errorf("the host key is %s, not %s", ssh.FingerprintSHA256(key), host)
				}
				return nil
			},
		})
	}
	conn, err := connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client, err := sftp.NewClient(conn)
	if err != nil {
		t.Fatal(err)
	}
	nights, err := client.ReadDir("/pending")
	if err != nil || len(nights) != 1 {
		t.Fatalf("nights: %v, %v", nights, err)
	}
	file, err := client.Open("/pending/" + nights[0].Name() + "/main/calls/one.gsm")
	if err != nil {
		t.Fatal(err)
	}
	contents := make([]byte, 3)
	if _, err := file.ReadAt(contents, 0); err != nil || string(contents) != "one" {
		t.Errorf("read %q, %v", contents, err)
	}
	file.Close()
	if _, out, _ := f.with(t, ben, "admin-log"); !strings.Contains(out, "DoorRead") || !strings.Contains(out, "main/calls/one.gsm") || !strings.Contains(out, "AddDoorKey") {
		t.Errorf("the tenant's admin log: %s", out)
	}
	// Removed, the key's connection ends; the rest of the server goes on, and after a restart the door is the same.
	f.must(t, "door-key remove acme "+fingerprint)
	conn.Wait()
	if again, err := connect(); err == nil {
		again.Close()
		t.Error("a key that was removed is let in")
	}
	f.stop()
	if _, err := os.Stat(f.path("state", "door")); err == nil {
		t.Error("the address of the door stays")
	}
	f.serve(t)
	if got := at(t, f.must(t, "door-key list"), "host_fingerprint"); got != host {
		t.Errorf("the host key is %v after a restart, was %s", got, host)
	}
}

// Without a listen address there is no door, and nothing of one.
func TestNoDoor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	if _, out, _ := f.do(t, "door-key", "list"); !strings.Contains(out, "no door") {
		t.Errorf("door-key list: %q", out)
	}
	for _, name := range []string{"door", "identity/door.key"} {
		if _, err := os.Stat(f.path("state", name)); err == nil {
			t.Errorf("there is %s", name)
		}
	}
}
