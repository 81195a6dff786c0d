package desttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

func testPublish(t *testing.T, env Env) {
	store := initialised(t, env)
	place := openPlace(t, store)
	batch := begin(t, place)
	files := map[string][]byte{
		"empty.gsm":                         {},
		"one byte.gsm":                      {7},
		"2026/05/01/call.gsm":               content(1, 33*100),
		"2026/05/01/call~2.gsm":             content(2, 4096),
		"2026/05/02/große Müller/señal.mp3": content(3, 4097),
		"2026/big.wav":                      content(4, 3<<20+5),
		"same contents":                     content(1, 33*100),
	}
	for name, data := range files {
		stage(t, batch, name, data)
	}
	if !env.Uploads {
		wantVisible(t, env, nil)
	}
	for name, r := range finish(t, batch) {
		if r.Err != nil || r.Adopted || r.Digest != Digest(files[name]) {
			t.Errorf("result %+v, want no error, not adopted, digest %v", r, Digest(files[name]))
		}
	}
	wantVisible(t, env, files)
	names := sortedNames(files)
	found, err := place.Hash(t.Context(), names)
	if err != nil {
		t.Fatalf("Hash: %v", err)
	}
	for i, f := range found {
		if f.Name != names[i] || f.Err != nil || f.Digest != Digest(files[names[i]]) {
			t.Errorf("Hash of %q = %+v", names[i], f)
		}
	}
	if results := finish(t, batch); len(results) != 0 {
		t.Errorf("an empty round has %d results", len(results))
	}
	if err := batch.Discard(); err != nil {
		t.Errorf("Discard: %v", err)
	}
	if err := batch.Discard(); err != nil {
		t.Errorf("Discard again: %v", err)
	}
	_, err = batch.Stage(t.Context(), "late", Digest(nil))
	wantErr(t, "Stage after Discard", err, dest.ErrBroken)
}

func testConflict(t *testing.T, env Env) {
	place := openPlace(t, initialised(t, env))
	theirs, ours := content(1, 1000), content(2, 1000)
	env.Plant(t, "2026/theirs.gsm", theirs)
	env.Plant(t, "2026/short.gsm", ours[:999])
	conflicts := []string{"2026/theirs.gsm", "2026/short.gsm"}
	if env.PlantOdd != nil {
		env.PlantOdd(t, "2026/odd.gsm")
		conflicts = append(conflicts, "2026/odd.gsm")
	}
	if !env.Uploads {
		conflicts = append(conflicts, "2026/theirs.gsm/below.gsm", "2026")
	}
	batch := begin(t, place)
	for _, name := range append(conflicts, "2026/fine.gsm") {
		stage(t, batch, name, ours)
	}
	results := finish(t, batch)
	for _, name := range conflicts {
		wantErr(t, "publish "+name, results[name].Err, dest.ErrConflict)
	}
	if err := results["2026/fine.gsm"].Err; err != nil {
		t.Errorf("the file without a conflict: %v", err)
	}
	found, err := place.Hash(t.Context(), conflicts)
	if err != nil {
		t.Fatalf("Hash: %v", err)
	}
	if found[0].Err != nil || found[0].Digest != Digest(theirs) {
		t.Errorf("Hash of their file = %+v", found[0])
	}
	for _, f := range found[2:] {
		wantErr(t, "Hash of "+f.Name, f.Err, dest.ErrConflict)
	}
	wantVisible(t, env, map[string][]byte{"2026/theirs.gsm": theirs, "2026/short.gsm": ours[:999], "2026/fine.gsm": ours})
}

func testAdopt(t *testing.T, env Env) {
	place := openPlace(t, initialised(t, env))
	data := content(1, 70_000)
	env.Plant(t, "a/equal.gsm", data)
	if got, err := place.HashExisting(t.Context(), "a/equal.gsm"); err != nil || got != Digest(data) {
		t.Errorf("HashExisting = %v, %v, want %v", got, err, Digest(data))
	}
	batch := begin(t, place)
	stage(t, batch, "a/equal.gsm", data)
	if r := finish(t, batch)["a/equal.gsm"]; r.Err != nil || !r.Adopted {
		t.Errorf("publishing where an equal file is = %+v, want adopted", r)
	}
	wantVisible(t, env, map[string][]byte{"a/equal.gsm": data})
}

func testWrongContents(t *testing.T, env Env) {
	batch := begin(t, openPlace(t, initialised(t, env)))
	right, wrong := content(1, 5000), content(2, 5000)
	for what, received := range map[string][]byte{"altered": wrong, "short": right[:4999], "long": append(bytes.Clone(right), 0)} {
		file, err := batch.Stage(t.Context(), what, Digest(right))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = file.Write(received); err == nil {
			err = file.Commit()
		}
		wantErr(t, what, err, backup.ErrDigest)
		if err := file.Drop(); err != nil {
			t.Errorf("Drop: %v", err)
		}
	}
	stage(t, batch, "right", right)
	if r := finish(t, batch)["right"]; r.Err != nil {
		t.Errorf("the batch did not go on: %v", r.Err)
	}
	wantVisible(t, env, map[string][]byte{"right": right})
}

func testResume(t *testing.T, env Env) {
	batch := begin(t, openPlace(t, initialised(t, env)))
	big, small := content(1, 1<<20), content(2, 100)
	file, err := batch.Stage(t.Context(), "big.wav", Digest(big))
	if err != nil {
		t.Fatal(err)
	}
	for round := 0; file.Offset() < int64(len(big)); round++ {
		rest := big[file.Offset():]
		if _, err := file.Write(rest[:min(len(rest), 300_001)]); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("small-%d", round)
		stage(t, batch, name, small)
		results := finish(t, batch)
		if r, ok := results[name]; !ok || r.Err != nil || len(results) != 1 {
			t.Errorf("round %d: results %v, want only %q", round, results, name)
		}
	}
	if err := file.Commit(); err != nil {
		t.Fatal(err)
	}
	if r := finish(t, batch)["big.wav"]; r.Err != nil {
		t.Error(r.Err)
	}
	if got := visible(t, env.Opener)["big.wav"]; !bytes.Equal(got, big) {
		t.Errorf("what was resumed has %d other bytes", len(got))
	}
}

func testConcurrent(t *testing.T, env Env) {
	batch := begin(t, openPlace(t, initialised(t, env)))
	const writers = 8
	each := 25
	if env.CrashEvery > 1 {
		each = 4
	}
	want := make(map[string][]byte)
	var group sync.WaitGroup
	for w := range writers {
		for i := range each {
			want[fmt.Sprintf("d%d/e%d/%d.gsm", i%5, w%3, w*each+i)] = content(uint64(w*each+i), 2000+i)
		}
		group.Go(func() {
			for i := range each {
				stage(t, batch, fmt.Sprintf("d%d/e%d/%d.gsm", i%5, w%3, w*each+i), content(uint64(w*each+i), 2000+i))
			}
		})
	}
	results := finish(t, batch) // while others are being staged
	group.Wait()
	for name, r := range finish(t, batch) {
		if _, twice := results[name]; twice {
			t.Errorf("%q has two results", name)
		}
		results[name] = r
	}
	if len(results) != len(want) {
		t.Errorf("%d results, want %d", len(results), len(want))
	}
	for _, r := range results {
		if r.Err != nil {
			t.Error(r.Err)
		}
	}
	wantVisible(t, env, want)
}

func testCancelled(t *testing.T, env Env) {
	store := initialised(t, env)
	place := openPlace(t, store)
	batch := begin(t, place)
	stage(t, batch, "a.gsm", content(1, 100))
	cause := errors.New("the window has ended")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err := batch.Stage(ctx, "b.gsm", Digest(nil))
	wantErr(t, "Stage", err, cause)
	_, err = store.Open(ctx)
	wantErr(t, "Open", err, cause)
	_, err = place.Hash(ctx, []string{"a.gsm"})
	wantErr(t, "Hash", err, cause)
	if err := batch.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "Verify", batch.Verify(ctx), cause)
	if err := batch.Verify(t.Context()); err != nil {
		t.Fatalf("Verify after a cancelled one: %v", err)
	}
	_, err = batch.Publish(ctx)
	wantErr(t, "Publish", err, cause)
	_, err = batch.Publish(t.Context())
	wantErr(t, "Publish after a cancelled one", err, dest.ErrBroken)
	if env.Uploads { // it was sent before, and nobody was told that it arrived
		wantVisible(t, env, map[string][]byte{"a.gsm": content(1, 100)})
		return
	}
	wantVisible(t, env, nil)
}

func testDamage(t *testing.T, env Env) {
	if env.Uploads {
		t.Log("nothing is staged that could be damaged")
		return
	}
	place := openPlace(t, initialised(t, env))
	data := content(1, 150_000)
	for attempt, damaged := range []bool{true, false} {
		batch := begin(t, place)
		stage(t, batch, "a.gsm", data)
		stage(t, batch, "empty.gsm", nil)
		if err := batch.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if damaged {
			env.FlipStaged(t)
		}
		results := publish(t, batch)
		if damaged {
			wantErr(t, "a file that was damaged after the sync", results["a.gsm"].Err, dest.ErrReadBack)
			wantVisible(t, env, map[string][]byte{"empty.gsm": {}})
		} else if results["a.gsm"].Err != nil || !results["empty.gsm"].Adopted {
			t.Errorf("attempt %d: results %+v", attempt, results)
		}
		if err := batch.Discard(); err != nil {
			t.Error(err)
		}
	}
	wantVisible(t, env, map[string][]byte{"a.gsm": data, "empty.gsm": {}})
}
