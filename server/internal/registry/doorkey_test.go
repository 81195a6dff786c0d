package registry

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// A tenant has its keys and no others, no more than it may have, and none to be let in by once it was retired.
func TestDoorKeys(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.November, 22, 3, 0, 0, 0, time.UTC)
	r := openNew(t)
	for _, tenant := range []string{"acme", "globex"} {
		check(t, r.CreateTenant(Tenant{Name: tenant, TimeZone: "UTC"}))
	}
	key := func(tenant string, i int) DoorKey {
		return DoorKey{Tenant: tenant, Fingerprint: fmt.Sprintf("SHA256:%03d", i), AddedAt: at, End: at.Add(time.Hour)}
	}
	for i := range MaxDoorKeys {
		check(t, r.AddDoorKey(key("acme", i)))
	}
	check(t, r.AddDoorKey(key("globex", 0)))
	for what, c := range map[string]struct {
		key  DoorKey
		want error
	}{
		"one too many": {key("acme", MaxDoorKeys), ErrTooManyKeys}, "the same again": {key("acme", 3), ErrExists}, "of nobody": {key("nobody", 1), ErrNotFound},
	} {
		if err := r.AddDoorKey(c.key); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	if all, err := r.DoorKeys("acme"); err != nil || len(all) != MaxDoorKeys {
		t.Errorf("%d keys, %v", len(all), err)
	}
	if all, err := r.DoorKeys(""); err != nil || len(all) != MaxDoorKeys+1 {
		t.Errorf("%d keys in all, %v", len(all), err)
	}
	removed, err := r.RemoveDoorKey("acme", "SHA256:000")
	if err != nil || removed != key("acme", 0) {
		t.Errorf("removed %+v, %v", removed, err)
	}
	if _, err := r.RemoveDoorKey("acme", "SHA256:000"); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed again: %v", err)
	}
	if _, err := r.DoorKey("acme", "SHA256:000"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a key that was removed: %v", err)
	}
	if got, err := r.DoorKey("globex", "SHA256:000"); err != nil || got != key("globex", 0) {
		t.Errorf("the other tenant's: %+v, %v", got, err)
	}
	check(t, r.EndTenant("globex", at))
	if _, err := r.DoorKey("globex", "SHA256:000"); !errors.Is(err, ErrEnded) {
		t.Errorf("a key of a tenant that was retired: %v", err)
	}
	if err := r.AddDoorKey(key("globex", 1)); !errors.Is(err, ErrEnded) {
		t.Errorf("a new key of a tenant that was retired: %v", err)
	}
}
