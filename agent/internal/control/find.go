package control

import (
	"google.golang.org/grpc"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/proof"
	"github.com/wolkvox/backup/internal/wire"
)

// FindAgentRecordings streams where recordings are. It asks neither the server nor a destination.
func (s *Service) FindAgentRecordings(request *backupv1.FindAgentRecordingsRequest, stream grpc.ServerStreamingServer[backupv1.FindAgentRecordingsResponse]) error {
	query, err := wire.ParseRecordingQuery(request.GetQuery())
	if err != nil {
		return err
	}
	chosen, err := s.chosen(request.GetDestination())
	if err != nil {
		return err
	}
	page := &wire.FoundPager{Send: func(found []*backupv1.FoundRecording) error {
		return stream.Send(&backupv1.FindAgentRecordingsResponse{Recordings: found})
	}}
	for _, d := range chosen {
		for found, err := range proof.Search(stream.Context(), d.Log, d.Log.RawLines, query) {
			if err == nil {
				err = page.Add(d.Name, d.Log, found)
			}
			if err != nil {
				return err
			}
		}
	}
	return page.Flush()
}
