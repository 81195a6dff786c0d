package server

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/registry"
)

// All certificates of a tenant are revoked, once, and nobody else's.
func TestRevokeTenant(t *testing.T) {
	t.Parallel()
	reg, err := registry.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reg.Close() })
	at := time.Now()
	for _, tenant := range []string{"acme", "other"} {
		if err := reg.CreateTenant(registry.Tenant{Name: tenant, TimeZone: "UTC"}); err != nil {
			t.Fatal(err)
		}
		c := registry.Credential{Role: identity.Role{Kind: identity.KindAuditor, Tenant: tenant, Name: "maria"}, Serial: "0" + tenant, IssuedAt: at, End: at.Add(time.Hour), IssuedBy: "local"}
		if err := reg.CreateCredential(c, at); err != nil {
			t.Fatal(err)
		}
	}
	r := revoker{reg, &authz.Guard{}}
	got, err := r.RevokeTenant(context.Background(), "acme", at)
	if want := []string{"wolkvox://role/auditor/acme/maria"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("revoked %v, %v, want %v", got, err, want)
	}
	if got, err := r.RevokeTenant(context.Background(), "acme", at); err != nil || len(got) > 0 {
		t.Errorf("again: %v, %v", got, err)
	}
	for tenant, want := range map[string]bool{"acme": true, "other": false} {
		all, err := reg.Credentials(tenant)
		if err != nil || len(all) != 1 || (all[0].RevokedAt != nil) != want {
			t.Errorf("credentials of %s: %+v, %v", tenant, all, err)
		}
	}
}
