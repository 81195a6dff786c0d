package server_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server"
	"github.com/wolkvox/backup/server/internal/registry"
)

func TestInit(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	err := filepath.WalkDir(f.path("state"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %04o; others than its owner may use it", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	before := read(t, f.path("state", "identity", "authority.pem"))
	if code, _, errs := f.do(t, "init", "--config", f.path("server.yaml")); code != 1 || !strings.Contains(errs, "already") {
		t.Errorf("init again: status %d, stderr %q", code, errs)
	}
	if read(t, f.path("state", "identity", "authority.pem")) != before {
		t.Error("init again changed the authority")
	}
}

func TestInitGoesOnWhereItWasInterrupted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		lost string
		code int
	}{
		{"operator.pem", 0},                // the last step was not reached
		{"identity/tls.crt", 1},            // all was done; serving issues it again
		{"identity/authority.pem", 1},      // lost: nothing may take its place
		{"operator.pem identity/x", 0},     //
		{"operator.pem identity/tls.*", 0}, //
		{"operator.pem identity/authority.pem", 1},
		{"operator.pem identity/root-*", 0}, // it was moved away
	} {
		f := newFixture(t)
		for pattern := range strings.FieldsSeq(c.lost) {
			paths, err := filepath.Glob(f.path("state", pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range paths {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
		}
		authority, _ := os.ReadFile(f.path("state", "identity", "authority.pem"))
		if code, _, errs := f.do(t, "init", "--config", f.path("server.yaml")); code != c.code {
			t.Errorf("init without %s: status %d, want %d, stderr %q", c.lost, code, c.code, errs)
		}
		if again, _ := os.ReadFile(f.path("state", "identity", "authority.pem")); string(again) != string(authority) {
			t.Errorf("init without %s made another authority", c.lost)
		}
	}
}

func TestServeRefuses(t *testing.T) {
	t.Parallel()
	taken := listenElsewhere(t)
	for name, c := range map[string]struct {
		prepare func(f *fixture)
		wants   string
	}{
		"a typo in the configuration": {func(f *fixture) { f.configure(t, "limit: {streams: 3}\n") }, "limit"},
		"no init":                     {func(f *fixture) { os.RemoveAll(f.path("state")) }, "init"},
		"a key that others can read":  {func(f *fixture) { os.Chmod(f.path("state", "identity", "authority.pem"), 0o640) }, "chmod"},
		"a port that is taken": {func(f *fixture) {
			text := read(t, f.path("server.yaml"))
			text = strings.Replace(text, "127.0.0.1:0", taken.Addr().String(), 1)
			if err := os.WriteFile(f.path("server.yaml"), []byte(text), 0o600); err != nil {
				t.Error(err)
			}
		}, "in use"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			c.prepare(f)
			code, _, errs := f.do(t, "serve", "--config", f.path("server.yaml"))
			if code != 1 || !strings.Contains(errs, c.wants) {
				t.Errorf("serve: status %d, stderr %q, want %q", code, errs, c.wants)
			}
		})
	}
}

func TestOneServerAtATime(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	if err := server.Run(t.Context(), f.load(t), silent()); !errors.Is(err, registry.ErrInUse) {
		t.Errorf("a second server on the same state = %v, want %v", err, registry.ErrInUse)
	}
	f.stop()
	if _, err := os.Stat(f.path("state", "address")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the address of a server that has stopped: %v, want it gone", err)
	}
	f.serve(t)
}

func TestStopEndsWatches(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	f.must(t, "tenant add acme --time-zone UTC")
	f.must(t, "destination add acme nas --kind s3")
	agent, origin := f.enroll(t, "acme", "nas")
	conn := f.as(t, agent)
	health, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("health = %v, %v", health, err)
	}
	watch, err := backupv1.NewLedgerServiceClient(conn).WatchLedger(t.Context(), &backupv1.WatchLedgerRequest{
		Origin: string(origin), ProcessId: make([]byte, 16), Position: &backupv1.LogPosition{},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // opened, and the log so far
		if _, err := watch.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	f.stop()
	if _, err := watch.Recv(); status.Code(err) != codes.Unavailable || wire.Reason(err) != wire.ReasonShuttingDown {
		t.Errorf("the watch ended with %v, want UNAVAILABLE %s", err, wire.ReasonShuttingDown)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
