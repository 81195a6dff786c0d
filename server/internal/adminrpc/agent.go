package adminrpc

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
)

// ListAgents lists agents and how they were when last heard.
func (s *Service) ListAgents(ctx context.Context, req *backupv1.ListAgentsRequest) (*backupv1.ListAgentsResponse, error) {
	all, err := s.Registry.Agents(req.GetTenant())
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	revoked, err := s.Registry.RevokedAgents()
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	revokedAt := make(map[identity.Role]time.Time)
	for _, r := range revoked {
		revokedAt[identity.AgentRole(r.Tenant, r.Name)] = r.At
	}
	res := &backupv1.ListAgentsResponse{}
	for _, a := range all {
		heard, err := s.Hearer.Heard(a.Tenant, a.Name)
		if err != nil {
			return nil, s.failed(ctx, err)
		}
		summary := agent(a, heard)
		if at, ok := revokedAt[identity.AgentRole(a.Tenant, a.Name)]; ok {
			summary.RevokeTime = wire.Time(at)
		}
		res.Agents = append(res.Agents, summary)
	}
	return res, nil
}

func circuit(c *registry.Circuit) *backupv1.Circuit {
	if c == nil {
		return nil
	}
	return wire.Circuit(&wire.LeftAlone{
		Fault: store.Fault{Class: c.Class, Party: c.Party, Code: c.Code, Message: c.Message, Last: c.Since}, Since: c.Since, NextTry: c.NextTry,
	})
}

func agent(a registry.Agent, heard registry.Heartbeat) *backupv1.AgentSummary {
	m := &backupv1.AgentSummary{
		Name: a.Name, Tenant: a.Tenant, HostName: a.HostName, Version: a.Version, Platform: a.Platform,
		CertificateExpireTime: wire.Time(a.CertificateEnd),
	}
	if heard.At.IsZero() {
		return m
	}
	m.Version, m.HeardTime, m.ClockOffset = heard.Version, wire.Time(heard.At), durationpb.New(heard.ClockOffset)
	m.Message, m.StateFreeBytes = heard.Message, heard.StateFreeBytes
	for _, r := range heard.Reports {
		report := &backupv1.DestinationReport{
			Origin: string(r.Origin), SessionNumber: r.SessionNumber, Size: r.Size, OutboxCount: r.OutboxCount,
			EchoedTime: wire.Time(r.EchoedTime), AgreedHead: r.AgreedHead, Health: backupv1.DestinationHealth(r.Health), Message: r.Message,
			FreeBytes: r.FreeBytes, FreeInodeCount: r.FreeInodeCount, ConfirmedCount: r.ConfirmedCount, FetchedBytes: r.FetchedBytes,
			Circuit: circuit(r.Circuit), Pause: pause(r.Pause),
		}
		if r.Check != nil {
			report.Check = wire.CheckReport(*r.Check)
		}
		m.Destinations = append(m.Destinations, report)
	}
	return m
}

func pause(p *registry.Pause) *backupv1.Pause {
	if p == nil {
		return nil
	}
	return &backupv1.Pause{UntilTime: wire.Time(p.Until), Reason: p.Reason}
}
