package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wolkvox/backup/server"
)

// copied returns a fixture with a copy of the state.
func (f *fixture) copied(t *testing.T) *fixture {
	t.Helper()
	to := &fixture{dir: t.TempDir()}
	if err := os.CopyFS(to.path("state"), os.DirFS(f.path("state"))); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(to.path("state"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() { // the copy's modes are others
			err = os.Chmod(path, 0o600)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	to.configure(t, "")
	return to
}

// run runs the server until stop is called, or it ends by itself; stop returns why it ended.
func (f *fixture) run(t *testing.T) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, f.load(t), slog.New(slog.DiscardHandler)) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { _ = stop() })
	for {
		if text, err := os.ReadFile(f.path("state", "address")); err == nil {
			f.address = strings.TrimSpace(string(text))
			return stop
		}
		select {
		case err := <-done:
			done <- err
			return stop
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// damage removes, cuts or zeroes a file.
func damage(t *testing.T, path, how string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	switch how {
	case "removed":
		err = os.Remove(path)
	case "cut":
		err = os.WriteFile(path, content[:len(content)/2], 0o600)
	case "zeroed":
		err = os.WriteFile(path, make([]byte, len(content)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Whatever file of the server's ledgers is removed, cut or zeroed, the server starts: either nothing that was stored is
// missing, or the log recovers. Where damage shows only when something is read, the server ends, and starts so.
func TestDamagedLedgersAreSoundOrRecover(t *testing.T) {
	t.Parallel()
	whole := newFixture(t)
	whole.serve(t)
	files := map[string]string{}
	for i := range 1500 { // so many that their lines lie in the value log
		files[fmt.Sprintf("%04d-%s.txt", i, strings.Repeat("x", 40))] = ""
	}
	whole.must(t, "tenant add acme --time-zone UTC --quiet 0s")
	whole.must(t, "source add acme calls --directory "+recordings(t, files))
	whole.must(t, "destination add acme nas --kind rsync")
	whole.enroll(t, "acme", "nas")
	whole.must(t, "seal acme --wait")
	whole.stop()
	whole.serve(t)
	whole.must(t, "destination add acme cloud --kind s3")
	whole.stop()
	names, err := os.ReadDir(whole.path("state", "ledgers"))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	outcomes := map[string]int{}
	t.Run("files", func(t *testing.T) {
		for _, name := range names {
			for _, how := range []string{"removed", "cut", "zeroed"} {
				t.Run(name.Name()+" "+how, func(t *testing.T) {
					t.Parallel()
					f := whole.copied(t)
					damage(t, f.path("state", "ledgers", name.Name()), how)
					outcome := f.soundOrRecovering(t)
					mu.Lock()
					defer mu.Unlock()
					outcomes[outcome]++
				})
			}
		}
	})
	t.Log(outcomes)
	if outcomes["sound"] == 0 || outcomes["set aside"] == 0 {
		t.Errorf("the outcomes are %v; some files matter and some do not", outcomes)
	}
}

// soundOrRecovering starts the server until it stays, and has it read all that it holds.
func (f *fixture) soundOrRecovering(t *testing.T) (outcome string) {
	t.Helper()
	for range 3 {
		stop := f.run(t)
		code, out, errs := f.do(t, "destination", "list", "--tenant", "acme", "--output", "json")
		items, _, _ := f.do(t, "items", "acme", "nas", "--output", "json")
		report, verified, _ := f.do(t, "ledger", "verify", "acme", "nas", "--output", "json")
		if items != 0 || report != 0 { // it read damage, and is ending
			time.Sleep(200 * time.Millisecond)
		}
		err := stop()
		f.address = ""
		os.Remove(f.path("state", "address"))
		if err != nil {
			continue // as the service manager would start it again
		}
		recovering := 0
		for _, rec := range f.recoveries(t) {
			if rec.Recovering {
				recovering++
			}
		}
		aside := len(f.names(t, "ledgers.set-aside"))
		switch {
		case code != 0:
			t.Fatalf("the server does not answer: %q", errs)
		case aside > 0 && recovering == 2:
			return "set aside"
		case aside == 0 && recovering > 0:
			return "went back"
		case aside == 0 && items == 0 && report == 0 && strings.Contains(verified, "\"item_count\": 1500"):
			return "sound"
		}
		t.Fatalf("%d set aside, %d logs recover, items: %d, verify: %d, %s, destinations: %s", aside, recovering, items, report, verified, out)
	}
	t.Fatal("the server does not stay")
	return ""
}

// A store that another process has open, or that a newer version wrote, is never set aside.
func TestOnlyDamageIsSetAside(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	f.stop()
	if err := os.WriteFile(f.path("state", "ledgers", "store.format"), []byte("wolkvox-backup store 99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadDir(f.path("state"))
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Run(t.Context(), f.load(t), silent()); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("Run with a newer store = %v", err)
	}
	after, err := os.ReadDir(f.path("state"))
	if err != nil || len(after) != len(before) {
		t.Errorf("the state directory has %v, %v, had %v", after, err, before)
	}
	if text, err := os.ReadFile(filepath.Join(f.path("state", "ledgers"), "store.format")); err != nil || !bytes.Contains(text, []byte("99")) {
		t.Errorf("the ledgers were replaced: %q, %v", text, err)
	}
}
