package ledgerrpc_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/servertest"
)

// holding is what an agent holds of the log.
type holding struct {
	leaves [][]byte
	lines  map[int64][]byte
	head   []byte
}

func (r *rig) hold() holding {
	r.t.Helper()
	log := r.Sequencer().Ledger()
	size, _ := log.Position()
	h := holding{lines: map[int64][]byte{}}
	for leaf, err := range log.Entries(0, size) {
		r.Must(err)
		h.leaves = append(h.leaves, leaf)
	}
	for n := int64(1); n <= r.Sequencer().Last(); n++ {
		for lines, err := range log.RawLines(n, 0) {
			r.Must(err)
			h.lines[n] = append(h.lines[n], lines...)
		}
	}
	var err error
	h.head, _, err = r.Sequencer().Head()
	r.Must(err)
	return h
}

func (h holding) at(size int64) *backupv1.LogPosition {
	var tree ledger.Frontier
	for _, leaf := range h.leaves[:size] {
		tree.Add(ledger.LineHash(leaf))
	}
	return wire.Position(size, tree.Root())
}

func (h holding) all() *backupv1.LogPosition { return h.at(int64(len(h.leaves))) }

// offer hands in what is held as an agent does; spoil may change what is sent. It returns the sizes that the server asked for.
func (r *rig) offer(client backupv1.LedgerServiceClient, h holding, kept []byte, spoil func(*backupv1.OfferLedgerRequest) bool) (probes []int64, result *backupv1.OfferResult, err error) {
	r.t.Helper()
	stream, err := client.OfferLedger(r.t.Context())
	r.Must(err)
	send := func(req *backupv1.OfferLedgerRequest) {
		if spoil == nil || spoil(req) {
			stream.Send(req) // an error comes with the answer
		}
	}
	send(&backupv1.OfferLedgerRequest{Step: &backupv1.OfferLedgerRequest_Opening{Opening: &backupv1.OfferOpening{
		Origin: string(r.Origin), ProcessId: bytes.Repeat([]byte{1}, 16), Head: h.head, KeptHead: kept, KeptHeadKnown: true,
	}}})
	for {
		res, err := stream.Recv()
		if err != nil {
			return probes, nil, err
		}
		switch step := res.GetStep().(type) {
		case *backupv1.OfferLedgerResponse_ProbeSize:
			probes = append(probes, step.ProbeSize)
			send(&backupv1.OfferLedgerRequest{Step: &backupv1.OfferLedgerRequest_Position{Position: h.at(step.ProbeSize)}})
		case *backupv1.OfferLedgerResponse_FirstSequence:
			h.send(step.FirstSequence, send)
			r.Must(stream.CloseSend())
		case *backupv1.OfferLedgerResponse_Result:
			return probes, step.Result, nil
		}
	}
}

// send sends the lines of all manifests first, and then all entries at once.
func (h holding) send(from int64, send func(*backupv1.OfferLedgerRequest)) {
	for _, leaf := range h.leaves[from:] {
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			continue
		}
		sealed, ok := e.Body.(ledger.Sealed)
		if !ok {
			continue
		}
		index, rest := int64(0), h.lines[sealed.Manifest]
		for last := false; !last; {
			piece := rest[:bytes.IndexByte(rest, '\n')+1]
			rest = rest[len(piece):]
			last = len(rest) == 0
			send(&backupv1.OfferLedgerRequest{Step: &backupv1.OfferLedgerRequest_Lines{Lines: &backupv1.OfferedLines{
				Manifest: sealed.Manifest, StartIndex: index, Lines: piece, Last: last,
			}}})
			index++
		}
	}
	send(&backupv1.OfferLedgerRequest{Step: &backupv1.OfferLedgerRequest_Entries{Entries: &backupv1.OfferedEntries{AfterSequence: from, Entries: h.leaves[from:]}}})
	send(&backupv1.OfferLedgerRequest{Step: &backupv1.OfferLedgerRequest_End{End: &backupv1.OfferEnd{}}})
}

// nights seals so many nights.
func (r *rig) nights(count int) {
	r.t.Helper()
	for i := range count {
		at := noon.AddDate(0, 0, i)
		r.Write(at.Format("2006-01-02")+"-a.gsm", "a", at.Add(-time.Hour))
		r.Write(at.Format("2006-01-02")+"-b.gsm", "b", at.Add(-time.Hour))
		r.Look(false, at)
	}
}

// rollBack puts the log back to an earlier size and starts the server again; forget takes what the registry knows of it too.
func (r *rig) rollBack(size int64, forget bool) {
	r.t.Helper()
	r.Must(r.Sequencer().Ledger().Cut(r.t.Context(), size))
	if forget {
		_, err := r.Registry.UpdateRecovery(r.Origin, func(rec *registry.Recovery) { *rec = registry.Recovery{} })
		r.Must(err)
	}
	r.restart()
}

func (r *rig) agree(h holding) []byte {
	r.t.Helper()
	note, err := ledger.Cosign(h.head, r.Sequencer().ServerKey(), r.key, noon)
	r.Must(err)
	return note
}

// watchAs is a watch that says all that an agent may say.
func (r *rig) watchAs(client backupv1.LedgerServiceClient, req *backupv1.WatchLedgerRequest) (*backupv1.SessionOpened, error) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	req.Origin = string(r.Origin)
	if req.ProcessId == nil {
		req.ProcessId = bytes.Repeat([]byte{1}, 16)
	}
	stream, err := client.WatchLedger(ctx, req)
	r.Must(err)
	res, err := stream.Recv()
	return res.GetOpened(), err
}

func TestOffer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.nights(9)
	whole := r.hold()
	size := int64(len(whole.leaves))
	r.rollBack(4, true)
	r.Write("other.gsm", "other", noon.Add(-time.Hour))
	r.Look(false, noon)
	branch, _ := r.Sequencer().Ledger().Position()
	if branch <= 4 {
		t.Fatal("nothing was sealed on the branch")
	}
	if _, err := r.watchAs(r.client, &backupv1.WatchLedgerRequest{Position: whole.all()}); wire.Reason(err) != wire.ReasonOfferWanted {
		t.Fatalf("watching with the longer log: %v", err)
	}
	probes, result, err := r.offer(r.client, whole, nil, nil)
	if err != nil || !result.GetTaken() || result.GetPosition().GetSize() != size || len(probes) == 0 || len(probes) > 5 {
		t.Fatalf("the offer: probes %v, %v, %v", probes, result, err)
	}
	now := r.hold()
	for i, leaf := range whole.leaves {
		if !bytes.Equal(now.leaves[i], leaf) {
			t.Fatalf("entry %d is another than the one offered", i)
		}
	}
	opened, err := r.watchAs(r.client, &backupv1.WatchLedgerRequest{Position: whole.all()})
	if err != nil || !opened.GetRecovering() || opened.GetSize() != size {
		t.Errorf("watching before the place was seen: %v, %v", opened, err)
	}
	opened, err = r.watchAs(r.client, &backupv1.WatchLedgerRequest{Position: whole.all(), KeptHead: r.agree(whole), KeptHeadKnown: true})
	if err != nil || opened.GetRecovering() {
		t.Errorf("watching once the place was seen: %v, %v", opened, err)
	}
	_, result, err = r.offer(r.client, whole, nil, nil)
	if err != nil || result.GetTaken() {
		t.Errorf("an offer of what is known: %v, %v", result, err)
	}
}

func TestOfferRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.nights(3)
	whole := r.hold()
	r.rollBack(3, true)
	for name, spoil := range map[string]func(*backupv1.OfferLedgerRequest) bool{
		"a byte of an entry": func(req *backupv1.OfferLedgerRequest) bool {
			for i, leaf := range req.GetEntries().GetEntries() {
				req.GetEntries().Entries[i] = append(bytes.Clone(leaf[:len(leaf)-9]), append([]byte{leaf[len(leaf)-9] ^ 1}, leaf[len(leaf)-8:]...)...)
			}
			return true
		},
		"no entries":         func(req *backupv1.OfferLedgerRequest) bool { return req.GetEntries() == nil },
		"no lines":           func(req *backupv1.OfferLedgerRequest) bool { return req.GetLines() == nil },
		"too many lines":     func(req *backupv1.OfferLedgerRequest) bool { return tooLarge(req) },
		"another position":   func(req *backupv1.OfferLedgerRequest) bool { return otherSize(req) },
		"no end":             func(req *backupv1.OfferLedgerRequest) bool { return req.GetEnd() == nil },
		"a head of nobody's": func(req *backupv1.OfferLedgerRequest) bool { return otherHead(req) },
	} {
		if _, result, err := r.offer(r.client, whole, nil, spoil); wire.Reason(err) != wire.ReasonBadOffer {
			t.Errorf("%s: %v, %v", name, result, err)
		}
		if size, _ := r.Sequencer().Ledger().Position(); size != 3 {
			t.Fatalf("%s: the log has %d entries", name, size)
		}
	}
	if _, _, err := r.offer(r.client, whole, []byte("no head"), nil); wire.Reason(err) != wire.ReasonBadRequest {
		t.Errorf("a kept head that is none: %v", err)
	}
	other := r.dial(identity.AgentRole("other", servertest.Agent))
	if _, _, err := r.offer(other, whole, nil, nil); wire.Reason(err) != wire.ReasonNotAssigned {
		t.Errorf("an agent of another tenant: %v", err)
	}
	stream, err := r.client.OfferLedger(t.Context())
	r.Must(err)
	r.Must(stream.Send(&backupv1.OfferLedgerRequest{Step: &backupv1.OfferLedgerRequest_End{End: &backupv1.OfferEnd{}}}))
	if _, err := stream.Recv(); wire.Reason(err) != wire.ReasonNotAssigned {
		t.Errorf("an offer without an opening: %v", err)
	}
	_, err = r.Sequencer().OpenSession([16]byte{7})
	r.Must(err)
	_, err = r.Sequencer().OpenSession([16]byte(bytes.Repeat([]byte{1}, 16)))
	r.Must(err)
	later, err := r.Sequencer().OpenSession([16]byte{8})
	r.Must(err)
	r.Must(r.Sequencer().CheckSession(later))
	if _, _, err := r.offer(r.client, whole, nil, nil); wire.Reason(err) != wire.ReasonSuperseded {
		t.Errorf("an offer of an earlier process: %v", err)
	}
}

func tooLarge(req *backupv1.OfferLedgerRequest) bool {
	if lines := req.GetLines(); lines != nil {
		lines.Lines = bytes.Repeat(lines.GetLines(), (256<<10)/len(lines.GetLines())+1)
	}
	return true
}

func otherSize(req *backupv1.OfferLedgerRequest) bool {
	if position := req.GetPosition(); position != nil {
		position.Size++
	}
	return true
}

func otherHead(req *backupv1.OfferLedgerRequest) bool {
	if opening := req.GetOpening(); opening != nil {
		opening.Head = bytes.Replace(opening.GetHead(), []byte("\n\n"), []byte("x\n\n"), 1)
	}
	return true
}

// One offer of a log is taken in at a time, and a caller that goes away leaves nothing behind.
func TestOneOfferAtATime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.nights(3)
	whole := r.hold()
	r.rollBack(3, true)
	ctx, cancel := context.WithCancel(t.Context())
	first, err := r.client.OfferLedger(ctx)
	r.Must(err)
	r.Must(first.Send(&backupv1.OfferLedgerRequest{Step: &backupv1.OfferLedgerRequest_Opening{Opening: &backupv1.OfferOpening{
		Origin: string(r.Origin), ProcessId: bytes.Repeat([]byte{1}, 16), Head: whole.head,
	}}}))
	_, err = first.Recv()
	r.Must(err)
	if _, _, err := r.offer(r.client, whole, nil, nil); wire.Reason(err) != wire.ReasonTryLater {
		t.Errorf("a second offer: %v", err)
	}
	cancel()
	for {
		_, result, err := r.offer(r.client, whole, nil, nil)
		if wire.Reason(err) == wire.ReasonTryLater {
			continue // the server has yet to notice
		}
		if err != nil || !result.GetTaken() {
			t.Errorf("an offer after one that broke off: %v, %v", result, err)
		}
		return
	}
}

// An agent that a restored server does not know any more brings the log back on its certificate alone, and is shown nothing
// before.
func TestUnknownAgent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.nights(3)
	whole := r.hold()
	kept := r.agree(whole)
	role := identity.AgentRole(servertest.Tenant, "cccccccccccccccc")
	stranger := r.dial(role)
	for _, withKept := range [][]byte{nil, []byte("no head"), kept} {
		if _, err := r.watchAs(stranger, &backupv1.WatchLedgerRequest{Position: &backupv1.LogPosition{}, KeptHead: withKept}); wire.Reason(err) != wire.ReasonNotAssigned {
			t.Errorf("a stranger watches a log that does not recover: %v", err)
		}
	}
	r.rollBack(0, true)
	_, err := r.Registry.UpdateRecovery(r.Origin, func(rec *registry.Recovery) { rec.Recovering = true })
	r.Must(err)
	stranger = r.dial(role)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := stranger.WatchLedger(ctx, &backupv1.WatchLedgerRequest{Origin: string(r.Origin), ProcessId: make([]byte, 16), Position: &backupv1.LogPosition{}})
	r.Must(err)
	res, err := stream.Recv()
	if err != nil || !res.GetOpened().GetRecovering() || res.GetOpened().GetSessionNumber() != 0 {
		t.Errorf("a stranger with nothing: %v, %v", res, err)
	}
	if _, err := r.watchAs(stranger, &backupv1.WatchLedgerRequest{Position: whole.all()}); wire.Reason(err) != wire.ReasonOfferWanted {
		t.Errorf("a stranger that holds the log: %v", err)
	}
	if _, result, err := r.offer(stranger, whole, nil, nil); err != nil || !result.GetTaken() {
		t.Errorf("a stranger's offer: %v, %v", result, err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("its watch, once the log came back: %v", err)
	}
	// The log knows again whom it belongs to.
	opened, err := r.watchAs(r.client, &backupv1.WatchLedgerRequest{Position: whole.all(), KeptHead: kept, KeptHeadKnown: true})
	if err != nil || opened.GetRecovering() || opened.GetSessionNumber() == 0 {
		t.Errorf("the agent itself: %v, %v", opened, err)
	}
	if _, err := r.watchAs(stranger, &backupv1.WatchLedgerRequest{Position: whole.all()}); wire.Reason(err) != wire.ReasonNotAssigned {
		t.Errorf("the stranger afterwards: %v", err)
	}
}

// A stranger's kept head tells a server that does not know it went back.
func TestShownByStranger(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.nights(3)
	whole := r.hold()
	r.rollBack(1, true) // before the agent was assigned
	if _, err := r.watchAs(r.client, &backupv1.WatchLedgerRequest{Position: whole.all(), KeptHead: r.agree(whole), KeptHeadKnown: true}); wire.Reason(err) != wire.ReasonOfferWanted {
		t.Errorf("a kept head that the server signed: %v", err)
	}
	if recovering, err := r.Sequencer().Recovering(); err != nil || !recovering {
		t.Errorf("the log does not recover: %v", err)
	}
}

// A process that was superseded says so once, and that alone raises the alarm.
func TestCloned(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	whole := r.hold()
	var later int64
	for process := byte(1); process <= 2; process++ {
		opened, err := r.watchAs(r.client, &backupv1.WatchLedgerRequest{Position: whole.all(), ProcessId: bytes.Repeat([]byte{process}, 16)})
		r.Must(err)
		later = opened.GetSessionNumber()
	}
	r.Must(r.Sequencer().CheckSession(later)) // a session that nobody uses supersedes no other
	alarm := func() bool {
		_, err := r.Registry.Alarm(r.Origin, registry.AlarmCloned)
		if err != nil && !errors.Is(err, registry.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	if _, err := r.watchAs(r.client, &backupv1.WatchLedgerRequest{Position: whole.all()}); wire.Reason(err) != wire.ReasonSuperseded || alarm() {
		t.Errorf("the earlier process: %v, alarm %t", err, alarm())
	}
	if _, err := r.watchAs(r.client, &backupv1.WatchLedgerRequest{Position: whole.all(), Superseded: true}); wire.Reason(err) != wire.ReasonSuperseded || !alarm() {
		t.Errorf("it says that it was told: %v, alarm %t", err, alarm())
	}
	if current := r.Sequencer().Ledger().CurrentSession(); current != later {
		t.Errorf("the current session is %d", current)
	}
}

// An agent that lost its store, and whose log the server lost too, is told so where its destination keeps a head; and a head
// that was not signed for the log comes with what people can do.
func TestKeptHeadOfNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.nights(2)
	kept := r.agree(r.hold())
	r.rollBack(0, false)
	nothing := &backupv1.LogPosition{}
	forged := bytes.Replace(kept, []byte("\n\n"), []byte("x\n\n"), 1)
	if head, _, err := ledger.ParseHead(kept); err != nil || head.Size == 0 {
		t.Fatal(err)
	}
	other, err := ledger.SignHead(ledger.Head{Origin: r.Origin, Size: 99}, r.otherKey())
	r.Must(err)
	for name, head := range map[string][]byte{"malformed": forged, "of another key": other} {
		_, err := r.watchAs(r.client, &backupv1.WatchLedgerRequest{Position: nothing, KeptHead: head, KeptHeadKnown: true})
		if wire.Reason(err) != wire.ReasonBadRequest || !strings.Contains(err.Error(), ".wolkvox/head") || !strings.Contains(err.Error(), "move it away") {
			t.Errorf("a kept head %s: %v", name, err)
		}
	}
	for range 2 {
		_, err := r.watchAs(r.client, &backupv1.WatchLedgerRequest{Position: nothing, KeptHead: kept, KeptHeadKnown: true})
		if wire.Reason(err) != wire.ReasonTailLost {
			t.Errorf("a kept head that nobody leads to: %v", err)
		}
	}
	if _, err := r.Registry.Alarm(r.Origin, registry.AlarmTailLost); err != nil {
		t.Error(err)
	}
}

// otherKey returns a key with the log's name that is none of its keys.
func (r *rig) otherKey() *ledger.SigningKey {
	r.t.Helper()
	key, err := ledger.NewSigningKey(string(r.Origin), ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	r.Must(err)
	return key
}

// Alarms that stop a log reach the agent with reasons of their own.
func TestStopped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.nights(2)
	whole := r.hold()
	r.rollBack(2, true)
	kept := r.agree(whole)
	if _, err := r.watchAs(r.client, &backupv1.WatchLedgerRequest{Position: &backupv1.LogPosition{}, KeptHead: kept, KeptHeadKnown: true}); wire.Reason(err) != wire.ReasonTailLost {
		t.Errorf("a kept head that nobody has: %v", err)
	}
	if _, err := r.Registry.RaiseAlarm(registry.Alarm{Origin: r.Origin, Kind: registry.AlarmFork}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.watchAs(r.client, &backupv1.WatchLedgerRequest{Position: &backupv1.LogPosition{}}); wire.Reason(err) != wire.ReasonFork {
		t.Errorf("a watch: %v", err)
	}
	if _, _, err := r.offer(r.client, whole, nil, nil); wire.Reason(err) != wire.ReasonFork {
		t.Errorf("an offer: %v", err)
	}
	session, err := r.Sequencer().OpenSession([16]byte{9})
	r.Must(err)
	_, err = r.client.SubmitReceipts(t.Context(), &backupv1.SubmitReceiptsRequest{Origin: string(r.Origin), SessionNumber: session, Receipts: [][]byte{[]byte("x")}})
	if wire.Reason(err) != wire.ReasonFork {
		t.Errorf("receipts: %v", err)
	}
}
