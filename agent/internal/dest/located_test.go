package dest_test

import (
	"errors"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
)

// TestWhereabouts: a copy of a place under another name is seen to be elsewhere until it is taken into use there.
func TestWhereabouts(t *testing.T) {
	t.Parallel()
	disk := memdest.New()
	var store *dest.Store
	open := func(label string) *dest.Place {
		var err error
		store, err = dest.New(disk, label, desttest.Origin)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		place, err := store.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { place.Close() })
		return place
	}
	want := func(what string, place *dest.Place, want dest.Whereabouts) {
		t.Helper()
		if got, err := place.Whereabouts(t.Context()); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", what, got, err, want)
		}
	}
	old := open("/mnt/nas")
	want("where it was made", old, dest.Whereabouts{Known: true, Name: true, Volume: true})
	disk = disk.Snapshot()
	copied := open("/mnt/nas2")
	want("a copy", copied, dest.Whereabouts{Known: true, Volume: true})
	if err := copied.Locate(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("a copy in use", copied, dest.Whereabouts{Known: true, Name: true, Volume: true})
	want("the old place", old, dest.Whereabouts{Known: true, Name: true, Volume: true})
	disk.SetOwn("located", []byte("wolkvox-backup located v1\nplace \"/mnt/nas2\"\nbytes 7\n"))
	want("another volume", copied, dest.Whereabouts{Known: true, Name: true})
	disk.SetOwn("located", nil)
	want("nobody said", copied, dest.Whereabouts{})
	if moving, err := copied.Moving(t.Context()); err != nil || moving {
		t.Errorf("Moving of a place that was only made: %v, %v", moving, err)
	}
	disk.SetOwn("marker", nil)
	if _, err := store.InitMoving(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false, false} {
		if moving, err := copied.Moving(t.Context()); err != nil || moving != want {
			t.Errorf("Moving = %v, %v, want %v", moving, err, want)
		}
		if err := copied.Settled(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := copied.Unmark(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := copied.CheckMarker(t.Context()); !errors.Is(err, dest.ErrNoMarker) {
		t.Errorf("a place that was given up: %v", err)
	}
}
