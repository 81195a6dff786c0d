package ledgerrpc_test

import (
	"bytes"
	"context"
	"testing"
	"time"

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
