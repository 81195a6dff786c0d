//go:build unix

package ledgerrpc_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
)

// An offer that is there is taken, also if its caller does not wait until the evidence is written.
func TestOfferOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.nights(3)
	whole := r.hold()
	r.rollBack(3, true)
	r.Write("other.gsm", "other", noon.Add(-time.Hour))
	r.Look(false, noon) // what evidence is kept of
	earlier := filepath.Join(r.EvidenceDir(), r.Origin.Tenant(), r.Origin.Destination(), r.Origin.LogID(), "earlier")
	r.Must(os.MkdirAll(earlier, 0o700))
	fifo := filepath.Join(earlier, ledger.ExportedHead)
	r.Must(syscall.Mkfifo(fifo, 0o600)) // the server waits for what is written to it
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := r.client.OfferLedger(ctx)
	r.Must(err)
	r.Must(stream.Send(&backupv1.OfferLedgerRequest{Step: &backupv1.OfferLedgerRequest_Opening{Opening: &backupv1.OfferOpening{
		Origin: string(r.Origin), ProcessId: make([]byte, 16), Head: whole.head,
	}}}))
	for sent := false; !sent; {
		res, err := stream.Recv()
		r.Must(err)
		if step, ok := res.GetStep().(*backupv1.OfferLedgerResponse_ProbeSize); ok {
			r.Must(stream.Send(&backupv1.OfferLedgerRequest{Step: &backupv1.OfferLedgerRequest_Position{Position: whole.at(step.ProbeSize)}}))
			continue
		}
		whole.send(res.GetFirstSequence(), func(req *backupv1.OfferLedgerRequest) { r.Must(stream.Send(req)) })
		sent = true
	}
	pipe, err := os.OpenFile(fifo, os.O_WRONLY, 0) // the server reads
	r.Must(err)
	cancel()
	for {
		if _, err := stream.Recv(); err != nil {
			break
		}
	}
	time.Sleep(50 * time.Millisecond) // for the server to learn of it; too short a time only lets the test pass
	r.Must(os.RemoveAll(earlier))     // no later offer waits for it
	r.Must(pipe.Close())
	for {
		_, result, err := r.offer(r.client, whole, nil, nil)
		if wire.Reason(err) == wire.ReasonTryLater {
			continue // the first one is not done
		}
		if err != nil || result.GetTaken() {
			t.Errorf("the log offered again: %v, %v; the first offer was lost", result, err)
		}
		return
	}
}
