package control

import (
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// TestEvidence hands out a month, and says why not, and how far the evidence at the destination reaches.
func TestEvidence(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.disk.Plant("a.gsm", []byte("a recording"))
	r.disk.Plant("b.gsm", []byte("a recording"))
	client := r.ask(t)
	export := func(destination, month string) (files map[string]string, err error) {
		stream, err := client.ExportEvidence(t.Context(), &backupv1.ExportEvidenceRequest{Destination: destination, Month: month})
		check(t, err)
		files = make(map[string]string)
		for {
			message, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return files, nil
			}
			if err != nil {
				return files, err
			}
			files[message.GetFile().GetPath()] += string(message.GetFile().GetData())
		}
	}
	if _, err := export("nas", "2026-03"); status.Code(err) != codes.FailedPrecondition || wire.Reason(err) != wire.ReasonNotAgreed {
		t.Errorf("with nothing agreed: %v, want NOT_AGREED", err)
	}
	_, err := client.InitDestination(t.Context(), &backupv1.InitDestinationRequest{Destination: "nas"})
	check(t, err)
	r.begin()
	outcome, err := r.night.RunNow(t.Context())
	check(t, errors.Join(err, outcome.Err))
	files, err := export("nas", "2026-03")
	if err != nil || len(files) != 5 || files["kit.txt"] == "" || files["manifests/1/0000000000.txt"] == "" {
		t.Errorf("%d files, %v", len(files), err)
	}
	for _, c := range []struct {
		destination, month string
		code               codes.Code
		reason             string
	}{
		{"nas", "2026-04", codes.NotFound, wire.ReasonNoNight},
		{"nas", "March", codes.InvalidArgument, wire.ReasonBadRequest},
		{"tape", "2026-03", codes.NotFound, wire.ReasonNoDestination},
	} {
		if _, err := export(c.destination, c.month); status.Code(err) != c.code || wire.Reason(err) != c.reason {
			t.Errorf("%s of %s: %v, want %s", c.month, c.destination, err, c.reason)
		}
	}
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		got, err := client.GetStatus(t.Context(), &backupv1.GetStatusRequest{})
		check(t, err)
		if e := got.GetDestinations()[0].GetEvidence(); e.GetThroughNight() == "2026-03-01" && e.GetSize() > 0 && e.GetProblem() == "" {
			return
		} else if time.Since(began) > time.Minute {
			t.Fatalf("the evidence is %v", e)
		}
	}
}
