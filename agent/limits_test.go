package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/control"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
	"github.com/wolkvox/backup/agent/internal/night"
	"github.com/wolkvox/backup/agent/internal/notes"
	"github.com/wolkvox/backup/agent/internal/uplink"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

// answering runs an agent until use returns.
func answering(t *testing.T, o Options, use func(backupv1.AgentServiceClient)) {
	t.Helper()
	a, err := Open(o)
	check(t, err)
	listener, err := control.Listen(o.Config.Socket, "")
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, listener) }()
	conn, err := control.Dial(t.Context(), o.Config.Socket)
	check(t, err)
	use(backupv1.NewAgentServiceClient(conn))
	check(t, conn.Close())
	cancel()
	check(t, <-ended)
	check(t, a.Close())
}

// TestPauseSurvives keeps a pause over a restart, and tells the server and people of it until it is ended.
func TestPauseSurvives(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	o := s.enrolled(t, "nas")
	until := time.Now().UTC().Add(48 * time.Hour).Truncate(time.Second)
	heard := func(want bool) {
		t.Helper()
		for began := time.Now(); ; {
			pause := s.next(t).GetDestinations()[0].GetPause()
			if (pause != nil) == want {
				if want && (!pause.GetUntilTime().AsTime().Equal(until) || pause.GetReason() != "the NAS moves") {
					t.Errorf("the server hears of the pause %v", pause)
				}
				return
			}
			if time.Since(began) > time.Minute {
				t.Fatalf("the server hears of the pause %v", pause)
			}
		}
	}
	answering(t, o, func(client backupv1.AgentServiceClient) {
		heard(false)
		_, err := client.PauseDestination(t.Context(), &backupv1.PauseDestinationRequest{Pause: &backupv1.Pause{UntilTime: timestamppb.New(until), Reason: "the NAS moves"}})
		check(t, err)
		heard(true)
	})
	answering(t, o, func(client backupv1.AgentServiceClient) {
		heard(true)
		heard(true) // the answer to the one before was followed
		var header metadata.MD
		status, err := client.GetStatus(t.Context(), &backupv1.GetStatusRequest{}, grpc.Header(&header))
		check(t, err)
		if p := status.GetDestinations()[0].GetPause(); !p.GetUntilTime().AsTime().Equal(until) || p.GetReason() != "the NAS moves" {
			t.Errorf("the status' pause is %v", p)
		}
		if got := header.Get(wire.TimeZoneHeader); len(got) != 1 || got[0] != "America/Bogota" {
			t.Errorf("the tenant's zone is named %q", got)
		}
		plan, err := client.PlanRun(t.Context(), &backupv1.PlanRunRequest{})
		check(t, err)
		if got := plan.GetPlans()[0]; !strings.Contains(got.GetHindrance(), "(America/Bogota) (the NAS moves)") || got.GetItemCount() != 0 || got.MeasuredBytesPerSecond != nil {
			t.Errorf("plan %v", got)
		}
		_, err = client.ResumeDestination(t.Context(), &backupv1.ResumeDestinationRequest{})
		check(t, err)
		heard(false)
	})
}

func TestHindrances(t *testing.T) {
	t.Parallel()
	db, err := store.Open("", store.Options{InMemory: true})
	check(t, err)
	t.Cleanup(func() { check(t, db.Close()) })
	log, err := db.Ledger(originOf("nas"))
	check(t, err)
	day, open := at(12), at(22).Add(45*time.Minute)
	for name, test := range map[string]struct {
		at     time.Time
		server error
		pause  *notes.Pause
		take   bool // an order of the server
		want   []string
	}{
		"nothing":             {open, nil, nil, true, nil},
		"the window":          {day, nil, nil, true, []string{"the next night begins at 2026-03-01 22:"}},
		"no order":            {open, nil, nil, false, []string{"has not named the nightly window"}},
		"no server":           {open, errors.New("no route"), nil, true, []string{"the server is not reached: no route"}},
		"paused":              {open, nil, &notes.Pause{}, true, []string{"it is paused until somebody resumes it"}},
		"paused for a reason": {open, nil, &notes.Pause{Until: at(23), Reason: "the NAS moves"}, true, []string{"it is paused until 2026-03-01 23:00 (UTC) (the NAS moves)"}},
		"a pause that ended":  {open, nil, &notes.Pause{Until: at(22)}, true, nil},
		"several":             {day, errors.New("no route"), &notes.Pause{}, true, []string{"no route", "paused", "the next night"}},
	} {
		d := newDestination(t, config.Destination{Name: "nas"}, memdest.New())
		d.night = night.New(night.Config{Client: uplink.NewClient(nil, &uplink.ServerClock{}), Log: log})
		d.session = uplink.NewSession(nil, nil, nil, nil, nil)
		if test.take {
			d.take(order(0, 0))
		}
		if test.pause != nil {
			check(t, d.notes.Pause("nas", *test.pause))
		}
		got := d.hindrances(test.at, test.server)
		if len(got) != len(test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
			continue
		}
		for i, words := range test.want {
			if !strings.Contains(got[i], words) {
				t.Errorf("%s: %q, want %q", name, got[i], words)
			}
		}
	}
}

// TestMeasured keeps the moving average for the next process.
func TestMeasured(t *testing.T) {
	t.Parallel()
	d := newDestination(t, config.Destination{Name: "nas"}, memdest.New())
	limits := d.limits(func() error { return nil })
	if got := limits.Rate(); got != 0 {
		t.Errorf("before any run the rate is %d", got)
	}
	d.measured(1000)
	d.measured(2000)
	if got := limits.Rate(); got != 1250 {
		t.Errorf("the rate is %d, want 1250", got)
	}
	if got, ok := limits.Limit(); ok {
		t.Errorf("the limit is %d, want none", got)
	}
}

// TestNotesDamaged says that pauses may be forgotten.
func TestNotesDamaged(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	o := s.enrolled(t, "nas")
	check(t, os.WriteFile(filepath.Join(o.Config.StateDir, notes.File), []byte("nonsense"), 0o600))
	a, err := Open(o)
	check(t, err)
	t.Cleanup(func() { check(t, a.Close()) })
	if got := strings.Join(a.problems(), " "); !strings.Contains(got, "pause again") {
		t.Errorf("problems %q", got)
	}
}
