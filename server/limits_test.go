package server_test

import (
	"bytes"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
)

// TestLimits meets the limits of part 5 of proto/README.md that a single request can meet, each by one more than it allows.
func TestLimits(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve(t)
	f.must(t, "tenant add acme --time-zone America/Bogota --quiet 0s")
	files := map[string]string{}
	for i := range 3 {
		files[fmt.Sprintf("%d.txt", i)] = "x"
	}
	f.must(t, "source add acme calls --directory "+recordings(t, files))
	f.must(t, "destination add acme nas --kind rsync")
	g := newGuest(t, f, "acme", "nas", "127.0.0.1")
	f.must(t, "seal acme --wait")
	conn := g.dial(t)
	log, content, beat := backupv1.NewLedgerServiceClient(conn), backupv1.NewContentServiceClient(conn), backupv1.NewHeartbeatServiceClient(conn)
	ctx := t.Context()
	watch, err := log.WatchLedger(ctx, &backupv1.WatchLedgerRequest{Origin: string(g.origin), ProcessId: make([]byte, 16), Position: &backupv1.LogPosition{}})
	check(t, err)
	first, err := watch.Recv()
	check(t, err)
	session := first.GetOpened().GetSessionNumber()

	var ranges []*backupv1.IndexRange
	for i := range int64(ledger.MaxRanges + 1) {
		ranges = append(ranges, &backupv1.IndexRange{First: 2 * i, Last: 2 * i})
	}
	fetch := func(ranges []*backupv1.IndexRange) error {
		stream, err := content.FetchContents(ctx, &backupv1.FetchContentsRequest{Origin: string(g.origin), SessionNumber: session, Manifest: 1, Indexes: ranges})
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}
	submit := func(receipts ...[]byte) error {
		_, err := log.SubmitReceipts(ctx, &backupv1.SubmitReceiptsRequest{Origin: string(g.origin), SessionNumber: session, Receipts: receipts})
		return err
	}
	report := func(faults ...*backupv1.ItemFault) error {
		_, err := beat.ReportFaults(ctx, &backupv1.ReportFaultsRequest{Origin: string(g.origin), SessionNumber: session, Faults: faults})
		return err
	}
	fault := &backupv1.Fault{Class: "c", Party: "p"}
	destinations := make([]*backupv1.DestinationReport, 65)
	_, tooManyDestinations := beat.Heartbeat(ctx, &backupv1.HeartbeatRequest{Destinations: destinations})
	read, err := log.ReadManifest(ctx, &backupv1.ReadManifestRequest{Origin: string(g.origin), SessionNumber: session, Manifest: 1, StartIndex: 4})
	check(t, err)
	_, tooFar := read.Recv()
	for name, test := range map[string]struct {
		err    error
		reason string
	}{
		"ranges of contents":     {fetch(ranges), wire.ReasonBadIndexes},
		"an index of contents":   {fetch([]*backupv1.IndexRange{{First: 0, Last: ledger.MaxItems}}), wire.ReasonBadIndexes},
		"a receipt":              {submit(bytes.Repeat([]byte{'x'}, ledger.MaxEntryBytes+1)), wire.ReasonBadReceipt},
		"receipts":               {submit(make([]byte, 512<<10), make([]byte, 512<<10+1)), wire.ReasonTooLarge},
		"faults":                 {report(make([]*backupv1.ItemFault, 1001)...), wire.ReasonTooLarge},
		"ranges of a fault":      {report(&backupv1.ItemFault{Manifest: 1, Fault: fault, Indexes: ranges}), wire.ReasonBadIndexes},
		"destinations":           {tooManyDestinations, wire.ReasonBadRequest},
		"lines of a manifest":    {tooFar, wire.ReasonBadIndexes},
		"a request of 2 MiB":     {submit(make([]byte, 2<<20)), ""},
		"and all is as it was":   {fetch([]*backupv1.IndexRange{{First: 0, Last: 2}}), ""},
		"and receipts are taken": {report(&backupv1.ItemFault{Fault: fault}), ""},
	} {
		if wire.Reason(test.err) != test.reason {
			t.Errorf("%s: %v, want %s", name, test.err, test.reason)
		}
		if want := name == "a request of 2 MiB"; want != (status.Code(test.err) == codes.ResourceExhausted) {
			t.Errorf("%s: %v", name, test.err)
		}
	}
}
