package uplink

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/notes"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

// goodOrder is an answer in which everything is as it should be.
func goodOrder() *backupv1.HeartbeatResponse {
	return &backupv1.HeartbeatResponse{
		ServerTime: timestamppb.New(noon),
		Destinations: []*backupv1.DestinationOrder{{
			Origin: string(testOrigin), Status: backupv1.AssignmentStatus_ASSIGNMENT_STATUS_ASSIGNED, RunNumber: 3,
			Window: &backupv1.NightWindow{TimeZone: "America/Bogota", Start: durationpb.New(22 * time.Hour), End: durationpb.New(6 * time.Hour), BytesPerSecond: 1000},
		}},
	}
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	h, log := newHistory(t, ""), newLedger(t)
	h.seal("a", 2)
	server := serveLog(h)
	var got *backupv1.HeartbeatRequest
	server.beat = func(m *backupv1.HeartbeatRequest) (*backupv1.HeartbeatResponse, error) {
		got = m
		return goodOrder(), nil
	}
	s := start(t, server, log)
	enqueue(t, h, log, 2)
	head, err := ledger.Cosign(log.Head(), h.key.Verifier(), h.agent, noon)
	check(t, err)
	check(t, log.PutAgreed(head))
	orders, err := s.client.Heartbeat(t.Context(), Self{Version: "v1"}, []Report{{
		Session: s, Health: HealthFault, Message: "broken\xff", FreeBytes: 5, FreeInodes: -1, ConfirmedItems: 6, FetchedBytes: 7,
		LeftAlone: &wire.LeftAlone{Fault: store.Fault{Class: "capacity", Party: "client", Last: noon, Attempts: 1}, Since: noon, NextTry: noon.Add(time.Minute)},
		Check: &backup.CheckReport{At: noon, Worst: backup.CheckWarning, Lines: []backup.CheckLine{
			{Subject: "write", Verdict: backup.CheckGood, Message: "written"}, {Subject: "clock", Verdict: backup.CheckWarning, Message: "wrong", Class: "clock"},
		}},
		Pause: &notes.Pause{Until: noon, Reason: "the NAS moves"},
	}})
	check(t, err)
	if len(orders) != 1 || orders[0].RunNumber != 3 || orders[0].BytesPerSecond != 1000 || orders[0].Window.Start != 22*time.Hour ||
		orders[0].Window.End != 6*time.Hour || orders[0].Window.Location.String() != "America/Bogota" {
		t.Errorf("orders %+v", orders)
	}
	free := int64(5)
	want := []*backupv1.DestinationReport{{
		Origin: string(testOrigin), SessionNumber: 7, Size: 3, OutboxCount: 2, EchoedTime: timestamppb.New(noon), AgreedHead: head,
		Health: backupv1.DestinationHealth_DESTINATION_HEALTH_FAULT, Message: "broken?", FreeBytes: &free, ConfirmedCount: 6, FetchedBytes: 7,
		Circuit: &backupv1.Circuit{Fault: &backupv1.Fault{Class: "capacity", Party: "client", LastTime: timestamppb.New(noon), AttemptCount: 1},
			SinceTime: timestamppb.New(noon), NextTryTime: timestamppb.New(noon.Add(time.Minute))},
		Check: &backupv1.CheckReport{CheckTime: timestamppb.New(noon), Verdict: backupv1.CheckVerdict_CHECK_VERDICT_WARNING, Lines: []*backupv1.CheckLine{
			{Subject: "clock", Verdict: backupv1.CheckVerdict_CHECK_VERDICT_WARNING, Message: "wrong", Class: "clock"},
		}},
		Pause: &backupv1.Pause{UntilTime: timestamppb.New(noon), Reason: "the NAS moves"},
	}}
	if diff := cmp.Diff(want, got.GetDestinations(), protocmp.Transform()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if got.GetAgentVersion() != "v1" || got.GetAgentTime() == nil || !slices.Contains(got.GetUnderstoodEntries(), "sealed v1") || len(got.GetUnderstoodEntries()) != 14 {
		t.Errorf("request %v", got)
	}
}

// TestHealthNumbers compares the constants here with the contract's.
func TestHealthNumbers(t *testing.T) {
	t.Parallel()
	for health, name := range map[Health]string{HealthUnknown: "UNSPECIFIED", HealthIdle: "IDLE", HealthRunning: "RUNNING", HealthFault: "FAULT", HealthUnreachable: "UNREACHABLE"} {
		if got := backupv1.DestinationHealth_name[int32(health)]; got != "DESTINATION_HEALTH_"+name {
			t.Errorf("%d is %s in the contract, want %s", health, got, name)
		}
	}
	for u, name := range map[Unavailability]string{Available: "UNSPECIFIED", SourceChanged: "SOURCE_CHANGED", SourceUnreadable: "SOURCE_UNREADABLE", NotPending: "NOT_PENDING"} {
		if got := backupv1.Unavailability_name[int32(u)]; got != "UNAVAILABILITY_"+name {
			t.Errorf("%d is %s in the contract, want %s", u, got, name)
		}
	}
}

// TestOutboxCounted counts a receipt that is half-way into the outbox, which a server must not close a night over.
func TestOutboxCounted(t *testing.T) {
	t.Parallel()
	h, log := newHistory(t, ""), newLedger(t)
	h.seal("a", 2)
	s := start(t, serveLog(h), log)
	enqueue(t, h, log, 1)
	var m ledger.Manifest
	log.View(func(log *ledger.Log) { m, _ = log.Manifest(1) })
	_, err := log.EnqueueDelivered(func(number int64, previous tlog.Hash) ([]byte, error) {
		return ledger.Sign(ledger.Entry{Origin: testOrigin, Time: noon, Body: ledger.Delivered{
			Receipt: ledger.Receipt{Manifest: 1, Root: m.Root, Number: number, Previous: previous, Indexes: ledger.NewSet(ledger.Range{First: 1, Last: 1})},
			Method:  backup.ReadbackCached, Brought: ledger.BroughtAutomatic,
		}}, h.agent)
	}, func([]byte) error { return errors.New("the destination is away") })
	if err == nil {
		t.Fatal("the receipt was announced")
	}
	if got := s.waiting(); got != 2 {
		t.Errorf("%d receipts wait, want 2", got)
	}
}

// TestRefusedOrders refuses an answer in which anything is not of the contract.
func TestRefusedOrders(t *testing.T) {
	t.Parallel()
	window := func(change func(*backupv1.NightWindow)) func(*backupv1.HeartbeatResponse) {
		return func(r *backupv1.HeartbeatResponse) { change(r.Destinations[0].Window) }
	}
	for name, test := range map[string]struct {
		change func(*backupv1.HeartbeatResponse)
		words  string
	}{
		"no time":        {func(r *backupv1.HeartbeatResponse) { r.ServerTime = nil }, "time"},
		"time of no age": {func(r *backupv1.HeartbeatResponse) { r.ServerTime = &timestamppb.Timestamp{Seconds: 1 << 60} }, "time"},
		"no order":       {func(r *backupv1.HeartbeatResponse) { r.Destinations = nil }, "0 destinations"},
		"too many":       {func(r *backupv1.HeartbeatResponse) { r.Destinations = append(r.Destinations, r.Destinations[0]) }, "2 destinations"},
		"another's":      {func(r *backupv1.HeartbeatResponse) { r.Destinations[0].Origin = "wolkvox.com/x" }, "in its place"},
		"no status":      {func(r *backupv1.HeartbeatResponse) { r.Destinations[0].Status = 0 }, "unknown status 0"},
		"unknown status": {func(r *backupv1.HeartbeatResponse) { r.Destinations[0].Status = 99 }, "unknown status 99"},
		"unknown zone":   {window(func(w *backupv1.NightWindow) { w.TimeZone = "America/Macondo" }), "America/Macondo"},
		"no zone":        {window(func(w *backupv1.NightWindow) { w.TimeZone = "" }), "time zone"},
		"this machine's": {window(func(w *backupv1.NightWindow) { w.TimeZone = "Local" }), "Local"},
		"a file":         {window(func(w *backupv1.NightWindow) { w.TimeZone = "../../etc/passwd" }), "time zone"},
		"negative start": {window(func(w *backupv1.NightWindow) { w.Start = durationpb.New(-1) }), "within a day"},
		"late start":     {window(func(w *backupv1.NightWindow) { w.Start = durationpb.New(24 * time.Hour) }), "within a day"},
		"late end":       {window(func(w *backupv1.NightWindow) { w.End = &durationpb.Duration{Seconds: 1 << 60} }), "within a day"},
		"negative rate":  {window(func(w *backupv1.NightWindow) { w.BytesPerSecond = -1 }), "within a day"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := serve(t, &fakeServer{beat: func(*backupv1.HeartbeatRequest) (*backupv1.HeartbeatResponse, error) {
				response := goodOrder()
				test.change(response)
				return response, nil
			}})
			orders, err := client.Heartbeat(t.Context(), Self{Version: "v1"}, []Report{{Session: newSession(client, newLedger(t))}})
			if err == nil || !strings.Contains(err.Error(), test.words) {
				t.Errorf("Heartbeat = %v, %v, want an error with %q", orders, err, test.words)
			}
		})
	}
}

// TestOrderStatus has no window for a destination that is not this session's, and ends one that a later process serves.
func TestOrderStatus(t *testing.T) {
	t.Parallel()
	for status, superseded := range map[backupv1.AssignmentStatus]bool{
		backupv1.AssignmentStatus_ASSIGNMENT_STATUS_NOT_ASSIGNED: false,
		backupv1.AssignmentStatus_ASSIGNMENT_STATUS_SUPERSEDED:   true,
	} {
		client := serve(t, &fakeServer{beat: func(*backupv1.HeartbeatRequest) (*backupv1.HeartbeatResponse, error) {
			response := goodOrder()
			response.Destinations[0].Status = status
			return response, nil
		}})
		s := newSession(client, newLedger(t))
		orders, err := client.Heartbeat(t.Context(), Self{Version: "v1"}, []Report{{Session: s}})
		if err != nil || len(orders) != 1 || orders[0] != (Order{}) {
			t.Errorf("%v: %v, %v, want no order", status, orders, err)
		}
		if got := errors.Is(s.Problem(), ErrSuperseded); got != superseded {
			t.Errorf("%v: superseded %v, want %v", status, got, superseded)
		}
		if superseded {
			if err := s.Run(t.Context()); !errors.Is(err, ErrSuperseded) {
				t.Errorf("Run of a superseded session = %v", err)
			}
		}
	}
}

func TestHeartbeatUnreachable(t *testing.T) {
	t.Parallel()
	client := serve(t, &fakeServer{beat: func(*backupv1.HeartbeatRequest) (*backupv1.HeartbeatResponse, error) {
		return nil, status.Error(codes.Unavailable, "no route to host")
	}})
	_, err := client.Heartbeat(t.Context(), Self{Version: "v1"}, nil)
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "no route to host") || strings.Contains(err.Error(), "rpc error") {
		t.Errorf("Heartbeat = %v, want ErrUnreachable with its cause", err)
	}
}

func TestReportFaults(t *testing.T) {
	t.Parallel()
	var got *backupv1.ReportFaultsRequest
	s := start(t, &fakeServer{watch: idle, faults: func(m *backupv1.ReportFaultsRequest) (*backupv1.ReportFaultsResponse, error) {
		got = m
		return &backupv1.ReportFaultsResponse{}, nil
	}}, newLedger(t))
	fault := store.Fault{Class: "other", Party: "client", Code: "ENOSPC", Message: "full", Last: noon, Attempts: 2}
	check(t, s.ReportFaults(t.Context(), []ItemFault{
		{Manifest: 4, Items: ledger.NewSet(ledger.Range{First: 1, Last: 3}), Fault: fault, DigestMismatch: true}, {Fault: fault},
	}))
	m := &backupv1.Fault{Class: "other", Party: "client", Code: "ENOSPC", Message: "full", LastTime: timestamppb.New(noon), AttemptCount: 2}
	want := &backupv1.ReportFaultsRequest{Origin: string(testOrigin), SessionNumber: 7, Faults: []*backupv1.ItemFault{
		{Manifest: 4, Indexes: []*backupv1.IndexRange{{First: 1, Last: 3}}, Fault: m, DigestMismatch: true}, {Fault: m},
	}}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}
