package sequencer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/internal/evidence"
	"github.com/wolkvox/backup/server/internal/registry"
)

var start = time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC)

const (
	origin  = ledger.Origin("wolkvox.com/backup/acme/nas/0123456789abcdef0123456789abcdef")
	agentA  = "aaaaaaaaaaaaaaaa"
	agentB  = "bbbbbbbbbbbbbbbb"
	process = "0123456789abcdef"
)

func newKey(t *testing.T, name string, fill byte) *ledger.SigningKey {
	t.Helper()
	key, err := ledger.NewSigningKey(name, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{fill}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// rig is a log with an agent assigned and manifests sealed.
type rig struct {
	t        *testing.T
	db       *store.DB
	registry *registry.Registry
	evidence string
	seq      *Sequencer
	agent    *ledger.SigningKey
	keys     []*ledger.SigningKey // further ones of the log
	// of the receipt chain
	number   int64
	previous tlog.Hash
}

func newRig(t *testing.T, manifests ...int) *rig {
	t.Helper()
	r := newRigIn(t, "", store.Options{InMemory: true})
	r.must(r.seq.Assign(t.Context(), r.request(r.agent), "", start))
	for i, items := range manifests {
		r.seal(int64(i+1), items)
	}
	return r
}

// newRigIn has a log with nothing but its genesis, in a store at dir.
func newRigIn(t *testing.T, dir string, o store.Options) *rig {
	t.Helper()
	r := &rig{t: t, agent: newKey(t, origin.AgentKeyName(agentA), 2), evidence: t.TempDir()}
	var err error
	r.registry, err = registry.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	r.must(err)
	r.openStore(dir, o)
	t.Cleanup(func() { r.must(errors.Join(r.db.Close(), r.registry.Close())) })
	return r
}

func (r *rig) openStore(dir string, o store.Options) {
	r.t.Helper()
	var err error
	r.db, err = store.Open(dir, o)
	r.must(err)
	r.open()
}

// open makes the sequencer, as a server does when it starts.
func (r *rig) open() {
	r.t.Helper()
	log, err := r.db.Ledger(origin)
	r.must(err)
	r.seq, err = New(log, append([]*ledger.SigningKey{newKey(r.t, string(origin), 1)}, r.keys...), Options{
		Registry: r.registry, Evidence: evidence.NewFolder(r.evidence), Dir: filepath.Join(r.evidence, "offers"),
	})
	r.must(err)
	r.must(r.seq.Begin(r.t.Context(), backup.StorageRSYNC, 15, start))
}

func (r *rig) seal(number int64, items int) {
	r.t.Helper()
	r.must(r.seq.Seal(r.t.Context(), r.stage(number, items), start))
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) request(key *ledger.SigningKey) ledger.Request {
	r.t.Helper()
	request, err := ledger.SignRequest(origin, key)
	r.must(err)
	return request
}

func (r *rig) stage(number int64, items int) Manifest {
	r.t.Helper()
	w, err := r.seq.Ledger().StageManifest(number)
	r.must(err)
	for i := range items {
		line, err := ledger.FormatLine(backup.Item{
			Path: fmt.Sprintf("main/%d/%06d.gsm", number, i), Kind: backup.KindGSM,
			Digest: backup.Digest{SHA256: sha256.Sum256(fmt.Append(nil, number, i)), SizeBytes: 33},
		})
		r.must(err)
		r.must(w.Add(line))
	}
	m := Manifest{Number: number, Night: backup.Date{Year: 2026, Month: 2, Day: 28}, Deadline: start.Add(15 * 24 * time.Hour)}
	m.Root, m.Items, m.Bytes, err = w.Commit()
	r.must(err)
	return m
}

func (r *rig) session() int64 {
	r.t.Helper()
	number, err := r.seq.OpenSession([16]byte([]byte(process)))
	r.must(err)
	r.must(r.seq.CheckSession(number))
	return number
}

// receipt makes the next receipt of the chain; change may spoil it.
func (r *rig) receipt(manifest int64, indexes ledger.Set, change func(*ledger.Receipt)) []byte {
	r.t.Helper()
	m, _ := r.seq.Manifest(manifest)
	receipt := ledger.Receipt{Manifest: manifest, Root: m.Root, Number: r.number + 1, Previous: r.previous, Indexes: indexes}
	if change != nil {
		change(&receipt)
	}
	leaf := r.sign(ledger.Delivered{Receipt: receipt, Method: backup.ReadbackCached, Brought: ledger.BroughtAutomatic}, r.agent)
	if change == nil {
		r.number, r.previous = receipt.Number, sha256.Sum256(leaf)
	}
	return leaf
}

func (r *rig) sign(body ledger.Body, key *ledger.SigningKey) []byte {
	r.t.Helper()
	leaf, err := ledger.Sign(ledger.Entry{Origin: origin, Time: start, Body: body}, key)
	r.must(err)
	return leaf
}

func (r *rig) submit(session int64, leaves ...[]byte) []Verdict {
	r.t.Helper()
	verdicts, err := r.seq.SubmitReceipts(r.t.Context(), session, leaves)
	r.must(err)
	return verdicts
}

func (r *rig) states(manifest int64) string {
	r.t.Helper()
	counts, err := r.seq.Ledger().Counts(manifest)
	r.must(err)
	return fmt.Sprint(counts[1:])
}

func set(first, last int64) ledger.Set { return ledger.NewSet(ledger.Range{First: first, Last: last}) }

func TestVerdicts(t *testing.T) {
	t.Parallel()
	r := newRig(t, 10, 5)
	session := r.session()
	one := r.receipt(1, set(0, 1), nil)
	two := r.receipt(1, set(2, 3), nil)
	three := r.receipt(2, set(0, 0), nil)
	if got := r.submit(session, one, two); !slices.Equal(got, []Verdict{OK, OK}) {
		t.Fatalf("fresh receipts: %v", got)
	}
	size, _ := r.seq.Ledger().Position()
	stranger := newKey(t, origin.AgentKeyName(agentB), 9)
	m, _ := r.seq.Manifest(1)
	tests := []struct {
		name string
		leaf []byte
		want Verdict
	}{
		{"equal bytes again", one, OK},
		{"the last one again", two, OK},
		{"other bytes under a number", r.receipt(1, set(7, 7), func(x *ledger.Receipt) { x.Number, x.Previous = 1, tlog.Hash{} }), Fork},
		{"other bytes under the last number", r.receipt(1, set(7, 7), func(x *ledger.Receipt) { x.Number, x.Previous = 2, sha256.Sum256(one) }), Fork},
		{"another previous hash", r.receipt(1, set(7, 7), func(x *ledger.Receipt) { x.Number, x.Previous = 3, sha256.Sum256(one) }), Fork},
		{"a number too far", r.receipt(1, set(7, 7), func(x *ledger.Receipt) { x.Number = 5 }), Gap},
		{"another root", r.receipt(1, set(7, 7), func(x *ledger.Receipt) { x.Number, x.Root = 3, tlog.Hash{} }), BadRoot},
		{"a manifest that is not sealed", r.receipt(1, set(7, 7), func(x *ledger.Receipt) { x.Number, x.Manifest = 3, 3 }), BadRoot},
		{"an index beyond the manifest", r.receipt(1, set(10, 10), func(x *ledger.Receipt) { x.Number, x.Previous = 3, sha256.Sum256(two) }), BadRoot},
		{"another key", r.sign(ledger.Delivered{Receipt: ledger.Receipt{Manifest: 1, Root: m.Root, Number: 1, Indexes: set(7, 7)},
			Method: backup.ReadbackCached, Brought: ledger.BroughtAutomatic}, stranger), NotAssigned},
	}
	for _, test := range tests {
		if got := r.submit(session, test.leaf); !slices.Equal(got, []Verdict{test.want}) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
		if now, _ := r.seq.Ledger().Position(); now != size {
			t.Fatalf("%s: the log grew from %d to %d entries", test.name, size, now)
		}
	}
	gap := r.receipt(1, set(7, 7), func(x *ledger.Receipt) { x.Number = 9 })
	if got := r.submit(session, one, three, three, gap, two); !slices.Equal(got, []Verdict{OK, OK, OK, Gap, Gap}) {
		t.Errorf("what follows the first refusal: %v", got)
	}
	if got, want := r.states(2), "[4 1 0 0 0 0 0]"; got != want {
		t.Errorf("states of manifest 2: %s, want %s", got, want)
	}
	for name, leaf := range map[string][]byte{
		"no text":                []byte("hello"),
		"an entry of the server": r.sign(ledger.Retired{Reason: ledger.RetiredEnded}, newKey(t, string(origin), 1)),
		"a flipped bit":          append(bytes.Clone(three[:len(three)-10]), append([]byte{three[len(three)-10] ^ 1}, three[len(three)-9:]...)...),
	} {
		if _, err := r.seq.SubmitReceipts(t.Context(), session, [][]byte{leaf}); !errors.Is(err, ErrReceipt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Receipts far back are found, and many at once go into as many transactions as they need.
func TestManyReceipts(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2000)
	session := r.session()
	var leaves [][]byte
	for i := range int64(700) {
		leaves = append(leaves, r.receipt(1, set(i, i), nil))
	}
	for range 2 {
		for i, v := range r.submit(session, leaves...) {
			if v != OK {
				t.Fatalf("receipt %d: %v", i, v)
			}
		}
	}
	if size, _ := r.seq.Ledger().Position(); size != 3+700 {
		t.Errorf("the log has %d entries", size)
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	first := r.session()
	if again := r.session(); again != first {
		t.Errorf("the same process got %d and %d", first, again)
	}
	second, err := r.seq.OpenSession([16]byte{1})
	r.must(err)
	if second <= first {
		t.Errorf("a new process got %d after %d", second, first)
	}
	if err := r.seq.CheckSession(first); err != nil {
		t.Errorf("the earlier session, while nobody used the later one: %v", err)
	}
	if err := r.seq.CheckSession(second + 1); !errors.Is(err, ErrNoSession) {
		t.Errorf("a session that was never opened: %v", err)
	}
	if err := r.seq.CheckSession(0); !errors.Is(err, ErrNoSession) {
		t.Errorf("no session: %v", err)
	}
	if err := r.seq.CheckSession(second); err != nil {
		t.Errorf("the current session: %v", err)
	}
	if err := r.seq.CheckSession(first); !errors.Is(err, ErrSuperseded) {
		t.Errorf("the earlier session: %v", err)
	}
	if err := r.seq.CheckSession(0); !errors.Is(err, ErrNoSession) {
		t.Errorf("no session, while another is used: %v", err)
	}
	if _, err := r.seq.SubmitReceipts(t.Context(), first, [][]byte{r.receipt(1, set(0, 0), nil)}); !errors.Is(err, ErrSuperseded) {
		t.Errorf("submitting in the earlier session: %v", err)
	}
}

func TestAssign(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	size, _ := r.seq.Ledger().Position()
	r.must(r.seq.Assign(t.Context(), r.request(r.agent), "", start))
	r.must(r.seq.Begin(t.Context(), backup.StorageRSYNC, 15, start))
	if now, _ := r.seq.Ledger().Position(); now != size {
		t.Errorf("doing it again added %d entries", now-size)
	}
	err := r.seq.Assign(t.Context(), r.request(newKey(t, origin.AgentKeyName(agentB), 3)), "", start)
	if assigned, ok := errors.AsType[*AssignedError](err); !ok || assigned.Agent != agentA {
		t.Errorf("a second agent: %v", err)
	}
	for agent, want := range map[string]bool{agentA: true, agentB: false} {
		if got, err := r.seq.EverAssigned(agent); err != nil || got != want {
			t.Errorf("ever assigned %s: %v, %v", agent, got, err)
		}
	}
	r.must(r.seq.Assign(t.Context(), r.request(newKey(t, origin.AgentKeyName(agentA), 4)), "", start))
	if _, key, _ := r.seq.Assigned(); key == r.agent.Verifier() {
		t.Error("the agent's new key was not assigned")
	}
}

func TestHeads(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, 3)
	note, head, err := r.seq.Head()
	r.must(err)
	if opened, err := ledger.OpenHead(note, r.seq.ServerKey()); err != nil || opened != head {
		t.Fatalf("open the head: %v, %v", opened, err)
	}
	early, earlyHead, err := r.seq.HeadAt(2)
	r.must(err)
	again, _, err := r.seq.Head()
	r.must(err)
	if !bytes.Equal(again, note) || bytes.Equal(early, note) {
		t.Error("heads of the same size differ, or of different sizes do not")
	}
	compare := func(size int64, root tlog.Hash, kept []byte) error {
		_, err := r.seq.Compare(t.Context(), Claim{Size: size, Root: root, Kept: kept}, start)
		return err
	}
	r.must(compare(head.Size, head.Root, early))
	r.must(compare(0, ledger.EmptyRoot(), nil))
	other := tlog.Hash(sha256.Sum256([]byte("other")))
	for name, err := range map[string]error{
		"another root": compare(2, other, nil),
		"a longer log": compare(head.Size+1, other, nil),
	} {
		if !errors.Is(err, ErrOfferWanted) {
			t.Errorf("%s: %v", name, err)
		}
	}
	stranger, err := ledger.SignHead(ledger.Head{Origin: origin, Size: 9, Root: other}, newKey(t, string(origin), 8))
	r.must(err)
	for name, kept := range map[string][]byte{"no head": []byte("no head"), "a head of another's": stranger} {
		if _, ok := errors.AsType[*ledger.RefusedError](compare(2, earlyHead.Root, kept)); !ok {
			t.Errorf("a kept head that is %s was taken", name)
		}
	}
	if recovering, err := r.seq.Recovering(); err != nil || recovering {
		t.Errorf("a log recovers without a head that it lacks: %v", err)
	}

	agree := func(head []byte, key *ledger.SigningKey) []byte {
		cosigned, err := ledger.Cosign(head, r.seq.ServerKey(), key, start)
		r.must(err)
		return cosigned
	}
	r.must(r.seq.RecordAgreement(t.Context(), agree(note, r.agent)))
	r.must(r.seq.RecordAgreement(t.Context(), agree(early, r.agent)))
	if agreed, ok := r.seq.Agreed(); !ok || agreed != head {
		t.Errorf("agreed on %v", agreed)
	}
	if err := r.seq.RecordAgreement(t.Context(), agree(r.foreignHead(head.Size+1, other), r.agent)); !errors.Is(err, ErrOfferWanted) {
		t.Errorf("agreeing on another history: %v", err)
	}
	if _, ok := errors.AsType[*ledger.RefusedError](r.seq.RecordAgreement(t.Context(), agree(early, newKey(t, origin.AgentKeyName(agentB), 5)))); !ok {
		t.Error("a stranger's cosignature was taken")
	}
}

// foreignHead is a head that the server's key signed and the log does not contain.
func (r *rig) foreignHead(size int64, root tlog.Hash) []byte {
	r.t.Helper()
	note, err := ledger.SignHead(ledger.Head{Origin: origin, Size: size, Root: root}, newKey(r.t, string(origin), 1))
	r.must(err)
	return note
}

func TestOtherKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if _, err := New(r.seq.Ledger(), []*ledger.SigningKey{newKey(t, string(origin), 7)}, Options{}); !errors.Is(err, ErrOtherKey) {
		t.Errorf("a sequencer with another key: %v", err)
	}
}
