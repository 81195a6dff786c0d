package ledgerrpc_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/ledgerrpc"
	"github.com/wolkvox/backup/server/internal/servertest"
)

// An agent that served a log before may watch it, many times over, as its watches do not replace each other; but no more
// often than the limit, and a watch that ends makes room for another.
func TestTooManyWatches(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const next = "bbbbbbbbbbbbbbbb"
	_, private, err := ed25519.GenerateKey(rand.Reader)
	r.Must(err)
	key, err := ledger.NewSigningKey(r.Origin.AgentKeyName(next), private)
	r.Must(err)
	request, err := ledger.SignRequest(r.Origin, key)
	r.Must(err)
	servers, err := r.Registry.LogKeys(r.Origin)
	r.Must(err)
	leaf, err := ledger.Sign(ledger.Entry{Origin: r.Origin, Time: noon, Body: ledger.Assigned{Request: request}}, servers[0])
	r.Must(err)
	r.Must(r.Sequencer().Ledger().Append(leaf))

	watch := func() (end func(), err error) {
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := r.client.WatchLedger(ctx, &backupv1.WatchLedgerRequest{Origin: string(r.Origin), ProcessId: make([]byte, 16), Position: &backupv1.LogPosition{}})
		r.Must(err)
		_, err = stream.Recv()
		return cancel, err
	}
	var ends []func()
	for range ledgerrpc.MaxWatches {
		end, err := watch()
		r.Must(err)
		ends = append(ends, end)
	}
	if _, err := watch(); wire.Reason(err) != wire.ReasonTooManyWatches || status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one watch more: %v", err)
	}
	other := r.dial(identity.AgentRole(servertest.Tenant, next))
	stream, err := other.WatchLedger(t.Context(), &backupv1.WatchLedgerRequest{Origin: string(r.Origin), ProcessId: make([]byte, 16), Position: &backupv1.LogPosition{}})
	r.Must(err)
	if _, err = stream.Recv(); err != nil {
		t.Errorf("the agent that serves it now: %v", err)
	}
	ends[0]()
	for {
		if _, err = watch(); err == nil {
			break
		}
		if wire.Reason(err) != wire.ReasonTooManyWatches {
			t.Fatal(err)
		}
	}
}
