package desttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// checkKind makes sure that an Env says truly whether its place uploads.
func checkKind(t *testing.T, env Env) {
	t.Helper()
	driver, err := env.Opener.Open(t.Context())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer driver.Close()
	stage, err := driver.(dest.Stager).NewStage(t.Context())
	if err != nil {
		t.Fatalf("NewStage: %v", err)
	}
	defer stage.Discard()
	if _, uploads := stage.(dest.Uploader); uploads != env.Uploads {
		t.Fatalf("the stage is a dest.Uploader: %t, the Env says %t", uploads, env.Uploads)
	}
}

// testUploads asks of a place that uploads what cannot be left to staging there.
func testUploads(t *testing.T, env Env) {
	if !env.Uploads {
		t.Log("this place stages")
		return
	}
	t.Run("Moments", func(t *testing.T) { testMoments(t, env) })
	t.Run("Rivals", func(t *testing.T) { testRivals(t, env) })
	t.Run("GivenUp", func(t *testing.T) { testGivenUp(t, env) })
}

// testMoments looks at the place before a file is closed and before it is published, and wants the names once more.
func testMoments(t *testing.T, env Env) {
	place := openPlace(t, initialised(t, env))
	batch := begin(t, place)
	small, big := content(1, 70_000), content(2, 3<<20+1)
	files := map[string][]byte{"moments/small.gsm": small, "moments/big.wav": big, "moments/empty.gsm": {}}
	var staged []*dest.Staged
	for name, data := range files {
		file, err := batch.Stage(t.Context(), name, Digest(data))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(data); err != nil {
			t.Fatal(err)
		}
		staged = append(staged, file)
	}
	wantVisible(t, env, nil)
	for _, file := range staged {
		if err := file.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range visible(t, env.Opener) {
		if !bytes.Equal(data, files[name]) {
			t.Errorf("%q is visible with %d other bytes before it was published", name, len(data))
		}
	}
	for name, r := range finish(t, batch) {
		if r.Err != nil || r.Adopted || r.Method == "" {
			t.Errorf("%q: result %+v, want no error, not adopted, a method", name, r)
		}
	}
	wantVisible(t, env, files)

	again := begin(t, openPlace(t, newStore(t, env.NewProcess())))
	for name, data := range files {
		stage(t, again, name, data)
	}
	for name, r := range finish(t, again) {
		if r.Err != nil || !r.Adopted || r.Method == "" {
			t.Errorf("%q again: result %+v, want adopted, with a method", name, r)
		}
	}
	other := begin(t, place)
	for name, data := range files {
		stage(t, other, name, append(bytes.Clone(data), 1))
	}
	for name, r := range finish(t, other) {
		wantErr(t, name+" with other contents", r.Err, dest.ErrConflict)
	}
	wantVisible(t, env, files)
}

// testRivals lets several handles want the same name for other contents at once: one has it, the others are told.
func testRivals(t *testing.T, env Env) {
	store := initialised(t, env)
	const rivals = 4
	var batches []*dest.Batch
	for range rivals {
		batches = append(batches, begin(t, openPlace(t, store)))
	}
	results := make([]dest.Result, rivals)
	var group sync.WaitGroup
	for i, batch := range batches {
		group.Go(func() {
			data := content(uint64(i), 5000)
			file, err := batch.Stage(t.Context(), "a/wanted.gsm", Digest(data))
			if err == nil {
				_, err = file.Write(data)
			}
			if err == nil {
				err = errors.Join(file.Commit(), batch.Sync(t.Context()), batch.Verify(t.Context()))
			}
			var got []dest.Result
			if err == nil {
				got, err = batch.Publish(t.Context())
			}
			if err != nil || len(got) != 1 {
				t.Errorf("rival %d: %d results, %v", i, len(got), err)
				return
			}
			results[i] = got[0]
		})
	}
	group.Wait()
	won := -1
	for i, r := range results {
		if r.Err != nil {
			wantErr(t, fmt.Sprintf("rival %d", i), r.Err, dest.ErrConflict)
			continue
		}
		if won >= 0 || r.Adopted {
			t.Errorf("rivals %d and %d were both told that they have the name: %+v", won, i, r)
		}
		won = i
	}
	if won < 0 {
		t.Fatal("none of the rivals has the name")
	}
	if got := visible(t, env.Opener)["a/wanted.gsm"]; !bytes.Equal(got, content(uint64(won), 5000)) {
		t.Errorf("rival %d has the name, and there are %d other bytes", won, len(got))
	}
}

// testGivenUp gives files up at every stage before they were closed.
func testGivenUp(t *testing.T, env Env) {
	place := openPlace(t, initialised(t, env))
	small, big := content(1, 1000), content(2, 9<<20)
	for _, ended := range []bool{false, true} {
		batch := begin(t, place)
		ctx, cancel := context.WithCancel(t.Context())
		for i, data := range [][]byte{small, big, big[:8<<20], nil} {
			file, err := batch.Stage(ctx, fmt.Sprintf("given-up/%d.gsm", i), Digest(append(bytes.Clone(data), 1)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.Write(data); err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				if err := file.Drop(); err != nil {
					t.Errorf("Drop: %v", err)
				}
			}
		}
		if ended {
			cancel()
		}
		if err := batch.Discard(); err != nil {
			t.Errorf("Discard: %v", err)
		}
		cancel()
	}
	if err := place.SweepStaging(t.Context()); err != nil {
		t.Errorf("SweepStaging: %v", err)
	}
	for name := range visible(t, env.Opener) {
		if strings.HasPrefix(name, "given-up/") {
			t.Errorf("%q is visible and was given up", name)
		}
	}
}
