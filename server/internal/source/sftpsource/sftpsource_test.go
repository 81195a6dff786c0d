package sftpsource

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/peertest/gosftp"
	"github.com/wolkvox/backup/server/internal/source"
	"github.com/wolkvox/backup/server/internal/source/sourcetest"
)

// testTiming rests for no time after a failure.
func testTiming() timing {
	t := productTiming
	t.rest, t.refused = 0, 0
	return t
}

// place is a folder behind a server in this process.
type place struct {
	server *gosftp.Server
	host   *Host
}

func newPlace(t *testing.T, o gosftp.Options, tm timing) *place {
	t.Helper()
	p := &place{server: gosftp.Start(t, o)}
	p.host = newTestHost(t, p.config(t), tm)
	return p
}

func (p *place) config(t *testing.T) Config {
	t.Helper()
	return Config{
		Address: p.server.Address, User: p.server.User, Folder: p.server.Dir, HostKey: p.server.HostKey,
		PasswordFile: writeSecret(t, p.server.Password()+"\n"),
	}
}

func newTestHost(t *testing.T, c Config, tm timing) *Host {
	t.Helper()
	h, err := newHost(c, tm)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func writeSecret(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func (p *place) Open(t *testing.T) (source.Driver, error) { return p.host.Open(t.Context()) }

func (p *place) Write(t *testing.T, name, contents string) {
	t.Helper()
	path := filepath.Join(p.server.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(contents), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (p *place) Remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(p.server.Dir, name)); err != nil {
		t.Fatal(err)
	}
}

func (p *place) Break() func(t *testing.T) { return func(*testing.T) { p.server.Kill() } }

func TestConformance(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, func(t *testing.T) sourcetest.Place {
		return newPlace(t, gosftp.Options{Extensions: gosftp.AllExtensions()}, testTiming())
	})
}

// TestConformanceBare is that of a server without extensions, of a folder below that of the login.
func TestConformanceBare(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, func(t *testing.T) sourcetest.Place {
		p := newPlace(t, gosftp.Options{}, testTiming())
		c := p.config(t)
		c.Folder = "."
		p.host = newTestHost(t, c, testTiming())
		return p
	})
}

func open(t *testing.T, p *place) *source.Tree {
	t.Helper()
	d, err := p.host.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	proof, err := source.Prove(t.Context(), d, "")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := source.OpenDriver(t.Context(), d, proof)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestConnection sees one connection serve several works, a lost one be made again, and an idle one be given up.
func TestConnection(t *testing.T) {
	t.Parallel()
	tm := testTiming()
	tm.idle = 50 * time.Millisecond
	p := newPlace(t, gosftp.Options{}, tm)
	first, second := open(t, p), open(t, p)
	kept := p.host.current
	if kept.users != 2 {
		t.Errorf("%d use the connection, want 2", kept.users)
	}
	if err := errors.Join(first.Close(), first.Close()); err != nil {
		t.Error(err)
	}
	p.server.Kill()
	if err := second.Check(t.Context()); !errors.Is(err, source.ErrUnreachable) {
		t.Errorf("a lost connection: %v", err)
	}
	p.server.Restart(t)
	third := open(t, p)
	if err := second.Check(t.Context()); !errors.Is(err, source.ErrUnreachable) {
		t.Errorf("what was opened over the lost connection goes on over another: %v", err)
	}
	second.Close()
	if err := third.Check(t.Context()); err != nil {
		t.Error(err)
	}
	again := p.host.current
	if again == kept {
		t.Fatal("the lost connection is still there")
	}
	third.Close()
	select {
	case <-again.over:
	case <-time.After(10 * time.Second):
		t.Error("the idle connection stays")
	}
	open(t, p).Close()
}

// TestRefused sees each way in which a server can be the wrong one or not let us in, and that it is not asked again at once.
func TestRefused(t *testing.T) {
	t.Parallel()
	p := newPlace(t, gosftp.Options{}, testTiming())
	other := gosftp.Start(t, gosftp.Options{})
	for about, c := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"wrong password":    {func(c *Config) { c.PasswordFile = writeSecret(t, "wrong") }, "does not let backup log in"},
		"another host key":  {func(c *Config) { c.HostKey = other.HostKey }, "shows the host key"},
		"other fingerprint": {func(c *Config) { c.HostKey = other.Fingerprint }, "shows the host key"},
		"no secret":         {func(c *Config) { c.PasswordFile = "/none" }, "no such file"},
		"open secret": {func(c *Config) {
			c.PasswordFile = writeSecret(t, "x")
			if err := os.Chmod(c.PasswordFile, 0o644); err != nil {
				t.Error(err)
			}
		}, "chmod 600"},
		"no key": {func(c *Config) { c.KeyFile, c.PasswordFile = writeSecret(t, "no key"), "" }, "cannot be used"},
	} {
		config := p.config(t)
		c.change(&config)
		_, err := newTestHost(t, config, testTiming()).Open(t.Context())
		if !errors.Is(err, source.ErrUnreachable) || !errors.Is(err, source.ErrRefused) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", about, err)
		}
	}
	config := p.config(t)
	config.HostKey = p.server.Fingerprint
	d, err := newTestHost(t, config, testTiming()).Open(t.Context())
	if err != nil {
		t.Fatalf("the right fingerprint: %v", err)
	}
	d.Close()

	config.PasswordFile = writeSecret(t, "wrong")
	h := newTestHost(t, config, productTiming)
	_, first := h.Open(t.Context())
	if err := os.WriteFile(config.PasswordFile, []byte(p.server.Password()), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Open(t.Context()); err == nil || err.Error() != first.Error() {
		t.Errorf("a moment later: %v, want what it was: %v", err, first)
	}
	h.until = time.Now()
	if d, err = h.Open(t.Context()); err != nil {
		t.Errorf("after a while: %v", err)
	} else {
		d.Close()
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	good := Config{Address: "h:22", User: "u", Folder: "/f", HostKey: "SHA256:" + strings.Repeat("A", 43), KeyFile: "/k"}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for about, change := range map[string]func(*Config){
		"no port": func(c *Config) { c.Address = "h" }, "no user": func(c *Config) { c.User = "" }, "no folder": func(c *Config) { c.Folder = "" },
		"folder": func(c *Config) { c.Folder = "/f/../g" }, "above": func(c *Config) { c.Folder = "../g" },
		"no host key": func(c *Config) { c.HostKey = "" }, "short fingerprint": func(c *Config) { c.HostKey = "SHA256:AAAA" },
		"no secret": func(c *Config) { c.KeyFile = "" }, "two secrets": func(c *Config) { c.PasswordFile = "/p" },
		"passphrase alone": func(c *Config) { c.KeyFile, c.PasswordFile, c.PassphraseFile = "", "/p", "/q" },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: taken", about)
		}
	}
}

// TestStalled sees a server whose SFTP stops answering given up, and a caller who does not wait for that.
func TestStalled(t *testing.T) {
	t.Parallel()
	var stalls atomic.Bool
	release := make(chan struct{})
	tm := testTiming()
	tm.keepalive, tm.stalled = 20*time.Millisecond, 200*time.Millisecond
	p := newPlace(t, gosftp.Options{Answer: func(r gosftp.Request) (uint32, bool) {
		if stalls.Load() && strings.HasSuffix(r.Path, "call.gsm") {
			<-release
		}
		return 0, false
	}}, tm)
	t.Cleanup(func() { close(release) })
	p.Write(t, "call.gsm", "contents")
	tree := open(t, p)
	defer tree.Close()
	stalls.Store(true)
	ctx, cancel := context.WithCancelCause(t.Context())
	errStop := errors.New("stop")
	time.AfterFunc(20*time.Millisecond, func() { cancel(errStop) })
	if _, err := tree.HashFile(ctx, "call.gsm"); !errors.Is(err, errStop) {
		t.Errorf("a caller who does not wait: %v", err)
	}
	if _, err := tree.HashFile(t.Context(), "call.gsm"); !errors.Is(err, source.ErrUnreachable) {
		t.Errorf("a stalled server: %v", err)
	}
}

// TestListProblems sees a folder that cannot be read named, and what went away meanwhile not.
func TestListProblems(t *testing.T) {
	t.Parallel()
	p := newPlace(t, gosftp.Options{Answer: func(r gosftp.Request) (uint32, bool) {
		switch {
		case r.Type == gosftp.OpenDir && strings.HasSuffix(r.Path, "closed"):
			return gosftp.StatusPermissionDenied, true
		case r.Type == gosftp.OpenDir && strings.HasSuffix(r.Path, "gone"):
			return gosftp.StatusNoSuchFile, true
		case r.Type == gosftp.Open && strings.HasSuffix(r.Path, "refused.gsm"):
			return gosftp.StatusPermissionDenied, true
		case r.Type == gosftp.Open && strings.HasSuffix(r.Path, "damaged.gsm"):
			return gosftp.StatusFailure, true
		}
		return 0, false
	}}, testTiming())
	for _, name := range []string{"closed/a", "gone/b", "open/c", "refused.gsm", "damaged.gsm"} {
		p.Write(t, name, "contents")
	}
	if err := os.Symlink("open", filepath.Join(p.server.Dir, "link")); err != nil {
		t.Fatal(err)
	}
	tree := open(t, p)
	defer tree.Close()
	found, err := tree.Scan(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Problems) != 1 || found.Problems[0].SourcePath != "closed" || found.Complete() {
		t.Errorf("problems %v", found.Problems)
	}
	if want := []source.Skipped{{SourcePath: "link", Reason: source.SkipLink}}; fmt.Sprint(found.Skipped) != fmt.Sprint(want) {
		t.Errorf("skipped %v, want %v", found.Skipped, want)
	}
	if len(found.Candidates) != 3 {
		t.Errorf("found %v", found.Candidates)
	}
	for name, want := range map[string]error{"refused.gsm": source.ErrUnreadable, "damaged.gsm": source.ErrUnreadable, "link": source.ErrNotRegular} {
		if _, err := tree.HashFile(t.Context(), name); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}
