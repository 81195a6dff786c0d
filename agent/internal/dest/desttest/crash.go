package desttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

var errFault = errors.New("injected fault")

// failOn returns a hook with one kind of fault, at every operation op.
func failOn(op Op, apply bool, err error) Hook {
	return func(got Op, _ string) (bool, error) {
		if got == op {
			return apply, err
		}
		return true, nil
	}
}

func testFailedSync(t *testing.T, env Env) {
	initialised(t, env)
	for _, op := range []Op{OpSync, OpSyncNames, OpClose} {
		for _, apply := range []bool{false, true} {
			batch := begin(t, openPlace(t, newStore(t, WithFaults(env.Opener, failOn(op, apply, errFault)))))
			data := content(1, 100)
			file, err := batch.Stage(t.Context(), "a.gsm", Digest(data))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.Write(data); err != nil {
				t.Fatal(err)
			}
			if err = file.Commit(); err == nil {
				err = batch.Sync(t.Context())
			}
			if err == nil {
				err = batch.Verify(t.Context())
			}
			if err == nil {
				_, err = batch.Publish(t.Context())
			}
			wantErr(t, "a batch whose "+string(op)+" fails", err, errFault)
			_, err = batch.Stage(t.Context(), "b.gsm", Digest(nil))
			wantErr(t, "Stage after a failed "+string(op), err, dest.ErrBroken)
			wantErr(t, "Sync after a failed "+string(op), batch.Sync(t.Context()), dest.ErrBroken)
			wantErr(t, "Verify after a failed "+string(op), batch.Verify(t.Context()), dest.ErrBroken)
			_, err = batch.Publish(t.Context())
			wantErr(t, "Publish after a failed "+string(op), err, dest.ErrBroken)
			if err := batch.Discard(); err != nil {
				t.Errorf("Discard after a failed %s: %v", op, err)
			}
		}
	}
}

func testLostWrites(t *testing.T, env Env) {
	initialised(t, env)
	batch := begin(t, openPlace(t, newStore(t, WithFaults(env.Opener, failOn(OpWrite, false, nil)))))
	stage(t, batch, "a.gsm", content(1, 100))
	want := dest.ErrReadBack
	if env.Uploads {
		want = backup.ErrDigest // it never came so far that it could be read back
	}
	wantErr(t, "a file whose writes were lost in silence", finish(t, batch)["a.gsm"].Err, want)
	wantVisible(t, env, nil)
}

func testSweep(t *testing.T, env Env) {
	place := openPlace(t, initialised(t, env))
	kept := begin(t, place)
	stage(t, kept, "kept.gsm", content(1, 100))
	if err := place.SweepStaging(t.Context()); err != nil {
		t.Fatalf("SweepStaging: %v", err)
	}
	if r := finish(t, kept)["kept.gsm"]; r.Err != nil {
		t.Errorf("sweeping took the own process's staging: %v", r.Err)
	}
	if err := errors.Join(kept.Discard(), place.Close()); err != nil {
		t.Fatal(err)
	}
	later := openPlace(t, newStore(t, env.NewProcess()))
	if err := later.SweepStaging(t.Context()); err != nil {
		t.Fatalf("SweepStaging by a later process: %v", err)
	}
	wantVisible(t, env, map[string][]byte{"kept.gsm": content(1, 100)})
}

// journey does what the night does with files, and returns which of them it may call confirmed.
func journey(ctx context.Context, store *dest.Store, files map[string][]byte) (confirmed []string, err error) {
	place, err := store.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	names := sortedNames(files)
	found, err := place.Hash(ctx, names)
	if err != nil {
		return nil, err
	}
	batch, err := place.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer batch.Discard()
	for i, name := range names {
		switch {
		case found[i].Err == nil && found[i].Digest == Digest(files[name]):
			confirmed = append(confirmed, name)
			continue
		case !errors.Is(found[i].Err, fs.ErrNotExist):
			continue // a conflict, or nobody knows
		}
		file, err := batch.Stage(ctx, name, Digest(files[name]))
		if err != nil {
			continue
		}
		if _, err := file.Write(files[name]); err != nil {
			file.Drop()
			continue
		}
		if err := file.Commit(); err != nil {
			return confirmed, err
		}
	}
	if err := batch.Sync(ctx); err != nil {
		return confirmed, err
	}
	if err := batch.Verify(ctx); err != nil {
		return confirmed, err
	}
	results, err := batch.Publish(ctx)
	if err != nil {
		return confirmed, err
	}
	for _, r := range results {
		if r.Err == nil {
			confirmed = append(confirmed, r.Name)
		}
	}
	return confirmed, place.WriteOwn(ctx, dest.LastDelivered, []byte(strings.Join(confirmed, "\n")))
}

// crashFiles are few: every operation on them is a crash point. Theirs is somebody else's and in the way.
var crashFiles = map[string][]byte{"a/1.gsm": []byte("one"), "a/2.gsm": []byte("two"), "equal.gsm": []byte("equal"), "theirs.gsm": []byte("ours")}

const crashRight = 3 // of them can be confirmed

func plantCrash(t *testing.T, env Env) {
	env.Plant(t, "equal.gsm", crashFiles["equal.gsm"])
	env.Plant(t, "theirs.gsm", []byte("theirs"))
}

// checkCrash checks what must hold after any crash: what was called confirmed is there, nothing is half there, and
// what is somebody else's is untouched. Without confirmed, only the latter two.
func checkCrash(t *testing.T, env Env, when string, confirmed []string) {
	t.Helper()
	got := visible(t, env.Opener)
	for _, name := range confirmed {
		if !bytes.Equal(got[name], crashFiles[name]) {
			t.Errorf("%s: %q was confirmed and is %q", when, name, got[name])
		}
	}
	for name, data := range got {
		if want := crashFiles[name]; name == "theirs.gsm" && string(data) != "theirs" || name != "theirs.gsm" && !bytes.Equal(data, want) {
			t.Errorf("%s: %q holds %q", when, name, data)
		}
	}
}

// crashFaults are what can befall the journey at one operation.
var crashFaults = [...]struct {
	apply, crash bool
	when         string
}{
	{false, true, "killed before operation"},
	{true, true, "killed after operation"},
	{false, false, "failed operation"},
	{true, false, "done but failed operation"},
}

// testCrashPoints ends or disturbs the journey at every operation, before it and after it.
func testCrashPoints(t *testing.T, env Env) {
	every := max(env.CrashEvery, 1)
	for point, ended := 0, false; !ended; point += every {
		faults := crashFaults[:]
		if env.Slow {
			faults = faults[point/every%len(faults):][:1]
		}
		for _, fault := range faults {
			clearPlace(t, env)
			plantCrash(t, env)
			var mu sync.Mutex
			n, what := 0, ""
			hook := func(op Op, name string) (bool, error) {
				mu.Lock()
				defer mu.Unlock()
				n++
				switch {
				case n-1 == point:
					what = string(op) + " " + name
					return fault.apply, errFault
				case n-1 > point && fault.crash:
					return false, errFault
				}
				return true, nil
			}
			confirmed, err := journey(t.Context(), newStore(t, WithFaults(env.Opener, hook)), crashFiles)
			when := fault.when + " " + what
			if ended = n <= point; ended {
				if err != nil || len(confirmed) != crashRight {
					t.Errorf("undisturbed: confirmed %q, %v", confirmed, err)
				}
				break
			}
			checkCrash(t, env, when, confirmed)
			again, err := journey(t.Context(), newStore(t, env.NewProcess()), crashFiles)
			if err != nil || len(again) != crashRight {
				t.Errorf("%s: the next run confirmed %q, %v", when, again, err)
			}
			if env.CutPower != nil {
				env.CutPower(nil) // what was adopted must be as durable as what was written
			}
			checkCrash(t, env, when+", next run", again)
		}
	}
}

// clearPlace empties and initialises the place, through the driver alone.
func clearPlace(t *testing.T, env Env) {
	t.Helper()
	place := openPlace(t, initialised(t, env))
	label := fmt.Sprintf("cleared-%x", rand.Uint64())
	for name := range visible(t, env.Opener) {
		if _, err := place.MoveAside(t.Context(), name, label); err != nil {
			t.Fatal(err)
		}
	}
	if err := place.Close(); err != nil {
		t.Fatal(err)
	}
}

// testPowerCuts cuts the power at every operation, with other survivors each time.
func testPowerCuts(t *testing.T, env Env) {
	if env.CutPower == nil {
		t.Log("this place has no power that can be cut")
		return
	}
	const seed1, seed2 = 2026, 11
	random := rand.New(rand.NewPCG(seed1, seed2))
	t.Logf("seed %d, %d", seed1, seed2)
	survivors := []func() bool{nil, func() bool { return true }, func() bool { return random.IntN(2) == 0 }}
	initialised(t, env)
	for point, ended := 0, false; !ended; point++ {
		for i := range 3 * len(survivors) {
			survives := survivors[i%len(survivors)]
			clearPlace(t, env)
			plantCrash(t, env)
			var mu sync.Mutex
			n, what := 0, ""
			hook := func(op Op, name string) (bool, error) {
				mu.Lock()
				defer mu.Unlock()
				if n++; n-1 == point {
					what = string(op) + " " + name
					env.CutPower(survives)
				}
				return true, nil
			}
			confirmed, _ := journey(t.Context(), newStore(t, WithFaults(env.Opener, hook)), crashFiles)
			if ended = n <= point; ended {
				env.CutPower(survives)
				what = "the end"
			}
			checkCrash(t, env, "power cut at "+what, confirmed)
			again, err := journey(t.Context(), newStore(t, env.NewProcess()), crashFiles)
			if err != nil || len(again) != crashRight {
				t.Errorf("power cut at %s: the next run confirmed %q, %v", what, again, err)
			}
			env.CutPower(survives)
			checkCrash(t, env, "power cut at "+what+", next run", again)
		}
	}
}
