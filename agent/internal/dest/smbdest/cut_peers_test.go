//go:build peers

package smbdest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/smbdest"
	"github.com/wolkvox/backup/internal/peertest/samba"
)

// proxy passes connections on until it is cut.
type proxy struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	conns []net.Conn
}

func startProxy(t *testing.T, to string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, to: to}
	t.Cleanup(func() { listener.Close(); p.cut() })
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, in, out)
			p.mu.Unlock()
			go func() { io.Copy(in, out); in.Close() }()
			go func() { io.Copy(out, in); out.Close() }()
		}
	}()
	return p
}

// cut ends all connections at once.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
	p.conns = nil
}

// TestCut: the line is cut at random instants of a batch. Nothing visible is ever half, nothing that was confirmed is
// missing, and no cut looks like absence.
func TestCut(t *testing.T) {
	t.Parallel()
	const cuts, files = 50, 8
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	server := samba.Start(t, samba.Options{})
	line := startProxy(t, server.Address)
	o := options(server, "")
	o.Address = line.listener.Addr().String()
	store := initialised(t, smbdest.New(o))
	contents := func(name string) []byte { return bytes.Repeat([]byte(name), 30_000/len(name)) }
	began := time.Now()
	if _, err := attempt(t, store, "first", files, contents); err != nil {
		t.Fatal(err)
	}
	whole := time.Since(began)
	confirmed := map[string]bool{}
	interrupted := 0
	for n := range cuts {
		timer := time.AfterFunc(time.Duration(random.Int64N(int64(whole))), line.cut)
		names, err := attempt(t, store, fmt.Sprintf("cut %d", n), files, contents)
		timer.Stop()
		if err != nil {
			interrupted++
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, dest.ErrNoMarker) {
				t.Errorf("cut %d looks like absence: %v", n, err)
			}
		}
		for _, name := range names {
			confirmed[name] = true
		}
	}
	t.Logf("%d of %d batches were interrupted; one takes %v", interrupted, cuts, whole)
	if interrupted == 0 {
		t.Error("no batch was interrupted")
	}
	err := filepath.WalkDir(server.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == backup.OwnPrefix {
			return fs.SkipDir
		}
		if entry.IsDir() {
			return nil
		}
		name, _ := filepath.Rel(server.Dir, path)
		delete(confirmed, name)
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, contents(name)) {
			t.Errorf("%q is visible and has %d bytes that are not its own, %v", name, len(got), err)
		}
		return nil
	})
	if err != nil || len(confirmed) != 0 {
		t.Errorf("confirmed and not there: %v, %v", confirmed, err)
	}
	if _, err := attempt(t, store, "last", files, contents); err != nil {
		t.Errorf("after the cuts: %v", err)
	}
}

// attempt takes files through one batch and returns those that may be called confirmed.
func attempt(t *testing.T, store *dest.Store, folder string, files int, contents func(name string) []byte) (confirmed []string, err error) {
	place, err := store.Open(t.Context())
	if err != nil {
		return nil, err
	}
	defer place.Close()
	batch, err := place.Begin(t.Context())
	if err != nil {
		return nil, err
	}
	defer batch.Discard()
	for n := range files {
		name := fmt.Sprintf("%s/%d/a.gsm", folder, n)
		if _, err := place.HashExisting(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		data := contents(name)
		file, err := batch.Stage(t.Context(), name, desttest.Digest(data))
		if err != nil {
			return nil, err
		}
		if _, err := file.Write(data); err != nil {
			return nil, err
		}
		if err := file.Commit(); err != nil {
			return nil, err
		}
	}
	if err := batch.Sync(t.Context()); err != nil {
		return nil, err
	}
	if err := batch.Verify(t.Context()); err != nil {
		return nil, err
	}
	results, err := batch.Publish(t.Context())
	for _, r := range results {
		if r.Err == nil {
			confirmed = append(confirmed, r.Name)
		}
		err = errors.Join(err, r.Err)
	}
	return confirmed, err
}
