package ledgerrpc_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/servertest"
)

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
