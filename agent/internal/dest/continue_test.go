package dest_test

import (
	"errors"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
)

// TestContinue takes over a place of the log that this one continues, and no other; what stood beside the marker is kept
// under other names. It may be interrupted anywhere.
func TestContinue(t *testing.T) {
	t.Parallel()
	const origin = "wolkvox.com/backup/acme/nas/"
	const older, newer = origin + "00000000000000000000000000000001", origin + "00000000000000000000000000000002"
	begin := func() *memdest.Disk {
		disk := memdest.New()
		first, err := dest.New(disk, "memory", older)
		if err == nil {
			_, err = first.Init(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		disk.SetOwn("head", []byte("a head"))
		disk.SetOwn("last-delivered", []byte("a hash"))
		return disk
	}
	continued := func(opener dest.Opener, previous string) *dest.Store {
		store, err := dest.New(opener, "memory", newer)
		if err != nil {
			t.Fatal(err)
		}
		store.Continue(func() string { return previous })
		return store
	}
	for _, previous := range []string{"", origin + "00000000000000000000000000000003"} {
		disk := begin()
		store := continued(disk, previous)
		if err := store.CheckMarker(t.Context()); !errors.Is(err, dest.ErrForeignMarker) {
			t.Errorf("continuing %q it opens with %v, want ErrForeignMarker", previous, err)
		}
		if _, err := store.Init(t.Context()); !errors.Is(err, dest.ErrForeignMarker) {
			t.Errorf("continuing %q Init = %v, want ErrForeignMarker", previous, err)
		}
		if string(disk.Files()[".wolkvox/head"]) != "a head" {
			t.Error("the head is gone")
		}
	}
	taken := func(what string, disk *memdest.Disk) {
		t.Helper()
		files := disk.Files()
		for name, want := range map[string]string{
			"head." + older[len(origin):]: "a head", "last-delivered." + older[len(origin):]: "a hash", "head": "", "last-delivered": "",
		} {
			if got := string(files[".wolkvox/"+name]); got != want {
				t.Errorf("%s: %s holds %q, want %q", what, name, got, want)
			}
		}
		if marker, err := dest.ParseMarker(files[".wolkvox/marker"]); err != nil || marker.Origin != newer {
			t.Errorf("%s: the marker is %v, %v", what, marker, err)
		}
	}
	disk := begin()
	if err := continued(disk, older).CheckMarker(t.Context()); err != nil {
		t.Error(err)
	}
	taken("opened", disk)
	disk = begin()
	if marker, err := continued(disk, older).Init(t.Context()); err != nil || marker.Origin != newer {
		t.Errorf("Init = %v, %v", marker, err)
	}
	taken("initialised", disk)
	for at, reached := 1, true; reached; at++ {
		for _, done := range []bool{true, false} {
			disk := begin()
			operations := 0
			cut := desttest.WithFaults(disk, func(desttest.Op, string) (bool, error) {
				if operations++; operations == at {
					return done, errors.New("cut")
				}
				return true, nil
			})
			_ = continued(cut, older).CheckMarker(t.Context())
			reached = operations >= at
			if err := continued(disk, older).CheckMarker(t.Context()); err != nil {
				t.Errorf("after a cut at operation %d: %v", at, err)
			}
			taken("after a cut", disk)
		}
	}
}
