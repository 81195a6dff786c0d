package adminrpc

import (
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
)

// What one message of ReadAdminLog carries at most; a record is far smaller than the second of them.
const (
	maxRecordsPerMessage = 1000
	maxRecordsBytes      = 1 << 20
)

// ReadAdminLog streams what was done by whom and why, oldest first.
func (s *Service) ReadAdminLog(req *backupv1.ReadAdminLogRequest, stream grpc.ServerStreamingServer[backupv1.ReadAdminLogResponse]) error {
	ctx := stream.Context()
	if req.GetTenant() != "" {
		if _, err := s.Registry.Tenant(req.GetTenant()); err != nil {
			return s.refused(ctx, err)
		}
	}
	if err := s.LocalActs.TakeIn(ctx); err != nil {
		return s.failed(ctx, err)
	}
	page, bytes := &backupv1.ReadAdminLogResponse{}, 0
	err := s.Registry.AdminLog(req.GetTenant(), req.GetAfterNumber(), func(r registry.AdminRecord) error {
		m := &backupv1.AdminRecord{
			Number: r.Number, Time: wire.Time(r.Time), Who: r.Who, Act: r.Act.Act, Subject: r.Subject,
			Reason: r.Reason, Outcome: r.Outcome, Tenant: r.Tenant, Previous: r.Previous,
		}
		size := proto.Size(m)
		if len(page.GetRecords()) == maxRecordsPerMessage || bytes+size > maxRecordsBytes {
			if err := stream.Send(page); err != nil {
				return err
			}
			page, bytes = &backupv1.ReadAdminLogResponse{}, 0
		}
		page.Records = append(page.Records, m)
		bytes += size
		return ctx.Err()
	})
	if err != nil {
		return s.failed(ctx, err)
	}
	if len(page.GetRecords()) == 0 {
		return nil
	}
	return stream.Send(page)
}
