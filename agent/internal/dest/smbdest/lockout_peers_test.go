//go:build peers

package smbdest_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/smbdest"
	"github.com/wolkvox/backup/internal/peertest/samba"
)

// TestPasswordChangedInBatch: a password that was changed after the first session was made is refused to the second one
// once, not once for each file that is published.
func TestPasswordChangedInBatch(t *testing.T) {
	t.Parallel()
	const files = 20
	server := samba.Start(t, samba.Options{})
	store := initialised(t, smbdest.New(options(server, "")))
	line := startProxy(t, server.Address)
	o := options(server, "")
	o.Address = line.listener.Addr().String()
	opened, err := dest.New(smbdest.New(o), "the same place", store.Origin())
	if err != nil {
		t.Fatal(err)
	}
	place := openPlace(t, opened)
	batch, err := place.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Discard()
	for n := range files {
		name := fmt.Sprintf("2026/%d.gsm", n)
		if err := stageOpen(t, batch, name, []byte(name)).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(batch.Sync(t.Context()), batch.Verify(t.Context())); err != nil {
		t.Fatal(err)
	}
	server.SetPassword(t, "another one")
	results, err := batch.Publish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		wantCode(t, r.Name, r.Err, dest.SpaceNTStatus, "STATUS_LOGON_FAILURE")
	}
	line.mu.Lock()
	sessions := len(line.conns) / 2
	line.mu.Unlock()
	if len(results) != files || sessions != 2 {
		t.Errorf("%d of %d files were judged by %d sessions, want one that works and one that is refused", len(results), files, sessions)
	}
}
