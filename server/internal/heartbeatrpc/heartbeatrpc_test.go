package heartbeatrpc_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/heartbeatrpc"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/servertest"
)

// then is so long ago that what was sealed then is due.
var then = time.Now().UTC().AddDate(0, -2, 0).Truncate(time.Second)

type checker struct {
	mu    sync.Mutex
	asked []string
}

func (c *checker) RequestCheck(_ ledger.Origin, manifest int64, indexes ledger.Set) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, fmt.Sprint(manifest, " ", indexes))
}

type rig struct {
	*servertest.Server
	service *heartbeatrpc.Service
	checker *checker
	key     *ledger.SigningKey
	session int64
	client  backupv1.HeartbeatServiceClient
	dial    func(identity.Role) backupv1.HeartbeatServiceClient
}

func newRig(t *testing.T) *rig {
	t.Helper()
	s := servertest.New(t, "America/Bogota", backup.StorageRSYNC, then)
	r := &rig{Server: s, key: s.Enroll(), checker: &checker{}}
	var err error
	r.session, err = s.Sequencer().OpenSession([16]byte{1})
	s.Must(err)
	r.service = heartbeatrpc.New(s.Sequencers, s.Registry, r.checker, nil)
	address := s.Serve(func(g *grpc.Server) { backupv1.RegisterHeartbeatServiceServer(g, r.service) })
	r.dial = func(role identity.Role) backupv1.HeartbeatServiceClient {
		return backupv1.NewHeartbeatServiceClient(s.Dial(address, role))
	}
	r.client = r.dial(identity.AgentRole(servertest.Tenant, servertest.Agent))
	return r
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, err := r.Registry.RequestRun(servertest.Tenant, servertest.Destination)
	r.Must(err)
	foreign := r.AddDestination("foreign", backup.StorageS3)
	earlier := r.session
	r.session, err = r.Sequencer().OpenSession([16]byte{9})
	r.Must(err)
	r.Must(r.Sequencer().CheckSession(r.session))
	head, _, err := r.Sequencer().Head()
	r.Must(err)
	agreed, err := ledger.Cosign(head, r.Sequencer().ServerKey(), r.key, then)
	r.Must(err)
	report := func(session int64) *backupv1.DestinationReport {
		return &backupv1.DestinationReport{
			Origin: string(r.Origin), SessionNumber: session, Health: backupv1.DestinationHealth_DESTINATION_HEALTH_IDLE,
			AgreedHead: agreed, EchoedTime: timestamppb.New(time.Now()),
		}
	}
	began := time.Now()
	alone := report(r.session)
	alone.Circuit = &backupv1.Circuit{Fault: &backupv1.Fault{Class: "credential", Party: "client", Code: "STATUS_LOGON_FAILURE", Message: "wrong"},
		SinceTime: timestamppb.New(then), NextTryTime: timestamppb.New(then.Add(time.Hour))}
	res, err := r.client.Heartbeat(t.Context(), &backupv1.HeartbeatRequest{
		AgentVersion: "1.0", AgentTime: timestamppb.New(time.Now().Add(-time.Hour)),
		Destinations: []*backupv1.DestinationReport{
			alone, report(0), report(earlier), {Origin: string(foreign)},
			{Origin: "wolkvox.com/backup/acme/none/00000000000000000000000000000000"},
		},
	})
	r.Must(err)
	if at := res.GetServerTime().AsTime(); at.Before(began.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
		t.Errorf("the server's time is %v", at)
	}
	want := []backupv1.AssignmentStatus{
		backupv1.AssignmentStatus_ASSIGNMENT_STATUS_ASSIGNED, backupv1.AssignmentStatus_ASSIGNMENT_STATUS_ASSIGNED,
		backupv1.AssignmentStatus_ASSIGNMENT_STATUS_SUPERSEDED, backupv1.AssignmentStatus_ASSIGNMENT_STATUS_NOT_ASSIGNED,
		backupv1.AssignmentStatus_ASSIGNMENT_STATUS_NOT_ASSIGNED,
	}
	for i, order := range res.GetDestinations() {
		if order.GetStatus() != want[i] || (order.GetWindow() != nil) != (i < 2) {
			t.Errorf("destination %d: %v", i, order)
		}
	}
	if order := res.GetDestinations()[0]; order.GetRunNumber() != 1 || order.GetWindow().GetTimeZone() != "America/Bogota" {
		t.Errorf("order %v", order)
	}
	if head, ok := r.Sequencer().Agreed(); !ok || head.Size != 2 {
		t.Errorf("agreed on %v", head)
	}

	// It is in memory at once, and in the registry when Run ends.
	heard, err := r.service.Heard(servertest.Tenant, servertest.Agent)
	r.Must(err)
	if offset := heard.ClockOffset + time.Hour; offset.Abs() > time.Minute || len(heard.Reports) != 5 || heard.Version != "1.0" {
		t.Errorf("heard %+v", heard)
	}
	leftAlone := registry.Circuit{Class: "credential", Party: "client", Code: "STATUS_LOGON_FAILURE", Message: "wrong", Since: then.UTC(), NextTry: then.UTC().Add(time.Hour)}
	if got := heard.Reports[0].Circuit; got == nil || *got != leftAlone || heard.Reports[1].Circuit != nil {
		t.Errorf("left alone is %+v, want %+v", got, leftAlone)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	if err := r.service.Run(ctx); !errors.Is(err, stop) {
		t.Errorf("Run returned %v", err)
	}
	kept, err := r.Registry.Heard(servertest.Tenant, servertest.Agent)
	r.Must(err)
	if got := kept.Reports[0].Circuit; got == nil || *got != leftAlone {
		t.Errorf("kept as left alone is %+v", got)
	}
	if !kept.At.Equal(heard.At) {
		t.Errorf("kept %v, heard %v", kept.At, heard.At)
	}
}

// Only the current session, with an empty outbox, counts as heard.
func TestHeardForClosing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Write("a.gsm", "a", then.Add(-time.Hour))
	r.Look(false, then)
	m, _ := r.Sequencer().Manifest(1)
	after := m.Deadline.Add(time.Second)
	for _, test := range []struct {
		name            string
		session, outbox int64
		echoed          time.Time
		closes          bool
	}{
		{"another session", r.session + 1, 0, after, false},
		{"no session", 0, 0, after, false},
		{"something in the outbox", r.session, 1, after, false},
		{"a time that the server has not said yet", r.session, 0, time.Now().Add(time.Hour), false},
		{"a time before the deadline", r.session, 0, m.Deadline, false},
		{"heard", r.session, 0, after, true},
	} {
		_, err := r.client.Heartbeat(t.Context(), &backupv1.HeartbeatRequest{Destinations: []*backupv1.DestinationReport{{
			Origin: string(r.Origin), SessionNumber: test.session, OutboxCount: test.outbox, EchoedTime: timestamppb.New(test.echoed),
		}}})
		r.Must(err)
		closed, err := r.Sequencer().Close(t.Context(), after, 0)
		r.Must(err)
		if (len(closed) == 1) != test.closes {
			t.Errorf("%s: closed %v", test.name, closed)
		}
	}
}

// A pause is kept, with a reason that is not too long, and gone with the next report.
func TestPause(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	until := then.AddDate(1, 0, 0)
	for name, test := range map[string]struct {
		said *backupv1.Pause
		want *registry.Pause
	}{
		"with a time":       {&backupv1.Pause{UntilTime: timestamppb.New(until), Reason: "the NAS moves"}, &registry.Pause{Until: until, Reason: "the NAS moves"}},
		"until resumed":     {&backupv1.Pause{}, &registry.Pause{}},
		"with a long story": {&backupv1.Pause{Reason: strings.Repeat("x", 10000)}, &registry.Pause{Reason: strings.Repeat("x", 500)}},
		"none":              {nil, nil},
	} {
		_, err := r.client.Heartbeat(t.Context(), &backupv1.HeartbeatRequest{Destinations: []*backupv1.DestinationReport{{Origin: string(r.Origin), Pause: test.said}}})
		r.Must(err)
		heard, err := r.service.Heard(servertest.Tenant, servertest.Agent)
		r.Must(err)
		r.Must(r.Registry.Hear(servertest.Tenant, servertest.Agent, heard))
		kept, err := r.Registry.Heard(servertest.Tenant, servertest.Agent)
		r.Must(err)
		for _, h := range []registry.Heartbeat{heard, kept} {
			if diff := cmp.Diff(test.want, h.Reports[0].Pause); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}

func TestHeartbeatRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stranger := r.dial(identity.AgentRole(servertest.Tenant, "bbbbbbbbbbbbbbbb"))
	if _, err := stranger.Heartbeat(t.Context(), &backupv1.HeartbeatRequest{}); wire.Reason(err) != wire.ReasonNotEnrolled {
		t.Errorf("an agent that is not enrolled: %v", err)
	}
	for name, spoil := range map[string]func(*backupv1.DestinationReport){
		"no origin":      func(d *backupv1.DestinationReport) { d.Origin = "x" },
		"odd circuit":    func(d *backupv1.DestinationReport) { d.Circuit = &backupv1.Circuit{} },
		"unknown health": func(d *backupv1.DestinationReport) { d.Health = 99 },
		"negative size":  func(d *backupv1.DestinationReport) { d.Size = -1 },
		"a bad time":     func(d *backupv1.DestinationReport) { d.EchoedTime = &timestamppb.Timestamp{Nanos: -1} },
		"a bad pause": func(d *backupv1.DestinationReport) {
			d.Pause = &backupv1.Pause{UntilTime: &timestamppb.Timestamp{Nanos: -1}}
		},
		"a large head": func(d *backupv1.DestinationReport) { d.AgreedHead = make([]byte, 1<<20) },
	} {
		report := &backupv1.DestinationReport{Origin: string(r.Origin)}
		spoil(report)
		_, err := r.client.Heartbeat(t.Context(), &backupv1.HeartbeatRequest{Destinations: []*backupv1.DestinationReport{report}})
		if wire.Reason(err) != wire.ReasonBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReportFaults(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, name := range []string{"a", "b", "c"} {
		r.Write(name, name, then.Add(-time.Hour))
	}
	r.Look(false, then)
	fault := &backupv1.Fault{Class: "other", Party: "client", Code: "ENOSPC", Message: "the disk is full", LastTime: timestamppb.New(then), AttemptCount: 2}
	report := func(session int64, faults ...*backupv1.ItemFault) error {
		_, err := r.client.ReportFaults(t.Context(), &backupv1.ReportFaultsRequest{Origin: string(r.Origin), SessionNumber: session, Faults: faults})
		return err
	}
	some := []*backupv1.IndexRange{{First: 1, Last: 2}}
	r.Must(report(r.session, &backupv1.ItemFault{Fault: fault}, &backupv1.ItemFault{Manifest: 1, Indexes: some, Fault: fault, DigestMismatch: true}))
	faults, err := r.Sequencer().Ledger().Faults(1)
	r.Must(err)
	if len(faults) != 1 || faults[0].Items.String() != "1-2" || faults[0].Fault.Code != "ENOSPC" {
		t.Errorf("faults %+v", faults)
	}
	if faults, err = r.Sequencer().Ledger().Faults(0); err != nil || len(faults) != 1 {
		t.Errorf("faults of the destination: %+v, %v", faults, err)
	}
	if got := fmt.Sprint(r.checker.asked); got != "[1 1-2]" {
		t.Errorf("checks were asked for %s", got)
	}
	for name, test := range map[string]struct {
		session int64
		fault   *backupv1.ItemFault
		reason  string
	}{
		"another session":      {r.session + 1, &backupv1.ItemFault{Fault: fault}, wire.ReasonNoSession},
		"no fault":             {r.session, &backupv1.ItemFault{Manifest: 1, Indexes: some}, wire.ReasonBadRequest},
		"no manifest":          {r.session, &backupv1.ItemFault{Manifest: 2, Indexes: some, Fault: fault}, wire.ReasonNoManifest},
		"items of no manifest": {r.session, &backupv1.ItemFault{Indexes: some, Fault: fault}, wire.ReasonBadIndexes},
		"no items":             {r.session, &backupv1.ItemFault{Manifest: 1, Fault: fault}, wire.ReasonBadIndexes},
		"items beyond":         {r.session, &backupv1.ItemFault{Manifest: 1, Indexes: []*backupv1.IndexRange{{First: 1, Last: 3}}, Fault: fault}, wire.ReasonBadIndexes},
	} {
		if err := report(test.session, test.fault); wire.Reason(err) != test.reason {
			t.Errorf("%s: %v, want %s", name, err, test.reason)
		}
	}
}

// An agent whose place was taken is answered NOT_ASSIGNED, and what it reports closes nothing.
func TestReplacedAgentIsNotHeard(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Write("a.gsm", "a", then.Add(-time.Hour))
	r.Look(false, then)
	m, _ := r.Sequencer().Manifest(1)
	after := m.Deadline.Add(time.Second)
	key, err := ledger.NewSigningKey(r.Origin.AgentKeyName("bbbbbbbbbbbbbbbb"), ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	r.Must(err)
	request, err := ledger.SignRequest(r.Origin, key)
	r.Must(err)
	for _, want := range []backupv1.AssignmentStatus{backupv1.AssignmentStatus_ASSIGNMENT_STATUS_ASSIGNED, backupv1.AssignmentStatus_ASSIGNMENT_STATUS_NOT_ASSIGNED} {
		res, err := r.client.Heartbeat(t.Context(), &backupv1.HeartbeatRequest{Destinations: []*backupv1.DestinationReport{{
			Origin: string(r.Origin), SessionNumber: r.session, EchoedTime: timestamppb.New(after),
		}}})
		r.Must(err)
		if got := res.GetDestinations()[0].GetStatus(); got != want {
			t.Errorf("status %v, want %v", got, want)
		}
		r.Must(r.Sequencer().Assign(t.Context(), request, servertest.Agent, after))
	}
	closed, err := r.Sequencer().Close(t.Context(), after, 0)
	r.Must(err)
	if len(closed) > 0 {
		t.Errorf("closed %v", closed)
	}
}
