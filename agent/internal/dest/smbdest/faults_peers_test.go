//go:build peers

package smbdest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/smbdest"
	"github.com/wolkvox/backup/internal/peertest/samba"
)

// wantCode wants err to carry a code, and to be unreachable but never absent.
func wantCode(t *testing.T, what string, err error, space dest.CodeSpace, name string) {
	t.Helper()
	code, ok := errors.AsType[*dest.CodeError](err)
	if !ok || code.Space != space || code.Name != name {
		t.Errorf("%s: %v, want %s %s", what, err, space, name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s says that something is absent: %v", what, err)
	}
}

func wantUnreachable(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, dest.ErrUnreachable) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v, want unreachable and not absent", what, err)
	}
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	server := samba.Start(t, samba.Options{})
	right := options(server, "")
	open := func(change func(o *smbdest.Options)) error {
		o := right
		change(&o)
		driver, err := smbdest.New(o).Open(t.Context())
		if err == nil {
			err = driver.Close()
		} else {
			wantUnreachable(t, "Open", err)
		}
		return err
	}
	if err := open(func(*smbdest.Options) {}); err != nil {
		t.Fatal(err)
	}
	wrong := func(o *smbdest.Options) { o.Password = func() (string, error) { return "wrong", nil } }
	wantCode(t, "a wrong password", open(wrong), dest.SpaceNTStatus, "STATUS_LOGON_FAILURE")
	stranger := func(o *smbdest.Options) { o.User = "nobody at all" }
	wantCode(t, "an unknown user", open(stranger), dest.SpaceNTStatus, "STATUS_LOGON_FAILURE")
	noShare := func(o *smbdest.Options) { o.Share = "nothing" }
	wantCode(t, "a wrong share", open(noShare), dest.SpaceNTStatus, "STATUS_BAD_NETWORK_NAME")
	noFolder := func(o *smbdest.Options) { o.Folder = "not/here" }
	wantCode(t, "a missing folder", open(noFolder), dest.SpaceNTStatus, "STATUS_OBJECT_NAME_NOT_FOUND")
	secret := errors.New("others can read it")
	noSecret := func(o *smbdest.Options) { o.Password = func() (string, error) { return "", secret } }
	err := open(noSecret)
	wantCode(t, "an unreadable password", err, dest.SpaceDriver, dest.CodeSecret)

	plant(t, server.Dir, "a file", nil)
	isFile := func(o *smbdest.Options) { o.Folder = "a file" }
	wantCode(t, "a file for a folder", open(isFile), dest.SpaceNTStatus, "STATUS_NOT_A_DIRECTORY")

	kept, err := smbdest.New(right).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	server.SetPassword(t, "another one")
	if err := open(func(*smbdest.Options) {}); err != nil { // the function returns the server's present password
		t.Errorf("after a change of the password: %v", err)
	}
	old := func(o *smbdest.Options) {
		o.Password = func() (string, error) { return "correct horse battery staple", nil }
	}
	wantCode(t, "the password of before", open(old), dest.SpaceNTStatus, "STATUS_LOGON_FAILURE")
	server.Disable(t)
	wantCode(t, "a disabled account", open(func(*smbdest.Options) {}), dest.SpaceNTStatus, "STATUS_ACCOUNT_DISABLED")
	if _, err := kept.(dest.Spacer).Space(t.Context()); err != nil {
		t.Errorf("a session from before: %v", err)
	}
	server.Kill()
	err = open(func(*smbdest.Options) {})
	if errno, ok := errors.AsType[syscall.Errno](err); !ok || errno != syscall.ECONNREFUSED {
		t.Errorf("nobody listens: %v, want %v", err, syscall.ECONNREFUSED)
	}
}

func TestGuestIsRefused(t *testing.T) {
	t.Parallel()
	server := samba.Start(t, samba.Options{Guest: true})
	o := options(server, "")
	o.User = "stranger"
	_, err := smbdest.New(o).Open(t.Context())
	wantUnreachable(t, "Open as a guest", err)
	wantCode(t, "Open as a guest", err, dest.SpaceDriver, dest.CodeAuth)
}

func TestOtherProtocol(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", "\x00\x00\x00\x00", "\x00\x00\x00\x44\xffSMB" + string(make([]byte, 64))} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		go func() {
			if conn, err := listener.Accept(); err == nil {
				defer conn.Close()
				io.WriteString(conn, answer)
				io.Copy(io.Discard, conn)
			}
		}()
		o := smbdest.Options{Address: listener.Addr().String(), Share: "x", User: "x", Password: func() (string, error) { return "x", nil }}
		_, err = smbdest.New(o).Open(t.Context())
		wantUnreachable(t, "Open", err)
		wantCode(t, "Open", err, dest.SpaceDriver, dest.CodeWrongProtocol)
	}
}

// TestFolderGone: the folder is no longer there, under a handle that is open.
func TestFolderGone(t *testing.T) {
	t.Parallel()
	server := samba.Start(t, samba.Options{})
	dir := filepath.Join(server.Dir, "nas")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	place := openPlace(t, initialised(t, smbdest.New(options(server, "nas"))))
	if _, err := place.HashExisting(t.Context(), "a/b/c.gsm"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	for what, call := range map[string]func() error{
		"Hash":     func() error { _, err := place.HashExisting(t.Context(), "a/b/c.gsm"); return err },
		"ReadOwn":  func() error { _, err := place.ReadOwn(t.Context(), dest.Head); return err },
		"WriteOwn": func() error { return place.WriteOwn(t.Context(), dest.Head, nil) },
		"Begin":    func() error { _, err := place.Begin(t.Context()); return err },
		"Sweep":    func() error { return place.SweepStaging(t.Context()) },
		"List": func() error {
			for _, err := range place.List(t.Context()) {
				return err
			}
			return nil
		},
	} {
		wantUnreachable(t, what, call())
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder was made: %v", err)
	}
}

func TestReadOnlyShare(t *testing.T) {
	t.Parallel()
	server := samba.Start(t, samba.Options{ReadOnly: true})
	store := newStore(t, smbdest.New(options(server, "")))
	_, err := store.Init(t.Context())
	wantCode(t, "Init of a read-only share", err, dest.SpaceNTStatus, "STATUS_ACCESS_DENIED")
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v\n%s", err, out)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	server := samba.Start(t, samba.Options{Dir: dir})
	place := openPlace(t, initialised(t, smbdest.New(options(server, ""))))
	space, err := place.Space(t.Context())
	if err != nil || space.TotalBytes != 16<<20 || space.FreeBytes > 16<<20 {
		t.Errorf("Space = %+v, %v", space, err)
	}
	batch, err := place.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Discard()
	data := make([]byte, 32<<20)
	file, err := batch.Stage(t.Context(), "big.wav", desttest.Digest(data))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = file.Write(data); err == nil {
		if err = file.Commit(); err == nil {
			err = batch.Sync(t.Context())
		}
	}
	wantCode(t, "a full disk", err, dest.SpaceNTStatus, "STATUS_DISK_FULL")
	if err := errors.Join(file.Drop(), batch.Discard()); err != nil {
		t.Error(err)
	}
	for _, r := range publish(t, place, []byte("small"), "small.gsm") {
		if r.Err != nil {
			t.Errorf("after the batch that had no room: %v", r.Err)
		}
	}
}

// TestHangingServer: all of the server's processes stop where they are.
func TestHangingServer(t *testing.T) {
	t.Parallel()
	server := samba.Start(t, samba.Options{})
	opener := smbdest.New(options(server, ""))
	smbdest.SetLimits(opener, time.Minute, 100*time.Millisecond)
	store := initialised(t, opener)
	cause := errors.New("the window has ended")
	for what, call := range map[string]func(ctx context.Context, place *dest.Place, file *dest.Staged) error{
		"Hash": func(ctx context.Context, p *dest.Place, _ *dest.Staged) error {
			_, err := p.Hash(ctx, []string{"a"})
			return err
		},
		"Commit":   func(_ context.Context, _ *dest.Place, f *dest.Staged) error { return f.Commit() },
		"WriteOwn": func(ctx context.Context, p *dest.Place, _ *dest.Staged) error { return p.WriteOwn(ctx, dest.Head, nil) },
		"Open":     func(ctx context.Context, _ *dest.Place, _ *dest.Staged) error { _, err := store.Open(ctx); return err },
	} {
		place := openPlace(t, store)
		ctx, cancel := context.WithCancelCause(t.Context())
		batch, err := place.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		file := stageOpen(t, batch, "a.gsm", []byte("data"))
		server.Freeze()
		time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
		if err := call(ctx, place, file); !errors.Is(err, cause) {
			t.Errorf("%s: %v, want %v", what, err, cause)
		}
		server.Thaw()
		batch.Discard()
		place.Close()
	}
	opener = smbdest.New(options(server, ""))
	smbdest.SetLimits(opener, 500*time.Millisecond, time.Minute)
	store = newStore(t, opener)
	place := openPlace(t, store)
	server.Freeze()
	_, err := place.Hash(t.Context(), []string{"a"})
	wantUnreachable(t, "a server that never answers", err)
	wantCode(t, "a server that never answers", err, dest.SpaceDriver, dest.CodeServerSilent)
	server.Thaw()
	if err := openPlace(t, store).CheckMarker(t.Context()); err != nil {
		t.Errorf("when the server goes on: %v", err)
	}
}

// TestKilled: the server dies at several points of a batch, and comes back.
func TestKilled(t *testing.T) {
	t.Parallel()
	server := samba.Start(t, samba.Options{})
	store := initialised(t, smbdest.New(options(server, "")))
	data := bytes.Repeat([]byte("recording "), 100_000)
	const name = "2026/05/01/a.gsm"
	for _, point := range []string{"write", "sync", "verify", "publish"} {
		place := openPlace(t, store)
		batch, err := place.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		kill := func(at string) {
			if at == point {
				server.Kill()
			}
		}
		file, err := batch.Stage(t.Context(), name, desttest.Digest(data))
		if err != nil {
			t.Fatal(err)
		}
		_, err = file.Write(data[:len(data)/2])
		kill("write")
		if err == nil {
			_, err = file.Write(data[len(data)/2:])
		}
		if err == nil {
			err = file.Commit()
		}
		kill("sync")
		if err == nil {
			err = batch.Sync(t.Context())
		}
		kill("verify")
		if err == nil {
			err = batch.Verify(t.Context())
		}
		kill("publish")
		if err == nil {
			var results []dest.Result
			results, err = batch.Publish(t.Context())
			for _, r := range results {
				err = errors.Join(err, r.Err)
			}
		}
		wantUnreachable(t, "killed before "+point, err)
		if _, err := place.HashExisting(t.Context(), name); err == nil {
			t.Errorf("killed before %s: a dead handle answers", point)
		} else {
			wantUnreachable(t, "Hash on a dead handle", err)
		}
		batch.Discard()
		place.Close()
		_, err = store.Open(t.Context())
		wantUnreachable(t, "Open while nobody listens", err)
		if _, err := os.Lstat(filepath.Join(server.Dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("killed before %s: something is visible: %v", point, err)
		}
		server.Restart(t)
	}
	for _, r := range publish(t, openPlace(t, store), data, name) {
		if r.Err != nil || r.Adopted {
			t.Errorf("after the restart: %+v", r)
		}
	}
	got, err := os.ReadFile(filepath.Join(server.Dir, name))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("the published file has %d bytes, %v", len(got), err)
	}
}
