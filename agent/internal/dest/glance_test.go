package dest_test

import (
	"context"
	"errors"
	"io/fs"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
)

// glancing is a disk that says of all names that nothing is under them.
type glancing struct{ *memdest.Disk }

type glancingHandle struct {
	dest.Driver
	dest.Keeper
	dest.Stager
}

func (g glancing) Open(ctx context.Context) (dest.Driver, error) {
	driver, err := g.Disk.Open(ctx)
	if err != nil {
		return nil, err
	}
	return &glancingHandle{driver, driver.(dest.Keeper), driver.(dest.Stager)}, nil
}

func (h *glancingHandle) Glance(_ context.Context, names []string) ([]bool, error) {
	absent := make([]bool, len(names))
	for i := range absent {
		absent[i] = true
	}
	return absent, nil
}

// TestGlanceIsAHint has a driver call absent what is there: it is found all the same when the name turns out to be taken.
func TestGlanceIsAHint(t *testing.T) {
	t.Parallel()
	disk := memdest.New()
	store, err := dest.New(glancing{disk}, "memory", "wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	disk.Plant("equal.gsm", []byte("a recording"))
	disk.Plant("other.gsm", []byte("another one"))
	place, err := store.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer place.Close()
	names := []string{"equal.gsm", "other.gsm", "absent.gsm", "../bad"}
	found, err := place.HashExpected(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range found {
		if f.Name != names[i] || errors.Is(f.Err, fs.ErrNotExist) != (i < 3) || errors.Is(f.Err, dest.ErrName) != (i == 3) {
			t.Errorf("%s is found as %+v", names[i], f)
		}
	}
	if found, err := place.Hash(t.Context(), names[:3]); err != nil || found[0].Err != nil || !errors.Is(found[2].Err, fs.ErrNotExist) {
		t.Errorf("looked at one by one they are %+v, %v", found, err)
	}
	batch, err := place.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Discard()
	data := []byte("a recording")
	for _, name := range names[:3] {
		file, err := batch.Stage(t.Context(), name, desttest.Digest(data))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := file.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(batch.Sync(t.Context()), batch.Verify(t.Context())); err != nil {
		t.Fatal(err)
	}
	results, err := batch.Publish(t.Context())
	if err != nil || len(results) != 3 {
		t.Fatal(results, err)
	}
	for _, r := range results {
		if (r.Name == "equal.gsm") != r.Adopted || (r.Name == "other.gsm") != errors.Is(r.Err, dest.ErrConflict) || r.Name != "other.gsm" && r.Err != nil {
			t.Errorf("%+v", r)
		}
	}
	if kept, _ := disk.Contents("other.gsm"); string(kept) != "another one" {
		t.Errorf("what was there is %q now", kept)
	}
}
