package uplink

import (
	"sort"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

type offerCall = grpc.BidiStreamingServer[backupv1.OfferLedgerRequest, backupv1.OfferLedgerResponse]

// taker is a server that lost the end of its log and takes it back from an agent. It keeps the contract, checks that the
// agent does, and can be cut off at any message.
type taker struct {
	t   testing.TB
	h   *history
	mu  sync.Mutex
	log *store.Ledger
	// cut is asked at each message of an offer, received or sent; an error ends the call there.
	cut func() error
}

// newTaker has the first size entries of h.
func newTaker(t testing.TB, h *history, size int64) *taker {
	k := &taker{t: t, h: h, log: newLedger(t), cut: func() error { return nil }}
	manifest := int64(0)
	for leaf, err := range h.log.Entries(0, size) {
		check(t, err)
		if entry, err := ledger.ParseEntry(leaf); err == nil && entry.Body.Kind() == ledger.KindSealed {
			manifest++
			writer, err := k.log.StageManifest(manifest)
			check(t, err)
			for line := range strings.Lines(string(h.lines(manifest, 0))) {
				check(t, writer.Add([]byte(strings.TrimSuffix(line, "\n"))))
			}
			_, _, _, err = writer.Commit()
			check(t, err)
		}
		check(t, k.log.Append(leaf))
	}
	return k
}

func (k *taker) server() *fakeServer {
	return &fakeServer{watch: k.watch, offer: k.offer}
}

func (k *taker) watch(m *backupv1.WatchLedgerRequest, stream watchStream) error {
	size, _ := k.log.Position()
	if root, err := k.log.RootAt(m.GetPosition().GetSize()); err != nil || string(root[:]) != string(m.GetPosition().GetRoot()) {
		return wire.Error(codes.FailedPrecondition, wire.ReasonOfferWanted, "unknown")
	}
	if err := stream.opened(7, size); err != nil {
		return err
	}
	return stream.stay()
}

func (k *taker) receive(stream offerCall) (*backupv1.OfferLedgerRequest, error) {
	m, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	return m, k.cut()
}

func (k *taker) send(stream offerCall, m *backupv1.OfferLedgerResponse) error {
	if err := k.cut(); err != nil {
		return err
	}
	return stream.Send(m)
}

func (k *taker) offer(stream offerCall) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, err := k.receive(stream)
	if err != nil {
		return err
	}
	head, err := ledger.OpenHead(m.GetOpening().GetHead(), k.h.key.Verifier())
	if err != nil || len(m.GetOpening().GetProcessId()) != 16 || m.GetOpening().GetOrigin() != string(testOrigin) || !m.GetOpening().GetKeptHeadKnown() {
		k.t.Errorf("the offer opens with %v, %v", m, err)
		return wire.Error(codes.InvalidArgument, wire.ReasonBadOffer, "%v", err)
	}
	size, _ := k.log.Position()
	common, err := k.common(stream, min(size, head.Size))
	if err != nil {
		return err
	}
	if common == head.Size {
		return k.result(stream, false)
	}
	if common < size {
		return wire.Error(codes.FailedPrecondition, wire.ReasonFork, "somebody holds another history from %d on", common)
	}
	if err := k.send(stream, &backupv1.OfferLedgerResponse{Step: &backupv1.OfferLedgerResponse_FirstSequence{FirstSequence: common}}); err != nil {
		return err
	}
	if err := k.take(stream, head, m.GetOpening().GetHead()); err != nil {
		return err
	}
	return k.result(stream, true)
}

func (k *taker) result(stream offerCall, taken bool) error {
	size, root := k.log.Position()
	return k.send(stream, &backupv1.OfferLedgerResponse{Step: &backupv1.OfferLedgerResponse_Result{
		Result: &backupv1.OfferResult{Taken: taken, Position: wire.Position(size, root)}}})
}

// common asks until it knows how many entries both have.
func (k *taker) common(stream offerCall, most int64) (int64, error) {
	var failed error
	parted := sort.Search(int(most), func(i int) bool {
		if failed != nil {
			return true
		}
		size := int64(i) + 1
		if failed = k.send(stream, &backupv1.OfferLedgerResponse{Step: &backupv1.OfferLedgerResponse_ProbeSize{ProbeSize: size}}); failed != nil {
			return true
		}
		m, err := k.receive(stream)
		if err != nil {
			failed = err
			return true
		}
		root, err := k.log.RootAt(size)
		check(k.t, err)
		if m.GetPosition().GetSize() != size {
			k.t.Errorf("asked for the position at %d the agent says %v", size, m)
		}
		return string(root[:]) != string(m.GetPosition().GetRoot())
	})
	return int64(parted), failed
}

// take collects everything and appends it only when it leads to the head.
func (k *taker) take(stream offerCall, head ledger.Head, note []byte) error {
	size, _ := k.log.Position()
	var leaves [][]byte
	for {
		m, err := k.receive(stream)
		if err != nil {
			return err
		}
		switch step := m.GetStep().(type) {
		case *backupv1.OfferLedgerRequest_Lines:
			if err := k.stage(step.Lines); err != nil {
				return err
			}
		case *backupv1.OfferLedgerRequest_Entries:
			if got := step.Entries.GetAfterSequence(); got != size+int64(len(leaves)) {
				k.t.Errorf("entries after %d, wanted after %d", got, size+int64(len(leaves)))
			}
			leaves = append(leaves, step.Entries.GetEntries()...)
		case *backupv1.OfferLedgerRequest_End:
			if err := k.log.AppendTo(note, leaves...); err != nil {
				k.t.Errorf("the offer does not lead to its head of size %d: %v", head.Size, err)
				return wire.Error(codes.InvalidArgument, wire.ReasonBadOffer, "%v", err)
			}
			return nil
		default:
			k.t.Errorf("the agent sends %v", m)
			return status.Error(codes.InvalidArgument, "no step")
		}
	}
}

func (k *taker) stage(m *backupv1.OfferedLines) error {
	if len(m.GetLines()) > 256<<10 {
		k.t.Errorf("%d bytes of lines in one message", len(m.GetLines()))
	}
	begin := k.log.ResumeManifest
	if m.GetStartIndex() == 0 {
		begin = k.log.StageManifest
	}
	writer, err := begin(m.GetManifest())
	if err != nil {
		return err
	}
	defer writer.Abort()
	if writer.Len() != m.GetStartIndex() {
		k.t.Errorf("lines from %d on, wanted from %d", m.GetStartIndex(), writer.Len())
	}
	for line := range strings.Lines(string(m.GetLines())) {
		if err := writer.Add([]byte(strings.TrimSuffix(line, "\n"))); err != nil {
			return err
		}
	}
	_, _, _, err = writer.Commit()
	return err
}
