//go:build peers

package rsyncdest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/rsyncdest"
	"github.com/wolkvox/backup/internal/peertest/rsyncd"
)

// TestServerKilledAndRestarted: what was on its way is not confirmed and not half visible; the same handle goes on afterwards.
func TestServerKilledAndRestarted(t *testing.T) {
	t.Parallel()
	s := rsyncd.Start(t, rsyncd.Options{})
	big := map[string][]byte{}
	for i := range 20 {
		big[fmt.Sprintf("2026/%d.wav", i)] = random(1 << 20)
	}
	o := toDaemon(t, s)
	place := openPlace(t, rsyncdest.New(o))
	line := newLine(t, s.Address)
	slow := toDaemon(t, s)
	slow.Address = line.address
	through := openPlace(t, rsyncdest.New(slow))
	line.onBytes(10<<20, s.Kill)
	if results, err := publish(t, through, big); err == nil {
		for name, r := range results {
			if r.Err == nil {
				t.Errorf("%s was confirmed by a killed daemon", name)
			}
		}
	} else if !errors.Is(err, dest.ErrUnreachable) {
		t.Errorf("publish = %v, want ErrUnreachable", err)
	}
	seen := wantWhole(t, s.Dir, big)
	if _, err := place.Hash(t.Context(), []string{"2026/0.wav"}); !errors.Is(err, dest.ErrUnreachable) {
		t.Errorf("Hash while the daemon is dead = %v, want ErrUnreachable", err)
	}
	line.onBytes(1<<60, func() {})
	s.Restart(t)
	results, err := publish(t, place, big)
	adopted := 0
	for name, r := range results {
		if r.Err != nil {
			t.Errorf("%s: %v", name, r.Err)
		}
		if r.Adopted {
			adopted++
		}
	}
	if err != nil || len(results) != len(big) || adopted != seen {
		t.Errorf("after the restart: %d results, %d adopted of %d, %v", len(results), adopted, seen, err)
	}
	later := openPlace(t, rsyncdest.New(o))
	if err := later.SweepStaging(t.Context()); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(s.Dir, ".wolkvox/staging/*/.*"))
	if err != nil || len(left) > 0 {
		t.Errorf("after the sweep staging still holds %q, %v", left, err)
	}
}

// TestConnectionCut cuts the connection to the daemon at 50 random places.
func TestConnectionCut(t *testing.T) {
	t.Parallel()
	s := rsyncd.Start(t, rsyncd.Options{})
	line := newLine(t, s.Address)
	o := toDaemon(t, s)
	o.Address = line.address
	opener := rsyncdest.New(o)
	ctx := context.WithoutCancel(t.Context())
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	source := rand.New(rand.NewPCG(seed, 0))
	files := make(map[string][]byte)
	openPlace(t, opener)
	whole, cut := 0, 0
	for round := range 50 {
		batch := make(map[string][]byte)
		for i := range 4 {
			name := fmt.Sprintf("%02d/%d.gsm", round, i)
			batch[name] = random(20_000 + i*90_000)
			files[name] = batch[name]
		}
		at := source.Int64N(700_000)
		if round%2 == 0 {
			at = source.Int64N(6000)
		}
		line.onBytes(at, line.cut)
		confirmed, err := send(ctx, opener, batch)
		if err != nil {
			cut++
			if errors.Is(err, fs.ErrNotExist) {
				t.Errorf("round %d, cut at byte %d: %v counts as absent", round, at, err)
			}
		}
		for _, name := range confirmed {
			whole++
			if data, err := os.ReadFile(filepath.Join(s.Dir, name)); err != nil || !bytes.Equal(data, batch[name]) {
				t.Errorf("round %d, cut at byte %d: %q was confirmed and has %d bytes, %v", round, at, name, len(data), err)
			}
		}
	}
	line.onBytes(1<<60, func() {})
	seen := wantWhole(t, s.Dir, files)
	t.Logf("%d rounds were cut, %d files confirmed, %d visible of %d", cut, whole, seen, len(files))
	if cut == 0 || whole > seen {
		t.Errorf("%d rounds were cut, %d files confirmed, %d visible", cut, whole, seen)
	}
	results, err := publish(t, openPlace(t, opener), files)
	for _, r := range results {
		if r.Err != nil {
			t.Error(r.Err)
		}
	}
	if err != nil || wantWhole(t, s.Dir, files) != len(files) {
		t.Errorf("the next night: %v", err)
	}
}

// send opens a handle, publishes files and lets them be checked, and returns those that may be confirmed and the first error.
func send(ctx context.Context, opener dest.Opener, files map[string][]byte) (confirmed []string, err error) {
	driver, err := opener.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer driver.Close()
	stage, err := driver.(dest.Stager).NewStage(ctx)
	if err != nil {
		return nil, err
	}
	defer stage.Discard()
	var moves []dest.Move
	for name, data := range files {
		move := dest.Move{Key: fmt.Sprintf("k-%d", len(moves)), Name: name}
		file, err := stage.Create(ctx, move.Key, int64(len(data)))
		if err != nil {
			return nil, err
		}
		if _, err := file.Write(data); err != nil {
			return nil, err
		}
		if err := file.Close(); err != nil {
			return nil, err
		}
		moves = append(moves, move)
	}
	var made []dest.Move
	for i, failed := range stage.Publish(ctx, moves) {
		if failed == nil {
			made = append(made, moves[i])
		} else if err == nil {
			err = failed
		}
	}
	if err := stage.SyncNames(ctx); err != nil {
		return nil, err
	}
	checked, checkErr := stage.(dest.Checker).Check(ctx, made)
	for i, c := range checked {
		if c.Err == nil {
			confirmed = append(confirmed, made[i].Name)
		}
	}
	return confirmed, errors.Join(err, checkErr)
}
