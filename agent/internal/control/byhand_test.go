package control

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/acts"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
)

// closed is a rig whose night was closed, at an initialised place, with its loop at work.
func closed(t *testing.T, items int) (*rig, backupv1.AgentServiceClient) {
	t.Helper()
	r := newRig(t, items)
	client := r.ask(t)
	_, err := client.InitDestination(t.Context(), &backupv1.InitDestinationRequest{Destination: "nas"})
	check(t, err)
	var m ledger.Manifest
	r.log.View(func(log *ledger.Log) { m, _ = log.Manifest(1) })
	var counts ledger.Counts
	counts[backup.Expired] = m.Items
	r.server.append(t, ledger.Closed{Manifest: 1, Root: m.Root, Counts: counts})
	for items, err := r.log.Items(1, backup.Expired); items.IsEmpty(); items, err = r.log.Items(1, backup.Expired) {
		check(t, err)
		<-r.log.Changed()
	}
	r.begin()
	return r, client
}

// said is what an import was told.
type said struct {
	wanted  int
	results []*backupv1.ImportResult
	end     *backupv1.ImportGroupEnd
}

// bring imports files in one group.
func bring(t *testing.T, client backupv1.AgentServiceClient, files map[string]string, names ...string) said {
	t.Helper()
	stream, err := client.ImportFiles(t.Context())
	check(t, err)
	begin := &backupv1.ImportBegin{Person: &backupv1.Person{Name: "Ana Pérez"}}
	check(t, stream.Send(&backupv1.ImportFilesRequest{Step: &backupv1.ImportFilesRequest_Begin{Begin: begin}}))
	offers := &backupv1.ImportOffers{Complete: true}
	for _, name := range names {
		digest := digestOf(files[name])
		offers.Files = append(offers.Files, &backupv1.ImportOffer{Name: name, Sha256: digest.SHA256[:], SizeBytes: digest.SizeBytes})
	}
	check(t, stream.Send(&backupv1.ImportFilesRequest{Step: &backupv1.ImportFilesRequest_Offers{Offers: offers}}))
	var so said
	for so.end == nil {
		response, err := stream.Recv()
		check(t, err)
		if wanted, ok := response.GetStep().(*backupv1.ImportFilesResponse_Wanted); ok {
			so.wanted++
			piece := &backupv1.ImportPiece{Data: []byte(files[names[wanted.Wanted]]), Last: true}
			check(t, stream.Send(&backupv1.ImportFilesRequest{Step: &backupv1.ImportFilesRequest_Piece{Piece: piece}}))
		}
		if result := response.GetResult(); result != nil {
			so.results = append(so.results, result)
		}
		so.end = response.GetEnd()
	}
	check(t, stream.CloseSend())
	return so
}

// TestImportFiles takes one file for all recordings with its contents, refuses others by name, and names the person in the list of
// acts alone.
func TestImportFiles(t *testing.T) {
	t.Parallel()
	r, client := closed(t, 3)
	files := map[string]string{"x": "a recording", "again": "a recording", "b.gsm": "something else", "size": "A recording", "none": "nobody's"}
	so := bring(t, client, files, "x", "again", "b.gsm", "size", "none")
	if so.wanted != 3 || so.end.GetConfirmedCount() != 3 || so.end.GetProblem() != "" {
		t.Errorf("%d contents were wanted; the end is %v", so.wanted, so.end)
	}
	for i, want := range []struct {
		outcome backupv1.ImportOutcome
		message string
	}{
		{backupv1.ImportOutcome_IMPORT_OUTCOME_CONFIRMED, ""},
		{backupv1.ImportOutcome_IMPORT_OUTCOME_CONFIRMED, "same contents as x"},
		{backupv1.ImportOutcome_IMPORT_OUTCOME_REFUSED, "name of the recording b.gsm, but other contents"},
		{backupv1.ImportOutcome_IMPORT_OUTCOME_REFUSED, "size of the recording c.gsm, but other contents"},
		{backupv1.ImportOutcome_IMPORT_OUTCOME_REFUSED, "no recording of this destination"},
	} {
		if got := so.results[i]; got.GetOutcome() != want.outcome || !strings.Contains(got.GetMessage(), want.message) {
			t.Errorf("file %d: %v, want %s: %s", i, got, want.outcome, want.message)
		}
	}
	if so := bring(t, client, files, "x"); so.wanted != 0 || so.results[0].GetOutcome() != backupv1.ImportOutcome_IMPORT_OUTCOME_CONFIRMED_BEFORE {
		t.Errorf("the second time %d contents were wanted: %v", so.wanted, so.results)
	}
	text, err := os.ReadFile(filepath.Join(r.stateDir, acts.File))
	if err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), `"items":"0-2","by":"Ana Pérez"`) {
		t.Errorf("the list of acts says %s, %v", text, err)
	}
	if runtime.GOOS == "linux" && !strings.Contains(string(text), `"user":"`) {
		t.Errorf("the list of acts names no user of this machine: %s", text)
	}
}

// TestImportRefuses answers what is no import.
func TestImportRefuses(t *testing.T) {
	t.Parallel()
	_, client := closed(t, 1)
	begin := &backupv1.ImportFilesRequest{Step: &backupv1.ImportFilesRequest_Begin{Begin: &backupv1.ImportBegin{}}}
	piece := &backupv1.ImportFilesRequest{Step: &backupv1.ImportFilesRequest_Piece{Piece: &backupv1.ImportPiece{}}}
	offer := func(o *backupv1.ImportOffer) *backupv1.ImportFilesRequest {
		return &backupv1.ImportFilesRequest{Step: &backupv1.ImportFilesRequest_Offers{Offers: &backupv1.ImportOffers{Files: []*backupv1.ImportOffer{o}}}}
	}
	elsewhere := &backupv1.ImportFilesRequest{Step: &backupv1.ImportFilesRequest_Begin{Begin: &backupv1.ImportBegin{Destination: "none"}}}
	nobody := &backupv1.ImportFilesRequest{Step: &backupv1.ImportFilesRequest_Begin{Begin: &backupv1.ImportBegin{Person: &backupv1.Person{Name: "a\nb"}}}}
	for name, test := range map[string]struct {
		requests []*backupv1.ImportFilesRequest
		reason   string
	}{
		"no beginning":         {[]*backupv1.ImportFilesRequest{piece}, wire.ReasonBadRequest},
		"no destination":       {[]*backupv1.ImportFilesRequest{elsewhere}, wire.ReasonNoDestination},
		"no name":              {[]*backupv1.ImportFilesRequest{nobody}, wire.ReasonBadRequest},
		"no digest":            {[]*backupv1.ImportFilesRequest{begin, offer(&backupv1.ImportOffer{Name: "a"})}, wire.ReasonBadRequest},
		"an endless name":      {[]*backupv1.ImportFilesRequest{begin, offer(&backupv1.ImportOffer{Name: strings.Repeat("a", 5000), Sha256: make([]byte, 32)})}, wire.ReasonBadRequest},
		"a piece of no file":   {[]*backupv1.ImportFilesRequest{begin, piece}, wire.ReasonBadRequest},
		"half a group":         {[]*backupv1.ImportFilesRequest{begin, offer(&backupv1.ImportOffer{Name: "a", Sha256: make([]byte, 32)})}, wire.ReasonBadRequest},
		"nothing is an import": {[]*backupv1.ImportFilesRequest{begin}, ""},
	} {
		stream, err := client.ImportFiles(t.Context())
		check(t, err)
		for _, request := range test.requests {
			if stream.Send(request) != nil {
				break
			}
		}
		stream.CloseSend()
		if _, err := stream.Recv(); wire.Reason(err) != test.reason {
			t.Errorf("%s: %v, want %q", name, err, test.reason)
		}
	}
}

// TestWaiveItems declines what a person chose and nothing else.
func TestWaiveItems(t *testing.T) {
	t.Parallel()
	r, client := closed(t, 3)
	declined, unknown := backupv1.WaiverReason_WAIVER_REASON_DECLINED, backupv1.WaiverReason(9)
	for name, test := range map[string]struct {
		selection *backupv1.ItemSelection
		why       backupv1.WaiverReason
		reason    string
	}{
		"no reason":        {&backupv1.ItemSelection{All: true}, unknown, wire.ReasonBadRequest},
		"nothing":          {&backupv1.ItemSelection{}, declined, wire.ReasonBadRequest},
		"two ways":         {&backupv1.ItemSelection{All: true, Night: "2026-03-01"}, declined, wire.ReasonBadRequest},
		"no date":          {&backupv1.ItemSelection{Night: "yesterday"}, declined, wire.ReasonBadRequest},
		"another night":    {&backupv1.ItemSelection{Night: "2026-03-02"}, declined, wire.ReasonNoItem},
		"an unknown path":  {&backupv1.ItemSelection{Paths: []string{"a.gsm", "z.gsm"}}, declined, wire.ReasonNoItem},
		"no destination":   {&backupv1.ItemSelection{Destination: "none", All: true}, declined, wire.ReasonNoDestination},
		"a path, and good": {&backupv1.ItemSelection{Paths: []string{"b.gsm"}}, declined, ""},
	} {
		answer, err := client.WaiveItems(t.Context(), &backupv1.WaiveItemsRequest{Selection: test.selection, Reason: test.why})
		if wire.Reason(err) != test.reason || (err == nil) != (test.reason == "") || (err == nil) != (answer.GetWaivedCount() == 1) {
			t.Errorf("%s: %v, %v, want %q", name, answer, err, test.reason)
		}
	}
	waived, err := r.server.log.Items(1, backup.Waived)
	if err != nil || waived.String() != "1" {
		t.Errorf("declined are %s, %v, want b.gsm alone", waived, err)
	}
}

// TestListExpired lists what expired.
func TestListExpired(t *testing.T) {
	t.Parallel()
	_, client := closed(t, 2)
	list := func(destination string) (grpc.ServerStreamingClient[backupv1.ListExpiredResponse], error) {
		return client.ListExpired(t.Context(), &backupv1.ListExpiredRequest{Destination: destination})
	}
	stream, err := list("")
	check(t, err)
	page, err := stream.Recv()
	check(t, err)
	if len(page.GetItems()) != 2 || page.GetDestination() != "nas" || page.GetOrigin() != string(testOrigin) {
		t.Fatalf("listed: %v", page)
	}
	if e := page.GetItems()[1]; e.GetItem().GetPath() != "b.gsm" || e.GetNight() != "2026-03-01" || !e.GetClosedTime().AsTime().Equal(noon) || e.GetSourceKeptTime() != nil {
		t.Errorf("the second is %v", e)
	}
	if stream, err = list("none"); err == nil {
		_, err = stream.Recv()
	}
	if wire.Reason(err) != wire.ReasonNoDestination {
		t.Errorf("another destination: %v", err)
	}
}
