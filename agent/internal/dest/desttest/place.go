package desttest

import (
	"errors"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"

	"bytes"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

func testMarker(t *testing.T, env Env) {
	store := newStore(t, env.Opener)
	_, err := store.Open(t.Context())
	wantErr(t, "Open before Init", err, dest.ErrNoMarker)
	first, err := store.Init(t.Context())
	if err != nil {
		t.Fatalf("Init: %v", err)
	}
	if first.Origin != Origin {
		t.Errorf("Init wrote the origin %q, want %q", first.Origin, Origin)
	}
	if err := store.CheckMarker(t.Context()); err != nil {
		t.Errorf("CheckMarker after Init: %v", err)
	}
	if again, err := store.Init(t.Context()); err != nil || again != first {
		t.Errorf("Init again = %v, %v, want %v and no error", again, err, first)
	}
	other := strings.Replace(Origin, "acme", "zenith", 1)
	foreign, err := dest.New(env.Opener, "other", other)
	if err != nil {
		t.Fatal(err)
	}
	_, err = foreign.Open(t.Context())
	wantErr(t, "Open by another log", err, dest.ErrForeignMarker)
	if err == nil || !strings.Contains(err.Error(), Origin) || !strings.Contains(err.Error(), other) {
		t.Errorf("the error %q does not name both logs", err)
	}
	_, err = foreign.Init(t.Context())
	wantErr(t, "Init by another log", err, dest.ErrForeignMarker)

	driver, err := env.Opener.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer driver.Close()
	if err := driver.(dest.Keeper).WriteOwn(t.Context(), "marker", append(first.Format(), '\n')); err != nil {
		t.Fatal(err)
	}
	_, err = store.Open(t.Context())
	wantErr(t, "Open with an altered marker", err, dest.ErrMarker)
	_, err = store.Init(t.Context())
	wantErr(t, "Init with an altered marker", err, dest.ErrMarker)
	wantVisible(t, env, nil)
}

func testUnreachable(t *testing.T, env Env) {
	store := initialised(t, env)
	plug := env.Unplug(t)
	for what, try := range map[string]func() error{
		"Open": func() error { _, err := store.Open(t.Context()); return err },
		"Init": func() error { _, err := store.Init(t.Context()); return err },
	} {
		err := try()
		wantErr(t, what, err, dest.ErrUnreachable)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, dest.ErrNoMarker) {
			t.Errorf("%s of an unreachable place says that something is missing: %v", what, err)
		}
	}
	plug()
	place := openPlace(t, store)
	if _, err := place.HashExisting(t.Context(), "a/b.gsm"); !isAbsent(err) {
		t.Errorf("HashExisting of an absent name = %v, want fs.ErrNotExist", err)
	}
}

func testOwnFiles(t *testing.T, env Env) {
	place := openPlace(t, initialised(t, env))
	if _, err := place.ReadOwn(t.Context(), dest.Head); !isAbsent(err) {
		t.Errorf("ReadOwn before WriteOwn = %v, want fs.ErrNotExist", err)
	}
	for _, data := range [][]byte{[]byte("first\n"), content(1, 5000), {}, []byte("last\n")} {
		if err := place.WriteOwn(t.Context(), dest.Head, data); err != nil {
			t.Fatalf("WriteOwn: %v", err)
		}
		if got, err := place.ReadOwn(t.Context(), dest.Head); err != nil || !bytes.Equal(got, data) {
			t.Errorf("ReadOwn = %d bytes, %v, want %d", len(got), err, len(data))
		}
	}
	if _, err := place.ReadOwn(t.Context(), dest.LastDelivered); !isAbsent(err) {
		t.Errorf("ReadOwn of another file = %v, want fs.ErrNotExist", err)
	}
	const deep = "evidence/acme-nas/ledger/0000000000.txt"
	if _, err := place.ReadOwn(t.Context(), deep); !isAbsent(err) {
		t.Errorf("ReadOwn in folders that are not there = %v, want fs.ErrNotExist", err)
	}
	large := content(3, dest.MaxOwnBytes)
	if err := place.WriteOwn(t.Context(), deep, large); err != nil {
		t.Fatalf("WriteOwn in folders that are not there: %v", err)
	}
	if got, err := place.ReadOwn(t.Context(), deep); err != nil || !bytes.Equal(got, large) {
		t.Errorf("ReadOwn in folders = %d bytes, %v, want %d", len(got), err, len(large))
	}
	wantVisible(t, env, nil)
}

func testPut(t *testing.T, env Env) {
	place := openPlace(t, initialised(t, env))
	old, renewed := content(1, 10_000), content(2, 20_000)
	const name = "2026/05/01/a.gsm"
	put := func(data []byte, want backup.Digest, pre dest.Precondition) dest.Result {
		return place.Put(t.Context(), name, bytes.NewReader(data), want, pre)
	}
	wantErr(t, "Put of other contents", put(old, Digest(renewed), dest.Absent).Err, backup.ErrDigest)
	wantErr(t, "Put of a short stream", put(renewed[:100], Digest(renewed), dest.Absent).Err, backup.ErrDigest)
	wantErr(t, "Put of a long stream", put(append(renewed, 0), Digest(renewed), dest.Absent).Err, backup.ErrDigest)
	wantErr(t, "Put to replace what is absent", put(old, Digest(old), dest.Replaces(Digest(renewed))).Err, dest.ErrConflict)
	wantVisible(t, env, nil)
	if r := put(old, Digest(old), dest.Absent); r.Err != nil || r.Adopted {
		t.Errorf("Put = %+v, want no error and not adopted", r)
	}
	wantErr(t, "Put where the name is taken", put(renewed, Digest(renewed), dest.Absent).Err, dest.ErrConflict)
	if r := put(old, Digest(old), dest.Absent); r.Err != nil || !r.Adopted {
		t.Errorf("Put where an equal file is = %+v, want adopted", r)
	}
	wantErr(t, "Put to replace another", put(renewed, Digest(renewed), dest.Replaces(Digest(renewed[:5]))).Err, dest.ErrConflict)
	wantVisible(t, env, map[string][]byte{name: old})
	if r := put(renewed, Digest(renewed), dest.Replaces(Digest(old))); r.Err != nil {
		t.Errorf("Put to replace = %+v, want no error", r)
	}
	empty := place.Put(t.Context(), "empty", bytes.NewReader(nil), Digest(nil), dest.Absent)
	if empty.Err != nil {
		t.Errorf("Put of an empty file: %v", empty.Err)
	}
	wantVisible(t, env, map[string][]byte{name: renewed, "empty": {}})
}

// hostileNames are refused by every driver, because they never reach one.
var hostileNames = []string{
	"", ".", "..", "../x", "a/../../x", "/etc/passwd", "a//b", "a/", "./a", "a\x00b", "a:b", "CON", "aux.gsm", "a/nul/b", "COM¹",
	"trailing.", "trailing ", " leading", "a\\b", `C:\x`, "a|b", "new\nline", "bad\xffutf8", ".wolkvox/marker", ".WOLKVOX/x",
	strings.Repeat("x", 300), strings.Repeat("x/", 500) + "x",
}

func testHostileNames(t *testing.T, env Env) {
	initialised(t, env)
	var touched atomic.Int64
	counting := WithFaults(env.Opener, func(op Op, name string) (bool, error) {
		if op != OpReadOwn && op != OpNewStage {
			touched.Add(1)
		}
		return true, nil
	})
	place := openPlace(t, newStore(t, counting))
	batch := begin(t, place)
	for _, name := range hostileNames {
		_, err := batch.Stage(t.Context(), name, Digest(nil))
		wantErr(t, "Stage of "+name, err, dest.ErrName)
		wantErr(t, "Put of "+name, place.Put(t.Context(), name, bytes.NewReader(nil), Digest(nil), dest.Absent).Err, dest.ErrName)
		_, err = place.HashExisting(t.Context(), name)
		wantErr(t, "HashExisting of "+name, err, dest.ErrName)
		_, err = place.MoveAside(t.Context(), name, "label")
		wantErr(t, "MoveAside of "+name, err, dest.ErrName)
	}
	_, err := place.MoveAside(t.Context(), "a", "../..")
	wantErr(t, "MoveAside under a hostile label", err, dest.ErrName)
	if n := touched.Load(); n != 0 {
		t.Errorf("the driver was asked %d times about names that are refused", n)
	}
	wantVisible(t, env, nil)
}

func testMoveAside(t *testing.T, env Env) {
	place := openPlace(t, initialised(t, env))
	const name = "2026/a.gsm"
	var seen []string
	for i := range 3 {
		env.Plant(t, name, content(uint64(i), 100))
		to, err := place.MoveAside(t.Context(), name, "20260501T020000Z")
		if err != nil {
			t.Fatalf("MoveAside: %v", err)
		}
		seen = append(seen, to)
		if _, err := place.HashExisting(t.Context(), name); !isAbsent(err) {
			t.Errorf("HashExisting of what was moved aside = %v, want fs.ErrNotExist", err)
		}
	}
	driver, err := env.Opener.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer driver.Close()
	for i, to := range seen {
		got, err := driver.(dest.Keeper).ReadOwn(t.Context(), strings.TrimPrefix(to, backup.OwnPrefix+"/"))
		if err != nil || !bytes.Equal(got, content(uint64(i), 100)) {
			t.Errorf("what was moved aside to %q is %d bytes, %v", to, len(got), err)
		}
	}
	_, err = place.MoveAside(t.Context(), name, "x")
	if !isAbsent(err) {
		t.Errorf("MoveAside of an absent name = %v, want fs.ErrNotExist", err)
	}
	if env.PlantOdd != nil {
		env.PlantOdd(t, "odd.gsm")
		_, err = place.MoveAside(t.Context(), "odd.gsm", "x")
		wantErr(t, "MoveAside of what is not a regular file", err, dest.ErrConflict)
	}
	wantVisible(t, env, nil)
}

func testSpace(t *testing.T, env Env) {
	place := openPlace(t, initialised(t, env))
	space, err := place.Space(t.Context())
	if env.NoSpace {
		wantErr(t, "Space", err, errors.ErrUnsupported)
		return
	}
	if err != nil {
		t.Fatalf("Space: %v", err)
	}
	if space.FreeBytes <= 0 || space.TotalBytes < space.FreeBytes || space.FreeInodes < -1 {
		t.Errorf("Space = %+v", space)
	}
}
