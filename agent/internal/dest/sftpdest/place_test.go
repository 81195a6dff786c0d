package sftpdest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/internal/peertest/gosftp"
)

// store returns an initialised destination.
func store(t testing.TB, opener dest.Opener) *dest.Store {
	t.Helper()
	store, err := dest.New(opener, "the place under test", desttest.Origin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

// place opens an initialised destination.
func place(t testing.TB, opener dest.Opener) *dest.Place {
	t.Helper()
	p, err := store(t, opener).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// stageAll stages and commits data under names, and returns the first error.
func stageAll(ctx context.Context, batch *dest.Batch, data []byte, names ...string) error {
	for _, name := range names {
		file, err := batch.Stage(ctx, name, desttest.Digest(data))
		if err != nil {
			return err
		}
		if _, err = file.Write(data); err == nil {
			err = file.Commit()
		}
		if err != nil {
			file.Drop()
			return err
		}
	}
	return nil
}

// publish stages and publishes data under names and returns the results by name.
func publish(t *testing.T, p *dest.Place, data []byte, names ...string) map[string]dest.Result {
	t.Helper()
	batch, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Discard()
	if err := stageAll(t.Context(), batch, data, names...); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(batch.Sync(t.Context()), batch.Verify(t.Context())); err != nil {
		t.Fatal(err)
	}
	results, err := batch.Publish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]dest.Result)
	for _, r := range results {
		byName[r.Name] = r
	}
	return byName
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s = %v, want %v", what, err, want)
	}
}

// wantUnreachable checks that an error says that the place cannot be reached, and not that anything is missing.
func wantUnreachable(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, dest.ErrUnreachable) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, dest.ErrNoMarker) {
		t.Errorf("%s = %v, want ErrUnreachable", what, err)
	}
}

// TestLinksLeadOut: a link that may lead out is a conflict and is not followed, nor is what lies behind it touched.
func TestLinksLeadOut(t *testing.T) {
	t.Parallel()
	s := gosftp.Start(t, gosftp.Options{Extensions: gosftp.AllExtensions()})
	linksLeadOut(t, s.Dir, open(t, s))
}

func linksLeadOut(t *testing.T, dir string, opener dest.Opener) {
	p := place(t, opener)
	outside := t.TempDir()
	for link, target := range map[string]string{
		"out": outside, "up": "..", "nowhere": "absent", "link.gsm": "target.gsm", "dangling.gsm": "absent.gsm",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "target.gsm"), []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	conflicts := []string{"link.gsm", "dangling.gsm", "out/a.gsm", "up/a.gsm", "nowhere/a.gsm", "out/sub/a.gsm"}
	results := publish(t, p, []byte("ours"), append(conflicts, "fine.gsm")...)
	for _, name := range conflicts {
		wantErr(t, "publishing "+name, results[name].Err, dest.ErrConflict)
		r := p.Put(t.Context(), name, bytes.NewReader([]byte("ours")), desttest.Digest([]byte("ours")), dest.Absent)
		wantErr(t, "putting "+name, r.Err, dest.ErrConflict)
		_, err := p.HashExisting(t.Context(), name)
		wantErr(t, "hashing "+name, err, dest.ErrConflict)
	}
	if code, ok := errors.AsType[*dest.CodeError](results["out/a.gsm"].Err); !ok || code.Name != dest.CodeLink {
		t.Errorf("publishing through a link = %v, want %s", results["out/a.gsm"].Err, dest.CodeLink)
	}
	if err := results["fine.gsm"].Err; err != nil {
		t.Errorf("publishing beside them: %v", err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
		t.Errorf("outside the place lie %v, %v", entries, err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "target.gsm")); err != nil || string(data) != "theirs" {
		t.Errorf("the target of a link holds %q, %v", data, err)
	}
}

// TestUnmounted: a place whose contents are gone behind an open handle is not filled anew, and nothing is called missing.
func TestUnmounted(t *testing.T) {
	t.Parallel()
	s := gosftp.Start(t, gosftp.Options{})
	p := place(t, open(t, s))
	batch, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Discard()
	if err := os.Rename(filepath.Join(s.Dir, ".wolkvox"), filepath.Join(t.TempDir(), "mounted")); err != nil {
		t.Fatal(err)
	}
	if _, err := batch.Stage(t.Context(), "a.gsm", desttest.Digest(nil)); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("staging = %v, want an error that does not say missing", err)
	}
	if _, err := p.Begin(t.Context()); err == nil {
		t.Error("a batch was begun")
	}
	wantUnreachable(t, "writing an own file", p.WriteOwn(t.Context(), dest.Head, nil))
	_, err = p.HashExisting(t.Context(), "a.gsm")
	wantErr(t, "hashing", err, dest.ErrNoMarker)
	if entries, err := os.ReadDir(s.Dir); err != nil || len(entries) != 0 {
		t.Errorf("the place was filled with %v, %v", entries, err)
	}
	if err := os.Remove(s.Dir); err != nil {
		t.Fatal(err)
	}
	_, err = p.HashExisting(t.Context(), "a.gsm")
	wantUnreachable(t, "hashing where the folder itself is gone", err)
}

// TestRenameThatReplaces: a server that can publish in no way that never replaces is refused.
func TestRenameThatReplaces(t *testing.T) {
	t.Parallel()
	noLinks := func(r gosftp.Request) (uint32, bool) {
		return gosftp.StatusFailure, r.Name == "hardlink@openssh.com"
	}
	for what, test := range map[string]struct {
		options  gosftp.Options
		suitable bool
	}{
		"links":                               {gosftp.Options{Extensions: gosftp.AllExtensions(), Replaces: true}, true},
		"no links, rename keeps":              {gosftp.Options{}, true},
		"links that fail, rename keeps":       {gosftp.Options{Extensions: gosftp.AllExtensions(), Answer: noLinks}, true},
		"no links, and rename replaces":       {gosftp.Options{Replaces: true}, false},
		"links that fail and rename replaces": {gosftp.Options{Extensions: gosftp.AllExtensions(), Answer: noLinks, Replaces: true}, false},
	} {
		s := gosftp.Start(t, test.options)
		store, err := dest.New(open(t, s), "nas", desttest.Origin)
		if err != nil {
			t.Fatal(err)
		}
		_, err = store.Init(t.Context())
		if test.suitable {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		code, ok := errors.AsType[*dest.CodeError](err)
		if !errors.Is(err, dest.ErrUnsuitable) || !ok || code.Name != dest.CodeUnsupported {
			t.Errorf("%s: Init = %v, want ErrUnsuitable with %s", what, err, dest.CodeUnsupported)
		}
	}
}

// TestStatuses: what a server answers is handed out as it is, and nothing that it says makes anything absent.
func TestStatuses(t *testing.T) {
	t.Parallel()
	var kind atomic.Int64   // of the requests that fail
	var status atomic.Int64 // with which status
	s := gosftp.Start(t, gosftp.Options{Answer: func(r gosftp.Request) (uint32, bool) {
		return uint32(status.Load()), int64(r.Type) == kind.Load() && !strings.Contains(r.Path, "marker")
	}})
	p := place(t, open(t, s))
	data := bytes.Repeat([]byte("recording"), 10_000)
	for number, name := range map[int64]string{
		3: "SSH_FX_PERMISSION_DENIED", 4: "SSH_FX_FAILURE", 12: "SSH_FX_WRITE_PROTECT", 14: "SSH_FX_NO_SPACE_ON_FILESYSTEM", 15: "SSH_FX_QUOTA_EXCEEDED", 99: "",
	} {
		status.Store(number)
		for _, request := range []int64{gosftp.Open, gosftp.Write, gosftp.Mkdir} {
			kind.Store(request)
			batch, err := p.Begin(t.Context())
			if err == nil {
				if err = stageAll(t.Context(), batch, data, "a.gsm"); err == nil {
					err = batch.Sync(t.Context())
				}
				kind.Store(0)
				batch.Discard()
			}
			kind.Store(0)
			code, ok := errors.AsType[*dest.CodeError](err)
			if !ok || code.Space != dest.SpaceSFTP || code.Number != number || code.Name != name || errors.Is(err, fs.ErrPermission) != (number == 3) {
				t.Errorf("request %d answered with %d = %v, want the status and its name", request, number, err)
			}
		}
	}
	// OpenSSH answers so where it has lost a handle.
	publish(t, p, data, "b.gsm")
	status.Store(gosftp.StatusNoSuchFile)
	kind.Store(gosftp.Read)
	if _, err := p.HashExisting(t.Context(), "b.gsm"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("hashing what cannot be read = %v, want an error that does not say missing", err)
	}
	kind.Store(0)
	// A server that finds nothing any more, itself included, has lost its disk.
	status.Store(gosftp.StatusNoSuchFile)
	kind.Store(gosftp.Stat)
	_, err := p.HashExisting(t.Context(), "a.gsm")
	wantUnreachable(t, "hashing where the folder is not found", err)
	kind.Store(0)
	_, err = p.HashExisting(t.Context(), "a.gsm")
	wantErr(t, "hashing what is absent", err, fs.ErrNotExist)
}

// TestOwnFileSurvivesCrashes cuts the connection at every request of writing an own file, on a server that cannot rename
// over a file: the old contents or the new ones are found whole, and the next write succeeds.
func TestOwnFileSurvivesCrashes(t *testing.T) {
	t.Parallel()
	var left atomic.Int64
	cut := make(chan struct{}, 1)
	s := gosftp.Start(t, gosftp.Options{Answer: func(r gosftp.Request) (uint32, bool) {
		if left.Add(-1) == -1 {
			cut <- struct{}{}
		}
		return gosftp.StatusFailure, left.Load() < 0
	}})
	const never = 1 << 40
	left.Store(never)
	store := store(t, open(t, s))
	writeOwn := func(data string) error {
		p, err := store.Open(t.Context())
		if err != nil {
			return err
		}
		defer p.Close()
		return p.WriteOwn(t.Context(), dest.Head, []byte(data))
	}
	read := func() string {
		t.Helper()
		p, err := store.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		data, err := p.ReadOwn(t.Context(), dest.Head)
		if err != nil {
			t.Fatalf("ReadOwn: %v", err)
		}
		return string(data)
	}
	if err := writeOwn("0"); err != nil {
		t.Fatal(err)
	}
	old := "0"
	for point, crashes := int64(0), 0; ; point++ {
		renewed := fmt.Sprint(point + 1)
		left.Store(point)
		err := writeOwn(renewed)
		completed := left.Swap(never) >= 0
		select {
		case <-cut:
			crashes++
			s.Cut()
		default:
		}
		got := read()
		if got != renewed && (err == nil || got != old) {
			t.Errorf("crash at request %d: the file holds %q, want %q or %q (%v)", point, got, old, renewed, err)
		}
		old = got
		if completed {
			if err != nil || crashes < 10 {
				t.Errorf("after %d crashes: %v", crashes, err)
			}
			break
		}
	}
}

// TestKilled: a server that dies leaves no error that says missing, and nothing half done in sight.
func TestKilled(t *testing.T) {
	t.Parallel()
	s := gosftp.Start(t, gosftp.Options{Extensions: gosftp.AllExtensions()})
	killed(t, s.Dir, open(t, s), s.Kill, func() { s.Restart(t) })
}

// killed kills a server between stage and publish, and in the middle of writing.
func killed(t *testing.T, dir string, opener dest.Opener, kill, restart func()) {
	store := store(t, opener)
	ctx, data := t.Context(), bytes.Repeat([]byte("recording"), 50_000)
	for _, midWrite := range []bool{false, true} {
		p, err := store.Open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		batch, err := p.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stageAll(ctx, batch, data, "a.gsm"); err != nil {
			t.Fatal(err)
		}
		if midWrite {
			file, err := batch.Stage(ctx, "b.gsm", desttest.Digest(data))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.Write(data[:100_000]); err != nil {
				t.Fatal(err)
			}
			kill()
			if _, err = file.Write(data[100_000:]); err == nil {
				err = file.Commit()
			}
			if err == nil {
				err = batch.Sync(ctx)
			}
			wantUnreachable(t, "writing", err)
		} else {
			if err := errors.Join(batch.Sync(ctx), batch.Verify(ctx)); err != nil {
				t.Fatal(err)
			}
			kill()
			_, err := batch.Publish(ctx)
			wantUnreachable(t, "publishing", err)
		}
		_, err = p.HashExisting(ctx, "a.gsm")
		wantUnreachable(t, "hashing", err)
		_, err = p.ReadOwn(ctx, dest.Head)
		wantUnreachable(t, "reading an own file", err)
		_, err = p.MoveAside(ctx, "a.gsm", "x")
		wantUnreachable(t, "moving aside", err)
		for _, err := range p.List(ctx) {
			wantUnreachable(t, "listing", err)
		}
		batch.Discard()
		p.Close()
		_, err = store.Open(ctx)
		wantUnreachable(t, "opening", err)
		restart()
		if _, err := os.Lstat(filepath.Join(dir, "a.gsm")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a file was published: %v", err)
		}
	}
	again, err := store.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if r := publish(t, again, data, "a.gsm")["a.gsm"]; r.Err != nil {
		t.Errorf("after the restart: %v", r.Err)
	}
}

// TestHanging: where a server hangs, the end of the context ends every call, and so does its long silence.
func TestHanging(t *testing.T) {
	t.Parallel()
	for what, hangs := range map[string]byte{"look": gosftp.Lstat, "write": gosftp.Write, "read": gosftp.Read, "rename": gosftp.Rename} {
		for _, cancelled := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s cancelled %v", what, cancelled), func(t *testing.T) {
				t.Parallel()
				var hang atomic.Bool
				release := make(chan struct{})
				s := gosftp.Start(t, gosftp.Options{Answer: func(r gosftp.Request) (uint32, bool) {
					if hang.Load() && r.Type == hangs {
						<-release
					}
					return 0, false
				}})
				defer close(release)
				opener := open(t, s)
				opener.Hurry()
				p := place(t, opener)
				batch, err := p.Begin(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				cause := errors.New("the window has ended")
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				hang.Store(true)
				if cancelled {
					time.AfterFunc(20*time.Millisecond, func() { cancel(cause) })
				}
				err = stageAll(ctx, batch, []byte("recording"), "a.gsm")
				if err == nil {
					err = batch.Sync(ctx)
				}
				if err == nil {
					err = batch.Verify(ctx)
				}
				if err == nil {
					_, err = batch.Publish(ctx)
				}
				if err == nil {
					_, err = p.HashExisting(ctx, "a.gsm")
				}
				if cancelled {
					wantErr(t, what, err, cause)
				} else {
					wantCode(t, what, err, dest.SpaceDriver, dest.CodeServerSilent)
				}
				batch.Discard()
			})
		}
	}
}
