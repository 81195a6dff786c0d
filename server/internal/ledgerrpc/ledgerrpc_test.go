package ledgerrpc_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/ledgerrpc"
	"github.com/wolkvox/backup/server/internal/servertest"
)

var noon = time.Date(2026, 3, 10, 17, 0, 0, 0, time.UTC)

type rig struct {
	*servertest.Server
	t      *testing.T
	key    *ledger.SigningKey
	client backupv1.LedgerServiceClient
	dial   func(identity.Role) backupv1.LedgerServiceClient
}

func newRig(t *testing.T) *rig {
	s := servertest.New(t, "America/Bogota", backup.StorageRSYNC, noon)
	r := &rig{Server: s, t: t, key: s.Enroll()}
	r.serve()
	return r
}

// serve serves the logs as they are open.
func (r *rig) serve() {
	service := ledgerrpc.New(r.Sequencers, nil)
	address := r.Serve(func(g *grpc.Server) { backupv1.RegisterLedgerServiceServer(g, service) })
	r.dial = func(role identity.Role) backupv1.LedgerServiceClient {
		return backupv1.NewLedgerServiceClient(r.Dial(address, role))
	}
	r.client = r.dial(identity.AgentRole(servertest.Tenant, servertest.Agent))
}

// restart opens everything again, as a server that was stopped and started.
func (r *rig) restart() {
	r.Restart()
	r.serve()
}

func (r *rig) watch(process byte, position *backupv1.LogPosition, kept []byte) (grpc.ServerStreamingClient[backupv1.WatchLedgerResponse], *backupv1.SessionOpened, error) {
	r.t.Helper()
	stream, err := r.client.WatchLedger(r.t.Context(), &backupv1.WatchLedgerRequest{
		Origin: string(r.Origin), ProcessId: bytes.Repeat([]byte{process}, 16), Position: position, KeptHead: kept,
	})
	r.Must(err)
	res, err := stream.Recv()
	return stream, res.GetOpened(), err
}

// follow applies batches to log until it has size entries, checking every head.
func (r *rig) follow(stream grpc.ServerStreamingClient[backupv1.WatchLedgerResponse], fold *ledger.Fold, size int64) {
	r.t.Helper()
	for {
		res, err := stream.Recv()
		r.Must(err)
		batch := res.GetBatch()
		if batch.GetAfterSequence() != fold.Size {
			r.t.Fatalf("a batch after %d for a log of %d", batch.GetAfterSequence(), fold.Size)
		}
		for _, leaf := range batch.GetEntries() {
			_, _, err := fold.Append(leaf)
			r.Must(err)
		}
		head, err := ledger.OpenHead(batch.GetHead(), fold.ServerKey)
		r.Must(err)
		if root, err := r.Sequencer().Ledger().RootAt(fold.Size); err != nil || head.Size != fold.Size || head.Root != root {
			r.t.Fatalf("the head %v does not belong to the %d entries: %v", head, fold.Size, err)
		}
		if fold.Size >= size {
			return
		}
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stream, opened, err := r.watch(1, &backupv1.LogPosition{}, nil)
	r.Must(err)
	if opened.GetSize() != 2 || opened.GetSessionNumber() < 1 || opened.GetServerTime() == nil {
		t.Errorf("opened %v", opened)
	}
	session := opened.GetSessionNumber()
	fold := ledger.NewFold()
	r.follow(stream, fold, 2)
	r.Write("a.gsm", "a", noon.Add(-time.Hour))
	r.Look(false, noon)
	r.follow(stream, fold, 3)

	// Nothing is missing: the head comes alone.
	size, root := r.Sequencer().Ledger().Position()
	head, _, err := r.Sequencer().Head()
	r.Must(err)
	again, opened, err := r.watch(1, wire.Position(size, root), head)
	r.Must(err)
	if opened.GetSessionNumber() != session {
		t.Errorf("the same process got session %d", opened.GetSessionNumber())
	}
	r.follow(again, fold, size)
	if _, err := stream.Recv(); wire.Reason(err) != wire.ReasonReplaced {
		t.Errorf("the process's earlier watch: %v", err)
	}

	_, opened, err = r.watch(2, wire.Position(size, root), nil)
	r.Must(err)
	if opened.GetSessionNumber() != session+1 {
		t.Errorf("another process got session %d", opened.GetSessionNumber())
	}
	r.Must(r.Sequencer().CheckSession(opened.GetSessionNumber())) // from its first use on it supersedes the other
	if _, err := again.Recv(); wire.Reason(err) != wire.ReasonSuperseded {
		t.Errorf("the earlier process: %v", err)
	}
	if _, _, err := r.watch(1, wire.Position(size, root), nil); wire.Reason(err) != wire.ReasonSuperseded {
		t.Errorf("the earlier process comes again: %v", err)
	}
}

func TestWatchRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	size, root := r.Sequencer().Ledger().Position()
	root[0]++
	for name, position := range map[string]*backupv1.LogPosition{
		"another root": wire.Position(size, root), "a longer log": wire.Position(size+1, root),
	} {
		if _, _, err := r.watch(1, position, nil); wire.Reason(err) != wire.ReasonOfferWanted {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"no position": second(r.watch(1, nil, nil)),
		"no head":     second(r.watch(1, &backupv1.LogPosition{}, []byte("no head"))),
	} {
		if wire.Reason(err) != wire.ReasonBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, role := range map[string]identity.Role{
		"another agent":                       identity.AgentRole(servertest.Tenant, "bbbbbbbbbbbbbbbb"),
		"an agent of another tenant so named": identity.AgentRole("other", servertest.Agent),
	} {
		client := r.dial(role)
		stream, err := client.WatchLedger(t.Context(), &backupv1.WatchLedgerRequest{Origin: string(r.Origin), ProcessId: make([]byte, 16), Position: &backupv1.LogPosition{}})
		r.Must(err)
		if _, err = stream.Recv(); wire.Reason(err) != wire.ReasonNotAssigned {
			t.Errorf("%s watches: %v", name, err)
		}
		if _, err := client.SubmitReceipts(t.Context(), &backupv1.SubmitReceiptsRequest{Origin: string(r.Origin)}); wire.Reason(err) != wire.ReasonNotAssigned {
			t.Errorf("%s submits: %v", name, err)
		}
		read, err := client.ReadManifest(t.Context(), &backupv1.ReadManifestRequest{Origin: string(r.Origin), Manifest: 1})
		r.Must(err)
		if _, err = read.Recv(); wire.Reason(err) != wire.ReasonNotAssigned {
			t.Errorf("%s reads: %v", name, err)
		}
	}
}

func second[A, B any](_ A, _ B, err error) error { return err }

func TestReadManifest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const items = 4000
	for i := range items {
		r.Write(fmt.Sprintf("%s-%06d.gsm", strings.Repeat("n", 60), i), "", noon.Add(-time.Hour))
	}
	r.Look(false, noon)
	_, opened, err := r.watch(1, &backupv1.LogPosition{}, nil)
	r.Must(err)
	read := func(session, manifest, start int64) (lines []byte, err error) {
		stream, err := r.client.ReadManifest(t.Context(), &backupv1.ReadManifestRequest{
			Origin: string(r.Origin), SessionNumber: session, Manifest: manifest, StartIndex: start,
		})
		r.Must(err)
		for last := false; !last; {
			res, err := stream.Recv()
			if err != nil {
				return lines, err
			}
			if want := start + int64(bytes.Count(lines, []byte{'\n'})); res.GetStartIndex() != want || len(res.GetLines()) > 256<<10 {
				return lines, fmt.Errorf("a message from line %d of %d bytes, want line %d", res.GetStartIndex(), len(res.GetLines()), want)
			}
			lines = append(lines, res.GetLines()...)
			last = res.GetLast()
		}
		return lines, nil
	}
	session := opened.GetSessionNumber()
	whole, err := read(session, 1, 0)
	r.Must(err)
	checker := ledger.NewManifestChecker()
	for line := range bytes.Lines(whole) {
		_, err := checker.Add(bytes.TrimSuffix(line, []byte{'\n'}))
		r.Must(err)
	}
	m, _ := r.Sequencer().Manifest(1)
	r.Must(checker.Check(m))
	rest, err := read(session, 1, 3000)
	r.Must(err)
	if bytes.Count(rest, []byte{'\n'}) != items-3000 || !bytes.HasSuffix(whole, rest) {
		t.Error("resuming gave other lines")
	}
	if end, err := read(session, 1, items); err != nil || len(end) != 0 {
		t.Errorf("from the end on: %d bytes, %v", len(end), err)
	}
	for reason, err := range map[string]error{
		wire.ReasonNoManifest: justError(read(session, 2, 0)),
		wire.ReasonBadIndexes: justError(read(session, 1, items+1)),
		wire.ReasonNoSession:  justError(read(session+1, 1, 0)),
	} {
		if wire.Reason(err) != reason {
			t.Errorf("%v, want %s", err, reason)
		}
	}
}

func justError(_ []byte, err error) error { return err }

func TestSubmit(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Write("a.gsm", "a", noon.Add(-time.Hour))
	r.Look(false, noon)
	_, opened, err := r.watch(1, &backupv1.LogPosition{}, nil)
	r.Must(err)
	session := opened.GetSessionNumber()
	m, _ := r.Sequencer().Manifest(1)
	leaf, err := ledger.Sign(ledger.Entry{Origin: r.Origin, Time: noon, Body: ledger.Delivered{
		Receipt: ledger.Receipt{Manifest: 1, Root: m.Root, Number: 1, Indexes: ledger.NewSet(ledger.Range{})},
		Method:  backup.ReadbackUncached, Brought: ledger.BroughtAutomatic,
	}}, r.key)
	r.Must(err)
	submit := func(session int64, receipts ...[]byte) ([]backupv1.Verdict, error) {
		res, err := r.client.SubmitReceipts(context.WithoutCancel(t.Context()), &backupv1.SubmitReceiptsRequest{
			Origin: string(r.Origin), SessionNumber: session, Receipts: receipts,
		})
		return res.GetVerdicts(), err
	}
	for range 2 {
		verdicts, err := submit(session, leaf)
		if err != nil || len(verdicts) != 1 || verdicts[0] != backupv1.Verdict_VERDICT_OK {
			t.Errorf("verdicts %v, %v", verdicts, err)
		}
	}
	large := bytes.Repeat([]byte{'x'}, 600<<10)
	tests := []struct {
		name     string
		session  int64
		receipts [][]byte
		reason   string
	}{
		{"nothing", session, nil, wire.ReasonBadRequest},
		{"too much", session, [][]byte{large, large}, wire.ReasonTooLarge},
		{"no receipt", session, [][]byte{[]byte("x")}, wire.ReasonBadReceipt},
		{"a session that was never opened", session + 7, [][]byte{leaf}, wire.ReasonNoSession},
	}
	for _, test := range tests {
		if _, err := submit(test.session, test.receipts...); wire.Reason(err) != test.reason {
			t.Errorf("%s: %v, want %s", test.name, err, test.reason)
		}
	}
}
