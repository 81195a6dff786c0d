// Package desttest is the executable form of the contract in package dest: [Run] is a conformance suite that every
// driver's tests call, and [WithFaults] lets single operations of any driver fail. It does not test what only one
// kind of place can do; that is in the driver's own tests.
package desttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// Env is one empty place that is not initialised, and what the suite can do to it behind the driver's back.
type Env struct {
	Opener     dest.Opener
	NewProcess func() dest.Opener                           // opens the same place, as a later process would
	Plant      func(t *testing.T, name string, data []byte) // somebody else's file, replacing what is there
	PlantOdd   func(t *testing.T, name string)              // something that is not a regular file; nil where there is no such thing
	FlipStaged func(t *testing.T)                           // flips a bit in every staged file that is not empty; nil where nothing is staged
	Unplug     func(t *testing.T) (plug func())             // makes the place unreachable
	CutPower   func(survives func() bool)                   // nil where the place cannot; see memdest.Disk.CutPower
	Slow       bool                                         // syncs take long: each crash point gets one kind of fault, in turn, not all of them
	CrashEvery int                                          // how many operations lie between two crash points; 1 where 0, more, also with fewer files elsewhere, where each operation is a connection or a process
	NoSpace    bool                                         // the place cannot tell how much it can still take
	Uploads    bool                                         // its stage is a dest.Uploader, and names are not a tree of folders
}

// Origin is the log that the suite's places belong to.
const Origin = "wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff"

// Run runs the conformance suite; open makes a new Env for each test.
func Run(t *testing.T, open func(t *testing.T) Env) {
	tests := []struct {
		name string
		run  func(t *testing.T, env Env)
	}{
		{"Marker", testMarker},
		{"Unreachable", testUnreachable},
		{"OwnFiles", testOwnFiles},
		{"PublishManyKindsOfFiles", testPublish},
		{"ConflictIsLeftAlone", testConflict},
		{"EqualIsAdopted", testAdopt},
		{"Put", testPut},
		{"HostileNames", testHostileNames},
		{"MoveAside", testMoveAside},
		{"WrongContents", testWrongContents},
		{"ResumeAcrossRounds", testResume},
		{"Concurrent", testConcurrent},
		{"Cancelled", testCancelled},
		{"DamageBetweenSyncAndReadBack", testDamage},
		{"FailedSyncBreaksTheBatch", testFailedSync},
		{"LostWrites", testLostWrites},
		{"Sweep", testSweep},
		{"Uploads", testUploads},
		{"Space", testSpace},
		{"CrashPoints", testCrashPoints},
		{"PowerCuts", testPowerCuts},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := open(t)
			checkKind(t, env)
			test.run(t, env)
		})
	}
}

func newStore(t *testing.T, opener dest.Opener) *dest.Store {
	t.Helper()
	store, err := dest.New(opener, "the place under test", Origin)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return store
}

// initialised returns a store on an initialised place.
func initialised(t *testing.T, env Env) *dest.Store {
	t.Helper()
	store := newStore(t, env.Opener)
	if _, err := store.Init(t.Context()); err != nil {
		t.Fatalf("Init: %v", err)
	}
	return store
}

func openPlace(t *testing.T, store *dest.Store) *dest.Place {
	t.Helper()
	place, err := store.Open(t.Context())
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { place.Close() })
	return place
}

func begin(t *testing.T, place *dest.Place) *dest.Batch {
	t.Helper()
	batch, err := place.Begin(t.Context())
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	t.Cleanup(func() { batch.Discard() })
	return batch
}

// Digest returns the digest of data.
func Digest(data []byte) backup.Digest {
	return backup.Digest{SHA256: sha256.Sum256(data), SizeBytes: int64(len(data))}
}

// stage stages and commits one file.
func stage(t *testing.T, batch *dest.Batch, name string, data []byte) {
	t.Helper()
	file, err := batch.Stage(t.Context(), name, Digest(data))
	if err != nil {
		t.Fatalf("Stage(%q): %v", name, err)
	}
	if _, err := file.Write(data); err != nil {
		t.Fatalf("Write(%q): %v", name, err)
	}
	if err := file.Commit(); err != nil {
		t.Fatalf("Commit(%q): %v", name, err)
	}
}

// finish ends a round and returns its results by name.
func finish(t *testing.T, batch *dest.Batch) map[string]dest.Result {
	t.Helper()
	if err := batch.Sync(t.Context()); err != nil {
		t.Fatalf("Sync: %v", err)
	}
	return publish(t, batch)
}

func publish(t *testing.T, batch *dest.Batch) map[string]dest.Result {
	t.Helper()
	if err := batch.Verify(t.Context()); err != nil {
		t.Fatalf("Verify: %v", err)
	}
	results, err := batch.Publish(t.Context())
	if err != nil {
		t.Fatalf("Publish: %v", err)
	}
	byName := make(map[string]dest.Result)
	for _, r := range results {
		byName[r.Name] = r
	}
	return byName
}

// visible reads the whole place by its own listing.
func visible(t *testing.T, opener dest.Opener) map[string][]byte {
	t.Helper()
	driver, err := opener.Open(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer driver.Close()
	files := make(map[string][]byte)
	for file, err := range driver.(dest.Lister).List(context.WithoutCancel(t.Context())) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if !file.Regular {
			continue
		}
		r, err := driver.Open(context.WithoutCancel(t.Context()), file.Name)
		if err != nil {
			t.Fatalf("open %q: %v", file.Name, err)
		}
		data, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			t.Fatalf("read %q: %v", file.Name, err)
		}
		if int64(len(data)) != file.SizeBytes {
			t.Errorf("%q has %d bytes, listed with %d", file.Name, len(data), file.SizeBytes)
		}
		files[file.Name] = data
	}
	return files
}

// wantVisible compares all visible files with want.
func wantVisible(t *testing.T, env Env, want map[string][]byte) {
	t.Helper()
	got := visible(t, env.Opener)
	for name, data := range want {
		if have, ok := got[name]; !ok {
			t.Errorf("%q is not visible", name)
		} else if !bytes.Equal(have, data) {
			t.Errorf("%q has %d other bytes than the %d it should have", name, len(have), len(data))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%q is visible and should not be", name)
		}
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// content returns n bytes that depend on seed.
func content(seed uint64, n int) []byte {
	data := make([]byte, n)
	source := rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, seed)))
	source.Read(data) // never fails
	return data
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// isAbsent reports that err says truly absent, and not unreachable.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) && !errors.Is(err, dest.ErrUnreachable)
}
