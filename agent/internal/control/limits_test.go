package control

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup/agent/internal/notes"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// limits are those of a destination at noon.
type limits struct {
	mu          sync.Mutex
	zone        *time.Location
	pause       *notes.Pause
	rate, limit int64 // 0 for none
	hindrances  []string
	fails       error // of changes
}

func (l *limits) limits() Limits {
	locked := func(f func()) { l.mu.Lock(); defer l.mu.Unlock(); f() }
	set := func(p *notes.Pause) (err error) {
		locked(func() {
			if err = l.fails; err == nil {
				l.pause = p
			}
		})
		return err
	}
	return Limits{
		Now: func() time.Time { return noon }, Zone: func() (z *time.Location) { locked(func() { z = l.zone }); return z },
		Pause:      func() (p *notes.Pause) { locked(func() { p = l.pause }); return p },
		SetPause:   func(p notes.Pause) error { return set(&p) },
		Resume:     func() error { return set(nil) },
		Rate:       func() (n int64) { locked(func() { n = l.rate }); return n },
		Limit:      func() (n int64, ok bool) { locked(func() { n, ok = l.limit, l.limit > 0 }); return n, ok },
		Hindrances: func() (all []string) { locked(func() { all = l.hindrances }); return all },
	}
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	client := r.ask(t)
	pause := &backupv1.Pause{UntilTime: timestamppb.New(noon.Add(time.Hour)), Reason: " the NAS moves "}
	paused, err := client.PauseDestination(t.Context(), &backupv1.PauseDestinationRequest{Pause: pause})
	check(t, err)
	if got := paused.GetDestinations(); len(got) != 1 || got[0] != "nas" {
		t.Errorf("paused are %v", got)
	}
	if want := (notes.Pause{Until: noon.Add(time.Hour), Reason: "the NAS moves"}); r.limits.pause == nil || *r.limits.pause != want {
		t.Errorf("kept is %+v, want %+v", r.limits.pause, want)
	}
	status, err := client.GetStatus(t.Context(), &backupv1.GetStatusRequest{})
	check(t, err)
	want := &backupv1.Pause{UntilTime: pause.UntilTime, Reason: "the NAS moves"}
	if diff := cmp.Diff(want, status.GetDestinations()[0].GetPause(), protocmp.Transform()); diff != "" {
		t.Errorf("the status' pause (-want +got):\n%s", diff)
	}
	for name, request := range map[string]*backupv1.PauseDestinationRequest{
		"over":            {Pause: &backupv1.Pause{UntilTime: timestamppb.New(noon)}},
		"no time":         {Pause: &backupv1.Pause{UntilTime: &timestamppb.Timestamp{Nanos: -1}}},
		"a long reason":   {Pause: &backupv1.Pause{Reason: strings.Repeat("x", notes.MaxReasonBytes+1)}},
		"two lines":       {Pause: &backupv1.Pause{Reason: "a\nb"}},
		"another and bad": {Destination: "nas", Pause: &backupv1.Pause{Reason: "\x1b[2J"}},
	} {
		if _, err := client.PauseDestination(t.Context(), request); wire.Reason(err) != wire.ReasonBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	for range 2 {
		resumed, err := client.ResumeDestination(t.Context(), &backupv1.ResumeDestinationRequest{Destination: "nas"})
		check(t, err)
		if got := resumed.GetDestinations(); len(got) != len(paused.GetDestinations()) || r.limits.pause != nil {
			t.Errorf("resumed are %v, kept is %+v", got, r.limits.pause)
		}
		paused.Destinations = nil
	}
	_, err = client.PauseDestination(t.Context(), &backupv1.PauseDestinationRequest{Destination: "nas"})
	check(t, err)
	if r.limits.pause == nil || *r.limits.pause != (notes.Pause{}) {
		t.Errorf("a pause without an end is kept as %+v", r.limits.pause)
	}
	r.limits.fails = errors.New("the disk is full")
	if _, err := client.PauseDestination(t.Context(), &backupv1.PauseDestinationRequest{}); err == nil {
		t.Error("a pause that is not kept is no error")
	}
	if _, err := client.ResumeDestination(t.Context(), &backupv1.ResumeDestinationRequest{}); err == nil {
		t.Error("a pause that does not end is no error")
	}
	_, err = client.PauseDestination(t.Context(), &backupv1.PauseDestinationRequest{Destination: "tape"})
	_, err2 := client.ResumeDestination(t.Context(), &backupv1.ResumeDestinationRequest{Destination: "tape"})
	_, err3 := client.PlanRun(t.Context(), &backupv1.PlanRunRequest{Destination: "tape"})
	for _, err := range []error{err, err2, err3} {
		if wire.Reason(err) != wire.ReasonNoDestination {
			t.Errorf("of a destination that is none: %v", err)
		}
	}
}

// TestZone names the tenant's zone where it is known.
func TestZone(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	client := r.ask(t)
	for _, zone := range []*time.Location{nil, time.FixedZone("America/Bogota", -5*3600)} {
		r.limits.mu.Lock()
		r.limits.zone = zone
		r.limits.mu.Unlock()
		var header metadata.MD
		_, err := client.GetStatus(t.Context(), &backupv1.GetStatusRequest{}, grpc.Header(&header))
		check(t, err)
		if got := strings.Join(header.Get(wire.TimeZoneHeader), " "); zone == nil && got != "" || zone != nil && got != zone.String() {
			t.Errorf("the zone %v is named %q", zone, got)
		}
	}
}

func TestPlanRun(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	client := r.ask(t)
	for name, test := range map[string]struct {
		rate, limit int64
		hindrances  []string
		atWork      bool
		want        *backupv1.RunPlan
	}{
		"nothing known": {0, 0, nil, true, &backupv1.RunPlan{}},
		"measured":      {11, 0, nil, true, &backupv1.RunPlan{MeasuredBytesPerSecond: proto.Int64(11), EstimatedDuration: durationpb.New(2 * time.Second)}},
		"limited":       {0, 2, nil, true, &backupv1.RunPlan{LimitBytesPerSecond: proto.Int64(2), EstimatedDuration: durationpb.New(11 * time.Second)}},
		"both, limited": {11, 2, nil, true, &backupv1.RunPlan{MeasuredBytesPerSecond: proto.Int64(11), LimitBytesPerSecond: proto.Int64(2), EstimatedDuration: durationpb.New(11 * time.Second)}},
		"both, slow":    {1, 2, nil, true, &backupv1.RunPlan{MeasuredBytesPerSecond: proto.Int64(1), LimitBytesPerSecond: proto.Int64(2), EstimatedDuration: durationpb.New(22 * time.Second)}},
		"hindered":      {0, 0, []string{"it is paused", "the server\xff"}, true, &backupv1.RunPlan{Hindrance: "it is paused; the server?"}},
		"not at work":   {0, 0, []string{"it is paused"}, false, &backupv1.RunPlan{Hindrance: "no agent service is running; it is paused"}},
	} {
		r.limits.mu.Lock()
		r.limits.rate, r.limits.limit, r.limits.hindrances = test.rate, test.limit, test.hindrances
		r.limits.mu.Unlock()
		r.service.AtWork = test.atWork
		test.want.Destination, test.want.ItemCount, test.want.Bytes, test.want.FirstDeadlineTime = "nas", 2, 22, timestamppb.New(noon.AddDate(0, 0, 15))
		got, err := client.PlanRun(t.Context(), &backupv1.PlanRunRequest{})
		check(t, err)
		if diff := cmp.Diff(&backupv1.PlanRunResponse{Plans: []*backupv1.RunPlan{test.want}}, got, protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := spent(1<<62, 1); got != longest {
		t.Errorf("an estimate is %v", got)
	}
}
