package heartbeatrpc

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// Limits of what an agent may say, so that what is kept of it stays small.
const (
	maxEntriesUnderstood = 100
	maxWordBytes         = 100
	maxMessageBytes      = 500
	maxFaults            = 1000
	maxHeadBytes         = 4096
)

func parseHeartbeat(req *backupv1.HeartbeatRequest, at time.Time) (registry.Heartbeat, error) {
	if len(req.GetDestinations()) > MaxDestinations || len(req.GetUnderstoodEntries()) > maxEntriesUnderstood {
		return registry.Heartbeat{}, fmt.Errorf("the heartbeat reports %d destinations, more than %d, or understands %d entries, more than %d",
			len(req.GetDestinations()), MaxDestinations, len(req.GetUnderstoodEntries()), maxEntriesUnderstood)
	}
	heartbeat := registry.Heartbeat{At: at.UTC(), Version: cut(req.GetAgentVersion(), maxWordBytes), Message: cut(req.GetMessage(), maxMessageBytes), StateFreeBytes: req.StateFreeBytes}
	for _, entry := range req.GetUnderstoodEntries() {
		heartbeat.UnderstoodEntries = append(heartbeat.UnderstoodEntries, cut(entry, maxWordBytes))
	}
	agentTime, err := wire.ParseTime(req.GetAgentTime())
	if err != nil {
		return registry.Heartbeat{}, err
	}
	if !agentTime.IsZero() {
		heartbeat.ClockOffset = agentTime.Sub(at)
	}
	for _, d := range req.GetDestinations() {
		report, err := parseReport(d)
		if err != nil {
			return registry.Heartbeat{}, err
		}
		heartbeat.Reports = append(heartbeat.Reports, report)
	}
	return heartbeat, nil
}

func parseReport(d *backupv1.DestinationReport) (registry.Report, error) {
	origin, err := ledger.ParseOrigin(d.GetOrigin())
	if err != nil {
		return registry.Report{}, err
	}
	if _, known := backupv1.DestinationHealth_name[int32(d.GetHealth())]; !known {
		return registry.Report{}, fmt.Errorf("unknown health %d of %s", d.GetHealth(), origin)
	}
	if min(d.GetSessionNumber(), d.GetSize(), d.GetOutboxCount(), d.GetConfirmedCount(), d.GetFetchedBytes(), d.GetFreeBytes(), d.GetFreeInodeCount()) < 0 {
		return registry.Report{}, fmt.Errorf("the report of %s has a negative number", origin)
	}
	if len(d.GetAgreedHead()) > maxHeadBytes {
		return registry.Report{}, fmt.Errorf("the agreed head of %s has %d bytes, more than %d", origin, len(d.GetAgreedHead()), maxHeadBytes)
	}
	echoed, err := wire.ParseTime(d.GetEchoedTime())
	if err != nil {
		return registry.Report{}, err
	}
	var check *backup.CheckReport
	if d.GetCheck() != nil {
		parsed, err := wire.ParseBriefCheckReport(d.GetCheck())
		if err != nil {
			return registry.Report{}, fmt.Errorf("the report of %s: %w", origin, err)
		}
		check = &parsed
	}
	left, err := wire.ParseCircuit(d.GetCircuit())
	if err != nil {
		return registry.Report{}, fmt.Errorf("the report of %s: %w", origin, err)
	}
	pause, err := parsePause(d.GetPause())
	if err != nil {
		return registry.Report{}, err
	}
	return registry.Report{
		Circuit: circuit(left),
		Origin:  origin, SessionNumber: d.GetSessionNumber(), Size: d.GetSize(), OutboxCount: d.GetOutboxCount(), EchoedTime: echoed,
		AgreedHead: d.GetAgreedHead(), Health: int32(d.GetHealth()), Message: cut(d.GetMessage(), maxMessageBytes),
		FreeBytes: d.FreeBytes, FreeInodeCount: d.FreeInodeCount,
		ConfirmedCount: d.GetConfirmedCount(), FetchedBytes: d.GetFetchedBytes(), Check: check, Pause: pause,
	}, nil
}

func circuit(left *wire.LeftAlone) *registry.Circuit {
	if left == nil {
		return nil
	}
	f := left.Fault
	return &registry.Circuit{Class: f.Class, Party: f.Party, Code: f.Code, Message: cut(f.Message, maxMessageBytes), Since: left.Since, NextTry: left.NextTry}
}

func parsePause(m *backupv1.Pause) (*registry.Pause, error) {
	if m == nil {
		return nil, nil
	}
	until, err := wire.ParseTime(m.GetUntilTime())
	if err != nil {
		return nil, err
	}
	return &registry.Pause{Until: until, Reason: cut(m.GetReason(), maxMessageBytes)}, nil
}

func cut(s string, sizeBytes int) string {
	if len(s) <= sizeBytes {
		return s
	}
	return strings.ToValidUTF8(s[:sizeBytes], "")
}

type itemFault struct {
	manifest       int64 // 0 where the fault hit the destination as a whole
	indexes        ledger.Set
	fault          store.Fault
	digestMismatch bool
}

// parseFaults checks all faults before any is kept. Its error is a status.
func parseFaults(seq *sequencer.Sequencer, faults []*backupv1.ItemFault) ([]itemFault, error) {
	if len(faults) > maxFaults {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonTooLarge, "%d faults in one report are more than %d", len(faults), maxFaults)
	}
	parsed := make([]itemFault, len(faults))
	for i, f := range faults {
		fault, err := wire.ParseFault(f.GetFault())
		if err != nil {
			return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "%v", err)
		}
		indexes, err := wire.ParseIndexes(f.GetIndexes())
		if err != nil {
			return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadIndexes, "%v", err)
		}
		m, sealed := seq.Manifest(f.GetManifest())
		switch {
		case f.GetManifest() != 0 && !sealed:
			return nil, wire.Error(codes.NotFound, wire.ReasonNoManifest, "manifest %d of %s is not sealed", f.GetManifest(), seq.Origin())
		case indexes.IsEmpty() != (f.GetManifest() == 0) || indexes.Max() >= m.Items && !indexes.IsEmpty():
			return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadIndexes, "a fault names %d items of manifest %d, which has %d", indexes.Len(), f.GetManifest(), m.Items)
		}
		parsed[i] = itemFault{f.GetManifest(), indexes, fault, f.GetDigestMismatch()}
	}
	return parsed, nil
}
