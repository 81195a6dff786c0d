package control

import (
	"errors"
	"io"
	"testing"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

func TestFindAgentRecordings(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	client := r.ask(t)
	find := func(destination string, query *backupv1.RecordingQuery) ([]*backupv1.FoundRecording, error) {
		stream, err := client.FindAgentRecordings(t.Context(), &backupv1.FindAgentRecordingsRequest{Destination: destination, Query: query})
		check(t, err)
		var found []*backupv1.FoundRecording
		for {
			page, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return found, nil
			}
			if err != nil {
				return nil, err
			}
			found = append(found, page.GetRecordings()...)
		}
	}
	found, err := find("", &backupv1.RecordingQuery{Name: "b.g"})
	check(t, err)
	if len(found) != 1 || found[0].GetDestination() != "nas" || found[0].GetItem().GetPath() != "b.gsm" || found[0].GetItem().GetState() != backupv1.ItemState_ITEM_STATE_PENDING {
		t.Errorf("found %v", found)
	}
	if found, err := find("nas", &backupv1.RecordingQuery{Night: found[0].GetNight()}); err != nil || len(found) != 2 {
		t.Errorf("of the night: %v, %v", found, err)
	}
	if found, err := find("nas", &backupv1.RecordingQuery{Name: "c.gsm"}); err != nil || len(found) != 0 {
		t.Errorf("none: %v, %v", found, err)
	}
	if _, err := find("nas", nil); wire.Reason(err) != wire.ReasonBadRequest {
		t.Errorf("nothing is looked for: %v", err)
	}
	if _, err := find("tape", &backupv1.RecordingQuery{Name: "b"}); wire.Reason(err) != wire.ReasonNoDestination {
		t.Errorf("no such destination: %v", err)
	}
}
