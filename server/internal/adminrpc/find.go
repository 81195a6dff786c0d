package adminrpc

import (
	"google.golang.org/grpc"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/proof"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
)

// FindRecordings streams where recordings are, in all of a tenant's destinations.
func (s *Service) FindRecordings(req *backupv1.FindRecordingsRequest, stream grpc.ServerStreamingServer[backupv1.FindRecordingsResponse]) error {
	ctx := stream.Context()
	query, err := wire.ParseRecordingQuery(req.GetQuery())
	if err != nil {
		return err
	}
	chosen, err := s.searched(req)
	if err != nil {
		return s.refused(ctx, err)
	}
	page := &wire.FoundPager{Send: func(found []*backupv1.FoundRecording) error {
		return stream.Send(&backupv1.FindRecordingsResponse{Recordings: found})
	}}
	for _, d := range chosen {
		seq, ok := s.Sequencers.Of(d.Origin)
		if !ok { // while it is being created
			continue
		}
		log := seq.Ledger()
		for found, err := range proof.Search(ctx, log, log.RawLines, query) {
			if err == nil {
				err = page.Add(d.Name, log, found)
			}
			if err != nil {
				return s.failed(ctx, err)
			}
		}
	}
	return page.Flush()
}

// searched returns the destinations that a request is about.
func (s *Service) searched(req *backupv1.FindRecordingsRequest) ([]registry.Destination, error) {
	if req.GetDestination() == "" {
		if _, err := s.Registry.Tenant(req.GetTenant()); err != nil {
			return nil, err
		}
		return s.Registry.Destinations(req.GetTenant())
	}
	d, err := s.Registry.Destination(req.GetTenant(), req.GetDestination())
	return []registry.Destination{d}, err
}
