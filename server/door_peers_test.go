//go:build peers

package server_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// OpenSSH's own clients list, get, and go on with what was got in part, and are refused everything else.
func TestDoorForOpenSSH(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.configure(t, "door: {listen: '127.0.0.1:0'}\n")
	f.serve(t)
	random := rand.NewChaCha8([32]byte{1})
	large := make([]byte, 9<<20+123)
	random.Read(large)
	night := f.fillDoor(t, map[string]string{"calls/one.gsm": "one", "calls/deep/large.wav": string(large), "chats/ñandú.txt": "hola"})
	key := newDoorKey(t, f.path("id"), "ana@laptop")
	f.must(t, "door-key add acme --file "+key+".pub")
	host, port, err := net.SplitHostPort(f.doorAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	known := fmt.Sprintf("[%s]:%s %s\n", host, port, at(t, f.must(t, "door-key list"), "host_key"))
	if err := os.WriteFile(f.path("known_hosts"), []byte(known), 0o600); err != nil {
		t.Fatal(err)
	}
	options := []string{
		"-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
		"-o", "UserKnownHostsFile=" + f.path("known_hosts"), "-o", "GlobalKnownHostsFile=none",
	}
	run := func(input, program string, args ...string) (string, error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		command := exec.CommandContext(ctx, program, append(append([]string{}, options...), args...)...)
		command.Stdin, command.Dir = strings.NewReader(input), f.dir
		out, err := command.CombinedOutput()
		return string(out), err
	}
	batch := func(commands ...string) (string, error) {
		t.Helper()
		return run(strings.Join(commands, "\n")+"\n", "sftp", "-b", "-", "-P", port, "acme@"+host)
	}
	base := "/pending/" + night + "/main"

	out, err := batch("ls -la /", "ls -l "+base+"/*", "ls "+base+"/calls/deep") // sftp's ls knows no -R
	if err != nil || !strings.Contains(out, "expired") || !strings.Contains(out, base+"/calls/deep") || !strings.Contains(out, "large.wav") {
		t.Fatalf("ls: %v\n%s", err, out)
	}
	if out, err := batch("get -r /pending copy"); err != nil {
		t.Fatalf("get: %v\n%s", err, out)
	}
	for name, want := range map[string][]byte{"calls/one.gsm": []byte("one"), "calls/deep/large.wav": large, "chats/ñandú.txt": []byte("hola")} {
		if got, err := os.ReadFile(f.path("copy", night, "main", name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v, want %d", name, len(got), err, len(want))
		}
	}
	for _, held := range []int{0, 1, 4 << 20, len(large) - 1, len(large)} {
		partial := f.path("partial.wav")
		if err := os.WriteFile(partial, large[:held], 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := batch("reget " + base + "/calls/deep/large.wav " + partial)
		if got, readErr := os.ReadFile(partial); err != nil || readErr != nil || !bytes.Equal(got, large) {
			t.Errorf("reget after %d bytes: %v, %v, %d bytes\n%s", held, err, readErr, len(got), out)
		}
	}

	one := f.path("copy", night, "main", "calls", "one.gsm")
	for _, command := range []string{
		"put " + one + " /pending/new.gsm", "put " + one + " " + base + "/calls/one.gsm", "mkdir /pending/folder", "rm " + base + "/calls/one.gsm", "rmdir /expired",
		"rename " + base + "/calls/one.gsm /pending/two.gsm", "ln " + base + "/calls/one.gsm /pending/two.gsm", "ln -s /etc/passwd /pending/passwd",
		"chmod 777 " + base + "/calls/one.gsm", "chown 0 " + base + "/calls/one.gsm", "reput " + one + " " + base + "/calls/one.gsm",
		"get /etc/passwd", "get ../../../../etc/passwd", "get /pending/../../etc/passwd", "cd /etc", "ls /storage", "ls /pending/globex",
	} {
		if out, err := batch(command); err == nil {
			t.Errorf("%s was not refused:\n%s", command, out)
		}
	}
	if out, err := run("", "scp", "-P", port, one, "acme@"+host+":/pending/new.gsm"); err == nil {
		t.Errorf("scp was not refused:\n%s", out)
	}
	if out, err := run("", "scp", "-O", "-P", port, "acme@"+host+":"+base+"/calls/one.gsm", f.path("scp.gsm")); err == nil {
		t.Errorf("the old protocol of scp was not refused:\n%s", out)
	}
	for what, args := range map[string][]string{
		"a shell": {"-p", port, "acme@" + host}, "a command": {"-p", port, "acme@" + host, "id"}, "another subsystem": {"-p", port, "-s", "acme@" + host, "netconf"},
		"forwarding": {"-p", port, "-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22", "acme@" + host}, "a connection through it": {"-p", port, "-W", "127.0.0.1:" + port, "acme@" + host},
		"another tenant": {"-p", port, "globex@" + host, "-s", "sftp"},
	} {
		if out, err := run("", "ssh", args...); err == nil {
			t.Errorf("%s was not refused:\n%s", what, out)
		}
	}
	if got, err := os.ReadFile(filepath.Join(f.path("recordings"), "calls/one.gsm")); err != nil || string(got) != "one" {
		t.Errorf("the source has %q, %v", got, err)
	}
}
