package server

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/identity"
)

// TestCertificateKeeper lets years pass under a running server.
func TestCertificateKeeper(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	authority, err := identity.NewAuthority(at)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	dir := t.TempDir()
	k, err := newCertificateKeeper(authority, dir, []string{"localhost"}, slog.New(slog.NewTextHandler(&log, nil)), at)
	if err != nil {
		t.Fatal(err)
	}
	first := k.current().Leaf
	check := func(at time.Time) {
		t.Helper()
		if err := k.check(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	check(at.Add(identity.ServerLifetime / 2))
	if !k.current().Leaf.Equal(first) {
		t.Error("the certificate was renewed in the first half of its life")
	}
	late := at.Add(identity.ServerLifetime/2 + time.Hour)
	check(late)
	if end := k.current().Leaf.NotAfter; !end.Equal(late.Add(identity.ServerLifetime)) {
		t.Errorf("the certificate ends at %v, want it renewed", end)
	}
	if log.Len() != 0 {
		t.Errorf("the log says %q", &log)
	}
	issuerEnd := authority.Issuer().NotAfter
	for _, left := range []time.Duration{30 * 24 * time.Hour, 30*24*time.Hour - time.Hour, 28 * 24 * time.Hour} {
		check(issuerEnd.Add(-left))
	}
	if got := strings.Count(log.String(), "authority rotate"); got != 2 {
		t.Errorf("the log warns %d times on two days", got)
	}
	// What cannot be renewed is shown on.
	if err := os.Chmod(dir+"/"+identity.KeyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := k.check(t.Context(), issuerEnd); err == nil || k.current().Leaf == nil {
		t.Errorf("check with a key that cannot be read = %v", err)
	}
}
