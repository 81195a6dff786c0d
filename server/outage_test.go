package server_test

import (
	"testing"
	"time"

	"github.com/wolkvox/backup/server/internal/registry"
)

// A server that was not there for a while says so by itself once it is there again, and decides nothing.
func TestOutageIsProposed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	f.stop()
	f.inRegistry(t, func(r *registry.Registry) error {
		_, err := r.NotePresence(time.Now().Add(-time.Hour))
		return err
	})
	f.serve(t)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if all, _ := f.must(t, "outages")["outages"].([]any); len(all) == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no outage is listed")
		}
	}
}
