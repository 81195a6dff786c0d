package ledgerrpc_test

import (
	"bytes"
	"crypto/ed25519"
	"testing"
	"time"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/servertest"
)

// An agent whose place was taken is told so, and not that it was cloned; it may read why, and nothing else. Heads before and
// after a new server key lead on.
func TestReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stream, opened, err := r.watch(1, &backupv1.LogPosition{}, nil)
	r.Must(err)
	r.follow(stream, ledger.NewFold(), 2)

	const other = "bbbbbbbbbbbbbbbb"
	key, err := ledger.NewSigningKey(r.Origin.AgentKeyName(other), ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)))
	r.Must(err)
	request, err := ledger.SignRequest(r.Origin, key)
	r.Must(err)
	r.Must(r.Sequencer().Assign(t.Context(), request, servertest.Agent, time.Now()))
	next, err := r.Registry.AddLogKey(r.Origin)
	r.Must(err)
	r.Must(r.Sequencer().Rekey(t.Context(), next, time.Now()))

	newcomer := r.dial(identity.AgentRole(servertest.Tenant, other))
	theirs, err := newcomer.WatchLedger(t.Context(), &backupv1.WatchLedgerRequest{
		Origin: string(r.Origin), ProcessId: bytes.Repeat([]byte{2}, 16), Position: &backupv1.LogPosition{},
	})
	r.Must(err)
	first, err := theirs.Recv()
	r.Must(err)
	if first.GetOpened().GetSessionNumber() <= opened.GetSessionNumber() {
		t.Errorf("the new agent's session is %d", first.GetOpened().GetSessionNumber())
	}
	r.follow(theirs, ledger.NewFold(), 4)
	for err == nil {
		_, err = stream.Recv()
	}
	if wire.Reason(err) != wire.ReasonNotAssigned {
		t.Errorf("the former agent's watch ends with %v", err)
	}

	// It reads on, with heads by the key of each size, and without a session.
	const size = 2
	root, err := r.Sequencer().Ledger().RootAt(size)
	r.Must(err)
	stream, opened, err = r.watch(1, wire.Position(size, root), nil)
	r.Must(err)
	if opened.GetSessionNumber() != 0 {
		t.Errorf("the former agent got session %d", opened.GetSessionNumber())
	}
	res, err := stream.Recv()
	r.Must(err)
	if head, err := ledger.OpenHead(res.GetBatch().GetHead(), next.Verifier()); err != nil || head.Size != 4 || len(res.GetBatch().GetEntries()) != 2 {
		t.Errorf("the former agent reads %v, %v", head, err)
	}
	_, err = r.client.SubmitReceipts(t.Context(), &backupv1.SubmitReceiptsRequest{Origin: string(r.Origin), SessionNumber: 1, Receipts: [][]byte{{1}}})
	if wire.Reason(err) != wire.ReasonNotAssigned {
		t.Errorf("the former agent submits: %v", err)
	}
	r.Restart() // the keys are found again
	if r.Sequencer().ServerKey() != next.Verifier() {
		t.Errorf("after a start the key is %s", r.Sequencer().ServerKey())
	}
}
