package proof

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

const testOrigin = ledger.Origin("wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff")

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rig is a log with both keys.
type rig struct {
	*testing.T
	log           *store.Ledger
	server, agent *ledger.SigningKey
	receipts      int64
	last          [sha256.Size]byte
}

func newRig(t *testing.T) *rig {
	t.Helper()
	db, err := store.Open("", store.Options{InMemory: true})
	check(t, err)
	t.Cleanup(func() { check(t, db.Close()) })
	log, err := db.Ledger(testOrigin)
	check(t, err)
	r := &rig{T: t, log: log, server: testKey(t, string(testOrigin)), agent: testKey(t, testOrigin.AgentKeyName("0123456789abcdef"))}
	request, err := ledger.SignRequest(testOrigin, r.agent)
	check(t, err)
	r.append(ledger.Genesis{Storage: backup.StorageRSYNC, WindowDays: 15, ServerKey: r.server.Verifier()}, r.server)
	r.append(ledger.Assigned{Request: request}, r.server)
	return r
}

func testKey(t *testing.T, name string) *ledger.SigningKey {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	key, err := ledger.NewSigningKey(name, ed25519.NewKeyFromSeed(seed[:]))
	check(t, err)
	return key
}

func (r *rig) append(body ledger.Body, key *ledger.SigningKey) {
	r.Helper()
	leaf, err := ledger.Sign(ledger.Entry{Origin: testOrigin, Time: noon, Body: body}, key)
	check(r.T, err)
	check(r.T, r.log.Append(leaf))
	if key == r.agent {
		r.last = sha256.Sum256(leaf)
	}
}

func (r *rig) seal(number int64, items ...backup.Item) {
	r.Helper()
	w, err := r.log.StageManifest(number)
	check(r.T, err)
	for _, it := range items {
		it.Kind, it.Digest.SHA256, it.Digest.SizeBytes = backup.KindGSM, sha256.Sum256([]byte(it.Path)), 1
		line, err := ledger.FormatLine(it)
		check(r.T, err)
		check(r.T, w.Add(line))
	}
	root, count, sizeBytes, err := w.Commit()
	check(r.T, err)
	r.append(ledger.Sealed{Manifest: number, Root: root, Night: backup.Date{Year: 2026, Month: 3, Day: 1}, Items: count, Bytes: sizeBytes, Deadline: noon.AddDate(0, 0, 15)}, r.server)
}

func (r *rig) deliver(number, first, last int64) {
	r.Helper()
	m, _ := manifest(r.log, number)
	r.receipts++
	receipt := ledger.Receipt{Manifest: number, Root: m.Root, Number: r.receipts, Previous: r.last, Indexes: ledger.NewSet(ledger.Range{First: first, Last: last})}
	r.append(ledger.Delivered{Receipt: receipt, Method: backup.ReadbackUncached, Brought: ledger.BroughtAutomatic}, r.agent)
}

func (r *rig) agree() {
	r.Helper()
	size, root := r.log.Position()
	head, err := ledger.SignHead(ledger.Head{Origin: testOrigin, Size: size, Root: root}, r.server)
	check(r.T, err)
	agreed, err := ledger.Cosign(head, r.server.Verifier(), r.agent, noon)
	check(r.T, err)
	check(r.T, r.log.PutAgreed(agreed))
}

// findable is a log in which names are used more than once.
func findable(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.seal(1,
		backup.Item{Path: "a/-", Interaction: "-"},
		backup.Item{Path: "a/call.gsm", Interaction: "1.1"},
		backup.Item{Path: "b/call.gsm", Interaction: "1.2"},
		backup.Item{Path: "call~2.gsm", SourcePath: "call.gsm", Interaction: "1.1"},
		backup.Item{Path: "señal.gsm", Interaction: "1.10"},
	)
	r.seal(2)
	r.seal(3, backup.Item{Path: "call.gsm", Interaction: "2.1"}, backup.Item{Path: "z/a", SourcePath: "s/a"}, backup.Item{Path: "z/b", SourcePath: "s/a"})
	return r
}

func TestFind(t *testing.T) {
	t.Parallel()
	r := findable(t)
	for _, c := range []struct {
		wanted Wanted
		want   []string // places
	}{
		{Wanted{Path: "a/call.gsm"}, []string{"1/1"}},
		{Wanted{Path: "call.gsm"}, []string{"3/0"}}, // rather than what has it as source path or as name
		{Wanted{Path: "s/a"}, []string{"3/1", "3/2"}},
		{Wanted{Path: "call~2.gsm"}, []string{"1/3"}},
		{Wanted{Path: "señal.gsm"}, []string{"1/4"}},
		{Wanted{Path: "-"}, []string{"1/0"}},
		{Wanted{Path: "b"}, []string{"3/2"}}, // by name; a folder is none
		{Wanted{Interaction: "1.1"}, []string{"1/1", "1/3"}},
		{Wanted{Interaction: "-"}, []string{"1/0"}},
		{Wanted{Manifest: 3, Index: 2}, []string{"3/2"}},
		{Wanted{Path: "all.gsm"}, nil}, {Wanted{Path: "a"}, []string{"3/1"}}, {Wanted{Path: "a/"}, nil}, {Wanted{Path: "a/call"}, nil},
		{Wanted{Path: "x/call.gsm"}, nil}, {Wanted{Interaction: "1"}, nil}, {Wanted{Interaction: "call.gsm"}, nil},
		{Wanted{Manifest: 2}, nil}, {Wanted{Manifest: 4}, nil}, {Wanted{Manifest: 1, Index: 5}, nil}, {Wanted{Manifest: 1, Index: -1}, nil}, {Wanted{Manifest: -1}, nil},
	} {
		found, err := Find(t.Context(), r.log, r.log.RawLines, c.wanted)
		if errors.Is(err, ErrNoRecording) != (c.want == nil) || err != nil && c.want != nil {
			t.Errorf("Find(%+v): %v", c.wanted, err)
		}
		var places []string
		for _, f := range found {
			places = append(places, fmt.Sprintf("%d/%d", f.Manifest, f.Index))
			if f.State != backup.Pending || f.Line.Item.Path == "" {
				t.Errorf("Find(%+v) = %+v", c.wanted, f)
			}
		}
		if diff := cmp.Diff(c.want, places); diff != "" {
			t.Errorf("Find(%+v): %s", c.wanted, diff)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Find(ctx, r.log, r.log.RawLines, Wanted{Path: "a/call.gsm"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// More recordings than anybody reads fit: the first of them are returned.
func TestFindMany(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	items := make([]backup.Item, 3*MaxFound)
	for i := range items {
		items[i].Path, items[i].Interaction = fmt.Sprintf("%06d.gsm", i), "1"
	}
	r.seal(1, items...)
	if found, err := Find(t.Context(), r.log, r.log.RawLines, Wanted{Interaction: "1"}); err != nil || len(found) != MaxFound {
		t.Errorf("%d found, %v", len(found), err)
	}
}

func TestMake(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	items := make([]backup.Item, 2500) // several pieces
	for i := range items {
		items[i].Path, items[i].Interaction = fmt.Sprintf("%06d.gsm", i), fmt.Sprintf("%0100d", i)
	}
	r.seal(1, items...)
	if _, err := Make(t.Context(), r.log, r.log.RawLines, 1, 0); !errors.Is(err, ErrNotProvable) {
		t.Errorf("before any agreement: %v", err)
	}
	r.deliver(1, 0, 2000)
	r.agree()
	r.seal(2, backup.Item{Path: "later"})
	r.deliver(1, 2001, 2001)
	for _, c := range []struct {
		index   int64
		state   backup.State
		entries int
	}{{0, backup.Confirmed, 4}, {1023, backup.Confirmed, 4}, {2000, backup.Confirmed, 4}, {2001, backup.Pending, 3}, {2499, backup.Pending, 3}} {
		made, err := Make(t.Context(), r.log, r.log.RawLines, 1, c.index)
		check(t, err)
		p, err := ledger.ParseProof(made.Text)
		check(t, err)
		proven, err := p.Check(r.server.Verifier().Fingerprint(), r.agent.Verifier().Fingerprint())
		check(t, err)
		if diff := cmp.Diff(made.Proven, proven); diff != "" {
			t.Errorf("index %d: %s", c.index, diff)
		}
		if proven.Item.Path != items[c.index].Path || proven.State != c.state || len(p.Entries) != c.entries || proven.Head.Size != 4 {
			t.Errorf("index %d: %+v by %d entries", c.index, proven, len(p.Entries))
		}
		if made.ServerFingerprint != r.server.Verifier().Fingerprint() || made.AgentFingerprint != r.agent.Verifier().Fingerprint() {
			t.Errorf("index %d: other keys", c.index)
		}
	}
	if _, err := Make(t.Context(), r.log, r.log.RawLines, 2, 0); !errors.Is(err, ErrNotProvable) {
		t.Errorf("sealed after the agreed head: %v", err)
	}
	for _, place := range [][2]int64{{1, 2500}, {1, -1}, {3, 0}, {0, 0}} {
		if _, err := Make(t.Context(), r.log, r.log.RawLines, place[0], place[1]); !errors.Is(err, ErrNoRecording) {
			t.Errorf("%v: %v", place, err)
		}
	}
	// Lines that are not those that were sealed make no proof.
	r.agree()
	if _, err := Make(t.Context(), r.log, func(n, from int64) iter.Seq2[[]byte, error] {
		return r.log.RawLines(3-n, from)
	}, 2, 0); err == nil {
		t.Error("the lines of another manifest make a proof")
	}
}
