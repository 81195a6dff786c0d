package rsyncdest

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// codes returns all codes of an error, outermost first.
func codes(err error) []string {
	var all []string
	for {
		code, ok := errors.AsType[*dest.CodeError](err)
		if !ok {
			return all
		}
		name := code.Name
		if code.Space == dest.SpaceRsync {
			name = string(code.Space)
		}
		all = append(all, name)
		err = code.Cause
	}
}

func TestFailure(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status      int
		messages    string
		pulls       bool
		codes       string
		unreachable bool
	}{
		{5, "@ERROR: auth failed on module b\nrsync error: error starting client-server protocol (code 5) at main.c(1954) [Receiver=3.5.0]", false, "AUTHENTICATION rsync", true},
		{5, "@ERROR: Unknown module 'nomod'", false, "NOT_FOUND rsync", true},
		{5, "@ERROR: chroot failed", false, "NO_FOLDER rsync", true},
		{5, "@ERROR: access denied to b from UNDETERMINED (127.0.0.1)", false, "READ_REFUSED rsync", true},
		{5, "@ERROR: max connections (2) reached -- try again later", false, "rsync", true},
		{1, "ERROR: module is read only\nrsync error: syntax or usage error (code 1) at main.c(1185) [Receiver=3.5.0]\nrsync: [sender] read error: Connection reset by peer (104)", false, "WRITE_REFUSED rsync", false},
		{3, `rsync: [sender] change_dir "nofolder" (in b) failed: No such file or directory (2)`, true, "NO_FOLDER rsync", true},
		{4, "rsync: The server is configured to refuse --checksum (-c)\nrsync: [sender] read error: Connection reset by peer (104)", false, "UNSUPPORTED rsync", false},
		{10, "rsync: [Receiver] failed to connect to 127.0.0.1 (127.0.0.1): Connection refused (111)", true, "rsync ECONNREFUSED", true},
		{10, "rsync: getaddrinfo: nohost.invalid 873: Name or service not known", false, "rsync", true},
		{11, `rsync: [receiver] write failed on "/a.gsm" (in b): No space left on device (28)` + "\nrsync error: error in file IO (code 11) at receiver.c(380) [receiver=3.5.0]", false, "rsync ENOSPC", false},
		{11, `rsync: [receiver] write failed on "/spool/a.gsm": No space left on device (28)`, true, "SPOOL_FULL", false},
		{12, "rsync: connection unexpectedly closed (100 bytes received so far) [sender]\nrsync error: error in rsync protocol data stream (code 12) at io.c(231) [sender=3.5.0]", false, "rsync", true},
		{12, `rsync: [sender] write error: Broken pipe (32)` + "\n" + `rsync: [receiver] mkstemp "/x" failed: Disc quota exceeded (69)`, false, "rsync EDQUOT", false},
		{23, `rsync: [receiver] mkstemp "/.wolkvox/staging/p/.a.gsm.aBcDeF" (in b) failed: Permission denied (13)`, false, "rsync EACCES", false},
		{23, `rsync: [generator] recv_generator: mkdir "2026" (in b) failed: Read-only file system (30)`, false, "rsync EROFS", false},
		{30, "rsync error: timeout in data send/receive (code 30) at io.c(204) [sender=3.5.0]", false, "rsync TIMEOUT", true},
		{35, "rsync error: timeout waiting for daemon connection (code 35) at socket.c(281) [Receiver=3.5.0]", false, "rsync TIMEOUT", true},
		{127, "bash: line 1: rsync: command not found\nrsync error: remote command not found (code 127) at io.c(231) [sender=3.5.0]", false, "PROGRAM rsync", false},
		{255, "Host key verification failed.\nrsync error: unexplained error (code 255) at io.c(231) [sender=3.5.0]", false, "HOST_KEY rsync", true},
		{255, "Unable to negotiate with 127.0.0.1 port 22: no matching host key type found. Their offer: ssh-ed25519", false, "HOST_KEY rsync", true},
		{255, "u@127.0.0.1: Permission denied (publickey,password).", false, "AUTHENTICATION rsync", true},
		{255, `Load key "identity": error in libcrypto` + "\nu@127.0.0.1: Permission denied (publickey).", false, "SECRET rsync", true},
		{255, "ssh: connect to host 127.0.0.1 port 1: Connection refused", false, "rsync ECONNREFUSED", true},
		{statusKilled, "", false, "rsync", false},
	}
	for _, test := range tests {
		f := &failure{place: "the place", pulls: test.pulls, status: test.status}
		for line := range strings.Lines(test.messages) {
			f.add(line)
		}
		err := f.explain()
		if got := strings.Join(codes(err), " "); got != test.codes || errors.Is(err, dest.ErrUnreachable) != test.unreachable || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("status %d, %s: codes %q, want %q; %v", test.status, test.messages, got, test.codes, err)
		}
	}
}

func TestFailureAboutOneName(t *testing.T) {
	t.Parallel()
	f := &failure{status: 23, folder: "calls/of 2026"}
	for _, line := range []string{
		`rsync: [generator] recv_generator: failed to stat "/calls/of 2026/x/a.gsm" (in b): Not a directory (20)`,
		`rsync: [receiver] mkstemp "/calls/of 2026/.wolkvox/staging/p/.full.gsm.aBcDeF" (in b) failed: No space left on device (28)`,
		`rsync: [generator] recv_generator: mkdir "/calls/of 2026/closed" (in b) failed: Permission denied (13)`,
		`rsync: [sender] link_stat "/srv/calls/of 2026/loop/a.gsm" failed: Too many levels of symbolic links (40)`,
	} {
		f.add(line)
	}
	for name, want := range map[string]string{
		"a.gsm": "", "x/a.gsm": "conflict", "full.gsm": "rsync ENOSPC", "y/full.gsm": "rsync ENOSPC", "closed/c/d.gsm": "rsync EACCES", "closed.gsm": "", "loop/a.gsm": "conflict",
	} {
		err := f.about(name)
		got := strings.Join(codes(err), " ")
		if errors.Is(err, dest.ErrConflict) {
			got = "conflict"
		}
		if got != want {
			t.Errorf("about(%q) = %v, want %q", name, err, want)
		}
	}
}

func FuzzFailure(f *testing.F) {
	f.Add(23, `rsync: [generator] recv_generator: failed to stat "x/a.gsm" (in b): Not a directory (20)`, "x/a.gsm")
	f.Add(255, "Host key verification failed.", "a")
	f.Add(11, `rsync: write failed on "": No such file or directory (2)`, "")
	f.Fuzz(func(t *testing.T, status int, messages, name string) {
		failed := &failure{status: status, folder: "x"}
		for line := range strings.Lines(messages) {
			failed.add(line)
		}
		for _, err := range []error{failed.explain(), failed.about(name)} {
			if errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v counts as an absent file", err)
			}
			if err != nil && len(err.Error()) > 2000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		}
		failed.refuses("--fsync")
	})
}

func TestHostKey(t *testing.T) {
	t.Parallel()
	kind, key, err := parseHostKey("ssh-rsa AAAAB3Nza somebody@somewhere")
	if err != nil || kind != "ssh-rsa" || key != "AAAAB3Nza" || hostKeyAlgorithms(kind) != "rsa-sha2-512,rsa-sha2-256" {
		t.Errorf("parseHostKey = %q, %q, %v", kind, key, err)
	}
	for _, line := range []string{"", "ssh-rsa", "SHA256:abcdef", "MD5:00:11"} {
		if _, _, err := parseHostKey(line); err == nil {
			t.Errorf("parseHostKey(%q) has no error", line)
		}
	}
}
