//go:build linux && peers

package wolkvoxdest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/wolkvoxdest"
	"github.com/wolkvox/backup/agent/internal/enroll"
	"github.com/wolkvox/backup/internal/peertest/wolkvoxd"
)

func dial(_ context.Context, address string, config *tls.Config) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.2, MaxDelay: 100 * time.Millisecond}, MinConnectTimeout: 5 * time.Second}))
}

// options enrols an agent and returns what reaches its destination.
func options(t *testing.T, s *wolkvoxd.Server) wolkvoxdest.Options {
	t.Helper()
	state := filepath.Join(t.TempDir(), "agent")
	_, err := enroll.Enroll(t.Context(), enroll.Options{
		StateDir: state, Join: s.Join(t), HostName: "test", Version: "test", Platform: "linux/amd64", At: time.Now(), Dial: dial,
	})
	if err != nil {
		t.Fatal(err)
	}
	who, err := enroll.Load(state)
	if err != nil {
		t.Fatal(err)
	}
	config, err := who.TLSConfig(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dial(t.Context(), who.Server, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	origin := who.Destinations[wolkvoxd.Destination].Origin
	return wolkvoxdest.Options{Conn: conn, Origin: string(origin), Tenant: origin.Tenant(), Destination: origin.Destination()}
}

func newEnv(t *testing.T, readback bool) desttest.Env {
	t.Helper()
	s := wolkvoxd.Start(t)
	o := options(t, s)
	o.Readback = readback
	plant := func(t *testing.T, name string) string {
		t.Helper()
		path := filepath.Join(s.Dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.RemoveAll(path)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return desttest.Env{
		Opener:     wolkvoxdest.New(o),
		NewProcess: func() dest.Opener { return wolkvoxdest.New(o) },
		Plant: func(t *testing.T, name string, data []byte) {
			if err := os.WriteFile(plant(t, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		PlantOdd: func(t *testing.T, name string) {
			if err := os.Symlink("/etc/passwd", plant(t, name)); err != nil {
				t.Fatal(err)
			}
		},
		Unplug: func(t *testing.T) func() {
			s.Kill()
			return func() { s.Restart(t) }
		},
		Uploads: true, CrashEvery: 7,
	}
}

// TestConformance runs the suite of all drivers against the built server.
func TestConformance(t *testing.T) {
	t.Parallel()
	desttest.Run(t, func(t *testing.T) desttest.Env { return newEnv(t, false) })
}

// The method is the service's only where it was seen to refuse a wrong digest, and nobody asked for more.
func TestMethods(t *testing.T) {
	t.Parallel()
	for readback, want := range map[bool]backup.Method{false: backup.ProviderSHA256, true: backup.ReadbackCached} {
		env := newEnv(t, readback)
		store, err := dest.New(env.Opener, "wolkvox Storage", desttest.Origin)
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
		env.Plant(t, "a.gsm", []byte("contents"))
		found, err := place.Hash(t.Context(), []string{"a.gsm"})
		if err != nil || found[0].Err != nil || found[0].Method != want || found[0].Digest != desttest.Digest([]byte("contents")) {
			t.Errorf("readback %t: %+v, %v, want the method %q", readback, found, err, want)
		}
		if err := place.Close(); err != nil {
			t.Error(err)
		}
	}
}
