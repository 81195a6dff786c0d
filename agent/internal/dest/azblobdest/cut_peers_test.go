//go:build peers

package azblobdest_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/internal/peertest/azurite"
)

// TestCut breaks all connections 50 times while files are sent: what is confirmed is there, and what is there is whole.
func TestCut(t *testing.T) {
	t.Parallel()
	s := newSite(t, azurite.Start(t, azurite.Options{}))
	s.options.PartBytes = 64 << 10
	store := s.store(t)
	ends := make(chan struct{})
	var cutting sync.WaitGroup
	const mostCuts = 50
	cuts := 0
	cutting.Go(func() {
		for cuts < mostCuts {
			select {
			case <-ends:
				return
			case <-time.After(100 * time.Millisecond):
				s.proxy.Cut()
				cuts++
			}
		}
	})
	files, confirmed, pending := make(map[string][]byte), 0, make(map[string]bool)
	for i := range 60 {
		name := fmt.Sprintf("2026/%d.gsm", i)
		files[name], pending[name] = bytes.Repeat([]byte{byte(i), 7}, 500+i*2000), true
	}
	for range 100 {
		if len(pending) == 0 {
			break
		}
		place, err := store.Open(t.Context())
		if err != nil {
			continue
		}
		for name, r := range tryAll(t, place, files, pending) {
			if r.Err != nil {
				continue
			}
			if got := s.stored(t, name); !bytes.Equal(got, files[name]) {
				t.Errorf("%s is confirmed, and %d other bytes are there", name, len(got))
			}
			confirmed++
			delete(pending, name)
		}
		place.Close()
	}
	if len(pending) > 0 {
		close(ends)
	}
	cutting.Wait()
	t.Logf("%d cuts, %d of %d confirmed", cuts, confirmed, len(files))
	if len(pending) > 0 || cuts < mostCuts {
		t.Errorf("%d files are pending after %d cuts", len(pending), cuts)
	}
	for name, r := range uploadAll(t, open(t, store), files) {
		if r.Err != nil || !r.Adopted {
			t.Errorf("%s afterwards: %+v", name, r)
		}
	}
}

// tryAll takes the wanted files through a round; it returns nothing where the round ended with an error.
func tryAll(t *testing.T, place *dest.Place, files map[string][]byte, wanted map[string]bool) map[string]dest.Result {
	t.Helper()
	results := make(map[string]dest.Result)
	batch, err := place.Begin(t.Context())
	if err != nil {
		return results
	}
	defer batch.Discard()
	for name := range wanted {
		file, err := batch.Stage(t.Context(), name, desttest.Digest(files[name]))
		if err != nil {
			continue
		}
		if _, err := file.Write(files[name]); err != nil {
			file.Drop()
			continue
		}
		if err := file.Commit(); err != nil {
			return results
		}
	}
	if err := errors.Join(batch.Sync(t.Context()), batch.Verify(t.Context())); err != nil {
		return results
	}
	got, err := batch.Publish(t.Context())
	if err != nil {
		return results
	}
	for _, r := range got {
		results[r.Name] = r
	}
	return results
}
