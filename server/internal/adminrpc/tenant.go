package adminrpc

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
)

// CreateTenant registers a client of wolkvox.
func (s *Service) CreateTenant(ctx context.Context, req *backupv1.CreateTenantRequest) (*backupv1.CreateTenantResponse, error) {
	t, err := parseTenant(req.GetTenant())
	if err != nil {
		return nil, err
	}
	if err := s.Registry.CreateTenant(t); err != nil {
		return nil, s.refused(ctx, err)
	}
	s.done(ctx, "create tenant", t.Name)
	return &backupv1.CreateTenantResponse{Tenant: tenant(t)}, nil
}

// ListTenants lists all tenants by name.
func (s *Service) ListTenants(ctx context.Context, _ *backupv1.ListTenantsRequest) (*backupv1.ListTenantsResponse, error) {
	all, err := s.Registry.Tenants()
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	res := &backupv1.ListTenantsResponse{}
	for _, t := range all {
		res.Tenants = append(res.Tenants, tenant(t))
	}
	return res, nil
}

// SetStorageQuota sets how much a tenant may keep in wolkvox Storage.
func (s *Service) SetStorageQuota(ctx context.Context, req *backupv1.SetStorageQuotaRequest) (*backupv1.SetStorageQuotaResponse, error) {
	t, err := s.Registry.SetStorageQuota(req.GetTenant(), req.GetQuotaBytes())
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	s.done(ctx, "set storage quota", t.Name)
	return &backupv1.SetStorageQuotaResponse{Tenant: tenant(t)}, nil
}

// parseTenant reads a tenant. The registry judges the values; here is only found whether they can be read. The error is a
// status.
func parseTenant(t *backupv1.Tenant) (registry.Tenant, error) {
	if t == nil {
		return registry.Tenant{}, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "the request names no tenant")
	}
	times := map[string]*durationpb.Duration{
		"window's start": t.GetWindow().GetStart(), "window's end": t.GetWindow().GetEnd(), "cut-off": t.GetCutOff(), "quiet time": t.GetQuiet(),
	}
	for what, value := range times {
		if value == nil {
			continue
		}
		if err := value.CheckValid(); err != nil || value.AsDuration()%time.Second != 0 {
			return registry.Tenant{}, wire.Error(codes.InvalidArgument, wire.ReasonBadWindow, "the %s is not a time in whole seconds", what)
		}
	}
	return registry.Tenant{
		Name: t.GetName(), TimeZone: t.GetWindow().GetTimeZone(),
		WindowStart: t.GetWindow().GetStart().AsDuration(), WindowEnd: t.GetWindow().GetEnd().AsDuration(),
		CutOff: t.GetCutOff().AsDuration(), Quiet: t.GetQuiet().AsDuration(), BytesPerSecond: t.GetWindow().GetBytesPerSecond(),
		StorageQuotaBytes: t.GetStorageQuotaBytes(),
	}, nil
}

func tenant(t registry.Tenant) *backupv1.Tenant {
	return &backupv1.Tenant{
		Name: t.Name,
		Window: &backupv1.NightWindow{
			TimeZone: t.TimeZone, Start: durationpb.New(t.WindowStart), End: durationpb.New(t.WindowEnd), BytesPerSecond: t.BytesPerSecond,
		},
		CutOff: durationpb.New(t.CutOff), Quiet: durationpb.New(t.Quiet),
		StorageQuotaBytes: t.StorageQuotaBytes,
	}
}
