package wire

import (
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// add adds a message as it travels to the corpus of f.
func add(f *testing.F, m proto.Message) {
	f.Helper()
	encoded, err := proto.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encoded)
}

// FuzzIndexes reads indexes out of a request and writes the same ones again.
func FuzzIndexes(f *testing.F) {
	add(f, &backupv1.FetchContentsRequest{Indexes: Indexes(ledger.NewSet(ledger.Range{First: 0, Last: 3}, ledger.Range{First: 7, Last: 7}))})
	add(f, &backupv1.FetchContentsRequest{Indexes: []*backupv1.IndexRange{{First: 5, Last: 1}, nil, {First: -1 << 63, Last: 1<<63 - 1}}})
	f.Fuzz(func(t *testing.T, encoded []byte) {
		request := &backupv1.FetchContentsRequest{}
		if proto.Unmarshal(encoded, request) != nil {
			return
		}
		set, err := ParseIndexes(request.GetIndexes())
		if err != nil {
			return
		}
		again := &backupv1.FetchContentsRequest{Indexes: Indexes(set)}
		if len(again.GetIndexes()) != len(request.GetIndexes()) || !set.IsEmpty() && set.Max() >= ledger.MaxItems {
			t.Fatalf("%v is read as %s", request, set)
		}
		for i, r := range request.GetIndexes() {
			if r.GetFirst() != again.GetIndexes()[i].GetFirst() || r.GetLast() != again.GetIndexes()[i].GetLast() {
				t.Errorf("%v is written as %v", request, again)
			}
		}
	})
}

// FuzzItem reads items and writes what it took for good as the same items again.
func FuzzItem(f *testing.F) {
	item := backup.Item{Path: "main/a.gsm", SourcePath: "main/a.gsm\xff", Kind: backup.KindGSM, Interaction: "call", Digest: backup.Digest{SizeBytes: 33}}
	add(f, Item(3, 0, item, backup.Pending))
	add(f, Line(3, 1, ledger.Line{Forgotten: true}, backup.Forgotten))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		m := &backupv1.Item{}
		if proto.Unmarshal(encoded, m) != nil {
			return
		}
		item, state, err := ParseItem(m)
		if err != nil || item == (backup.Item{}) {
			return
		}
		if backup.CheckPath(item.Path) != nil || item.Digest.SizeBytes < 0 {
			t.Errorf("%v is read as %+v", m, item)
		}
		again, sameState, err := ParseItem(Item(m.GetManifest(), m.GetIndex(), item, state))
		if err != nil || again != item || sameState != state {
			t.Errorf("%+v is read again as %+v, %v", item, again, err)
		}
	})
}

// FuzzPosition reads positions, counts and times out of what an agent sends.
func FuzzPosition(f *testing.F) {
	add(f, &backupv1.WatchLedgerRequest{Position: Position(7, ledger.EmptyRoot())})
	add(f, &backupv1.WatchLedgerRequest{Position: &backupv1.LogPosition{}})
	f.Fuzz(func(t *testing.T, encoded []byte) {
		m := &backupv1.WatchLedgerRequest{}
		if proto.Unmarshal(encoded, m) != nil {
			return
		}
		size, root, err := ParsePosition(m.GetPosition())
		if err != nil {
			return
		}
		again, sameRoot, err := ParsePosition(Position(size, root))
		if err != nil || again != size || sameRoot != root || size < 0 || size > ledger.MaxDecimal {
			t.Errorf("%v is read as %d, %v", m, size, err)
		}
	})
}

// FuzzFault reads faults; what it keeps of one is small, is text, and is written as the same again.
func FuzzFault(f *testing.F) {
	add(f, Fault(store.Fault{Class: "disk-full", Party: "client", Code: "ENOSPC", Message: "no room", Last: time.Unix(1e9, 0), Attempts: 3}))
	add(f, &backupv1.Fault{Class: "c", Party: "p", AttemptCount: -1})
	f.Fuzz(func(t *testing.T, encoded []byte) {
		m := &backupv1.Fault{}
		if proto.Unmarshal(encoded, m) != nil {
			return
		}
		fault, err := ParseFault(m)
		if err != nil {
			return
		}
		if len(fault.Class)+len(fault.Party)+len(fault.Code) > 3*maxFaultWordBytes || len(fault.Message) > maxFaultMessageBytes {
			t.Errorf("%d bytes are kept of a fault", len(fault.Message))
		}
		again, err := ParseFault(Fault(fault))
		if err != nil || again != fault {
			t.Errorf("%+v is read again as %+v, %v", fault, again, err)
		}
	})
}

// FuzzCounts reads counts and writes the same.
func FuzzCounts(f *testing.F) {
	add(f, Counts(ledger.Counts{0, 1, 2, 3, 4, 5, 6, 7}))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		m := &backupv1.StateCounts{}
		if proto.Unmarshal(encoded, m) != nil {
			return
		}
		counts, err := ParseCounts(m)
		if err != nil {
			return
		}
		if again, err := ParseCounts(Counts(counts)); err != nil || again != counts {
			t.Errorf("%v is read again as %v, %v", counts, again, err)
		}
	})
}

// FuzzStatus reads reason and RetryInfo of whatever status a peer made up: a wait is never negative, and a reason only
// comes with this protocol's domain.
func FuzzStatus(f *testing.F) {
	add(f, grpcstatus.Convert(RetryError(codes.ResourceExhausted, ReasonTryLater, time.Second, "busy")).Proto())
	add(f, grpcstatus.Convert(Error(codes.NotFound, ReasonNoManifest, "gone")).Proto())
	add(f, &status.Status{Code: 2, Message: "x"})
	f.Fuzz(func(t *testing.T, encoded []byte) {
		m := &status.Status{}
		if proto.Unmarshal(encoded, m) != nil {
			return
		}
		err := grpcstatus.ErrorProto(m)
		if after, ok := RetryAfter(err); after < 0 || !ok && after != 0 {
			t.Errorf("%v asks to wait %v", m, after)
		}
		if err == nil && Reason(err) != "" {
			t.Errorf("%v is no error, and has the reason %s", m, Reason(err))
		}
	})
}
