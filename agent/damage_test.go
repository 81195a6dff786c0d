package agent

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/control"
	"github.com/wolkvox/backup/agent/internal/state"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/size"
	"github.com/wolkvox/backup/internal/store"
)

// spoiled gives an agent a store with a manifest whose lines cannot be read, which shows only to those who read them.
func (s *fakeServer) spoiled(t testing.TB, o Options) {
	t.Helper()
	dir := filepath.Join(o.Config.StateDir, state.Dir)
	db, err := store.Open(dir, store.Options{})
	check(t, err)
	log, err := db.Ledger(originOf("nas"))
	check(t, err)
	check(t, log.Append(s.first...))
	writer, err := log.StageManifest(1)
	check(t, err)
	for i := range 1500 { // so many that they are kept apart from the tables
		line, err := ledger.FormatLine(backup.Item{Path: fmt.Sprintf("%04d-%s.gsm", i, strings.Repeat("x", 60)), Kind: backup.KindGSM})
		check(t, err)
		check(t, writer.Add(line))
	}
	root, items, sizeBytes, err := writer.Commit()
	check(t, err)
	key, err := ledger.NewSigningKey(string(originOf("nas")), ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	check(t, err)
	now := time.Now().UTC().Truncate(time.Second)
	sealed, err := ledger.Sign(ledger.Entry{Origin: originOf("nas"), Time: now, Body: ledger.Sealed{
		Manifest: 1, Root: root, Night: backup.Date{Year: 2026, Month: 3, Day: 1}, Items: items, Bytes: sizeBytes, Deadline: now.AddDate(0, 0, 15),
	}}, key)
	check(t, err)
	check(t, log.Append(sealed))
	check(t, db.Close())
	values, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	check(t, err)
	for _, path := range values {
		content, err := os.ReadFile(path)
		check(t, err)
		if at := bytes.Index(content, []byte("0700-xxx")); at >= 0 {
			content[at] ^= 1
			check(t, os.WriteFile(path, content, 0o600))
			return
		}
	}
	t.Fatal("the lines are not where they were looked for")
}

func asides(t testing.TB, o Options) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(o.Config.StateDir, state.Dir+".set-aside-*"))
	check(t, err)
	return names
}

var readers = map[string]func(context.Context, backupv1.AgentServiceClient) error{
	"verify": func(ctx context.Context, client backupv1.AgentServiceClient) error {
		response, err := client.VerifyAgentLedger(ctx, &backupv1.VerifyAgentLedgerRequest{Destination: "nas"})
		if err == nil && len(response.GetReport().GetProblems()) > 0 {
			err = errors.New(response.GetReport().GetProblems()[0])
		}
		return err
	},
	"export": func(ctx context.Context, client backupv1.AgentServiceClient) error {
		stream, err := client.ExportAgentLedger(ctx, &backupv1.ExportAgentLedgerRequest{Destination: "nas"})
		for err == nil {
			_, err = stream.Recv()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	},
}

// TestDamageIsRead sets aside a store whose damage only somebody who asks meets, and goes on by itself.
func TestDamageIsRead(t *testing.T) {
	t.Parallel()
	for name, read := range readers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.begun = true
			o := s.enrolled(t, "nas")
			s.spoiled(t, o)
			a, err := Open(o)
			check(t, err)
			listener, err := control.Listen(o.Config.Socket, "")
			check(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- a.Run(ctx, listener) }()
			if got := s.next(t).GetDestinations()[0].GetSize(); got != 3 {
				t.Fatalf("the agent begins with %d entries", got)
			}
			conn, err := control.Dial(t.Context(), o.Config.Socket)
			check(t, err)
			if err := read(t.Context(), backupv1.NewAgentServiceClient(conn)); err == nil {
				t.Error("no damage was met")
			}
			check(t, conn.Close())
			for began := time.Now(); s.next(t).GetDestinations()[0].GetSize() != 2; {
				if time.Since(began) > 30*time.Second {
					t.Fatal("the agent goes on with its damaged store")
				}
				select {
				case err := <-ended:
					t.Fatalf("Run = %v", err)
				default:
				}
			}
			if got := asides(t, o); len(got) != 1 {
				t.Errorf("set aside are %v", got)
			}
			cancel()
			check(t, <-ended)
			check(t, a.Close())
		})
	}
}

// TestDamageIsReadOffline has the next start set aside what a command found without a service.
func TestDamageIsReadOffline(t *testing.T) {
	t.Parallel()
	for name, read := range readers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			o := s.enrolled(t, "nas")
			s.spoiled(t, o)
			a, err := Open(o)
			check(t, err)
			listener, err := control.Listen(o.Config.Socket, "")
			check(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- a.Serve(ctx, listener) }()
			conn, err := control.Dial(t.Context(), o.Config.Socket)
			check(t, err)
			if err := read(t.Context(), backupv1.NewAgentServiceClient(conn)); err == nil {
				t.Error("no damage was met")
			}
			check(t, conn.Close())
			cancel()
			check(t, <-ended)
			check(t, a.Close())
			if got := asides(t, o); len(got) != 0 {
				t.Errorf("a command set aside %v", got)
			}
			a, err = Open(o)
			check(t, err)
			if got := a.problems(); len(asides(t, o)) != 1 || len(got) != 1 || !strings.Contains(got[0], "set aside") {
				t.Errorf("at the next start %v are set aside, problems %q", asides(t, o), got)
			}
			check(t, a.Close())
		})
	}
}

// TestOpenWithoutRoom is no damage, and over as soon as there is room.
func TestOpenWithoutRoom(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	o := s.enrolled(t, "nas")
	enough, all := o.Config.StateReserve, size.Size(1<<62)
	o.Config.StateReserve = &all
	for range 2 {
		if _, err := Open(o); !errors.Is(err, store.ErrNoRoom) || !strings.Contains(err.Error(), "state_reserve") {
			t.Errorf("Open without room = %v", err)
		}
	}
	o.Config.StateReserve = enough
	a, err := Open(o)
	check(t, err)
	check(t, a.Close())
	if got := asides(t, o); len(got) != 0 {
		t.Errorf("set aside are %v", got)
	}
}
