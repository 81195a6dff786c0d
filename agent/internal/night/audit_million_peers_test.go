//go:build peers

package night

import (
	"context"
	"fmt"
	"io"
	"iter"
	"runtime"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/audit"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/internal/ledger"
)

const (
	million   = 1_000_000
	mostBytes = 150 << 20
)

func millionName(i int) string { return fmt.Sprintf("calls/2026-03-01/agent-%03d/%07d.gsm", i/2000, i) }

// TestAuditMillion audits a million recordings by a listing in bounded memory, more than half of which is left, and finds the only
// file among them that is nobody's.
func TestAuditMillion(t *testing.T) {
	p := newPeer(t)
	m := newMachine(t, p, t.TempDir())
	names := make([]string, million)
	for i := range names {
		names[i] = millionName(i)
	}
	body := []byte("a recording")
	n := p.seal(names, func(string) []byte { return body })
	names = nil
	p.contents = nil
	p.deliver(n, million)
	base, peak := heap(), uint64(0)
	m.wrap = func(inner dest.Opener) dest.Opener {
		return generated{inner, int64(len(body)), func() { peak = max(peak, heap()) }}
	}
	m.at("memory", func(ctx context.Context, night *Night) {
		check(t, night.Session.WaitSynced(ctx, night.Patience*10))
		base = heap()
		began := time.Now()
		a := m.audit(ctx, night, listed)
		a.want(t, "of a million", audit.Complete, 0, map[audit.Class][]string{audit.Extra: {"nobody's"}})
		t.Logf("it took %v", time.Since(began).Round(time.Millisecond))
		if a.Counts.Present != million {
			t.Errorf("%+v", a.Counts)
		}
	})
	t.Logf("the audit of %d recordings took %d MiB more than before", million, (peak-min(base, peak))>>20)
	if peak > base+mostBytes {
		t.Errorf("memory grew from %d to %d MiB", base>>20, peak>>20)
	}
}

// heap is what is in use now, and no garbage.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// deliver has the agent's key sign that all items of a manifest are there.
func (p *peer) deliver(manifest, items int64) {
	p.t.Helper()
	var root tlog.Hash
	p.log.View(func(log *ledger.Log) { m, _ := log.Manifest(manifest); root = m.Root })
	receipt := ledger.Receipt{Manifest: manifest, Root: root, Number: 1, Indexes: ledger.NewSet(ledger.Range{First: 0, Last: items - 1})}
	leaf, err := ledger.Sign(ledger.Entry{Origin: testOrigin, Time: p.time().AsTime().UTC().Truncate(1e9),
		Body: ledger.Delivered{Receipt: receipt, Method: backup.ReadbackCached, Brought: ledger.BroughtAutomatic}}, p.agent)
	if err == nil {
		err = p.log.Append(leaf)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// generated is a place that lists a million recordings, and one more file.
type generated struct {
	inner     dest.Opener
	sizeBytes int64
	now       func() // is called while it lists
}

type able interface {
	dest.Driver
	dest.Keeper
	dest.Mover
	dest.Stager
	dest.Lister
}

func (g generated) Open(ctx context.Context) (dest.Driver, error) {
	driver, err := g.inner.Open(ctx)
	if err != nil {
		return nil, err
	}
	return &generatedPlace{driver.(able), g}, nil
}

type generatedPlace struct {
	able
	generated
}

func (g *generatedPlace) Open(ctx context.Context, name string) (r io.ReadCloser, err error) {
	return g.able.Open(ctx, name)
}

func (g *generatedPlace) List(context.Context) iter.Seq2[dest.File, error] {
	return func(yield func(dest.File, error) bool) {
		for i := range million {
			if i%(million/8) == 0 {
				g.now()
			}
			if !yield(dest.File{Name: millionName(i), SizeBytes: g.sizeBytes, Regular: true}, nil) {
				return
			}
		}
		g.now()
		yield(dest.File{Name: "nobody's", Regular: true}, nil)
	}
}
