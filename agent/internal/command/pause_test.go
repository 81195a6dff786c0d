package command

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// fakeLimits is what the agent knows of pauses and rates.
type fakeLimits struct {
	zone  string // empty where it is not known
	asked *backupv1.Pause
	plans []*backupv1.RunPlan
}

func (l *fakeLimits) nameZone(ctx context.Context) error {
	if l.zone == "" {
		return nil
	}
	return grpc.SetHeader(ctx, metadata.Pairs(wire.TimeZoneHeader, l.zone))
}

func (a *fakeService) PauseDestination(_ context.Context, m *backupv1.PauseDestinationRequest) (*backupv1.PauseDestinationResponse, error) {
	a.limits.asked = m.GetPause()
	if m.GetPause().GetReason() == "late" {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "it would be over already")
	}
	return &backupv1.PauseDestinationResponse{Destinations: []string{"nas"}}, errors.Join(a.known(m.GetDestination()), a.fails)
}

func (a *fakeService) ResumeDestination(_ context.Context, m *backupv1.ResumeDestinationRequest) (*backupv1.ResumeDestinationResponse, error) {
	response := &backupv1.ResumeDestinationResponse{}
	if a.status.GetDestinations()[0].GetPause() != nil {
		response.Destinations = []string{"nas"}
	}
	return response, errors.Join(a.known(m.GetDestination()), a.fails)
}

func (a *fakeService) PlanRun(_ context.Context, m *backupv1.PlanRunRequest) (*backupv1.PlanRunResponse, error) {
	return &backupv1.PlanRunResponse{Plans: a.limits.plans}, errors.Join(a.known(m.GetDestination()), a.fails)
}

// pendingNight is open until a deadline.
func pendingNight(deadline time.Time, pending int64) *backupv1.Night {
	return &backupv1.Night{Manifest: 2, Night: "2026-11-20", ItemCount: pending, Open: true, DeadlineTime: timestamppb.New(deadline), Counts: &backupv1.StateCounts{PendingCount: pending}}
}

func TestPause(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.agent.limits.zone = "America/Bogota"
	start := time.Date(2096, 12, 1, 5, 0, 0, 0, time.UTC)
	d := m.agent.status.Destinations[0]
	d.Nights = []*backupv1.Night{pendingNight(start.AddDate(0, 0, 1), 5), pendingNight(start.Add(-time.Hour), 2), pendingNight(start.AddDate(0, 0, -2), 3), pendingNight(start.AddDate(0, 0, -9), 0)}
	status, stdout, stderr := m.run("pause", "nas", "--until", "2096-12-01", "--reason", "the NAS moves")
	if status != 0 || stderr != "" || stdout != "nas is paused until 2096-12-01 00:00 (America/Bogota) (the NAS moves). `wolkvox-agent resume nas` ends that.\n"+
		"! nas: deadlines go on, and 5 pending recordings expire in the pause, the first of them on 2096-11-29 00:00 (America/Bogota)\n" {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
	if got := m.agent.limits.asked; !got.GetUntilTime().AsTime().Equal(start) || got.GetReason() != "the NAS moves" {
		t.Errorf("asked was for %v", got)
	}
	// For some time, by the server's clock.
	m.agent.status.ClockOffset = durationpb.New(24 * time.Hour)
	d.Nights = nil
	if status, stdout, stderr = m.run("pause", "--for", "48h"); status != 0 || strings.Contains(stdout, "!") {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
	if got := time.Until(m.agent.limits.asked.GetUntilTime().AsTime()); got < 23*time.Hour || got > 24*time.Hour {
		t.Errorf("48 hours of the server end in %v", got)
	}
	// Until it is resumed, everything pending may expire.
	d.Nights = []*backupv1.Night{pendingNight(start, 5)}
	if status, stdout, _ = m.run("pause"); status != 0 || !strings.Contains(stdout, "paused until it is resumed.") || !strings.Contains(stdout, "5 pending recordings expire") {
		t.Errorf("status %d, %q", status, stdout)
	}
	if status, _, stderr = m.run("pause", "tape"); status != statusBad || !strings.Contains(stderr, `no destination "tape"`) {
		t.Errorf("of a destination that is none: status %d, %q", status, stderr)
	}
	if status, _, stderr = m.run("pause", "--until", "2020-01-01", "--reason", "late"); status != statusBad || stderr != "wolkvox-agent: it would be over already\n" {
		t.Errorf("of a time that has passed: status %d, %q", status, stderr)
	}
}

// TestPauseByThisClock says whose clock was meant where the tenant's is not known.
func TestPauseByThisClock(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	status, stdout, _ := m.run("pause", "--until", "2096-12-01")
	if status != 0 || !strings.Contains(stdout, "by this machine's clock: the tenant's is not known yet") {
		t.Errorf("status %d, %q", status, stdout)
	}
	if want := time.Date(2096, 12, 1, 0, 0, 0, 0, time.Local); !m.agent.limits.asked.GetUntilTime().AsTime().Equal(want) {
		t.Errorf("asked was for %v, want %v", m.agent.limits.asked, want)
	}
}

func TestPauseUsage(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for args, words := range map[string]string{
		"pause nas tape": "one name", "resume nas tape": "one name", "pause --until tomorrow": "2026-12-01", "pause --until 2026-13-01": "2026-12-01",
		"pause --for 2days": "2days", "pause --for 0s": "48h", "pause --for -3h": "48h", "pause --for 1h --until 2026-12-01": "give one",
		"run --dry --once": "give one", "run --dry nas": `"nas"`,
	} {
		if status, stdout, stderr := m.run(strings.Fields(args)...); status != statusUsage || stdout != "" || !strings.Contains(stderr, words) {
			t.Errorf("%s: status %d, %q, %q, want %d and %q", args, status, stdout, stderr, statusUsage, words)
		}
	}
	if m.agent.opened != 0 {
		t.Error("a command line that makes no sense opened the agent")
	}
}

// TestPaused shows a pause wherever a person looks.
func TestPaused(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.agent.limits.zone = "America/Bogota"
	d := m.agent.status.Destinations[0]
	m.agent.steps = []*backupv1.RunResponse{{Destination: "nas", Result: &backupv1.RunResult{Complete: true}}}
	if _, stdout, _ := m.run("run", "--once"); strings.Contains(stdout, "paused") {
		t.Errorf("run --once speaks of a pause: %q", stdout)
	}
	if status, stdout, _ := m.run("resume"); status != 0 || stdout != "Nothing was paused.\n" {
		t.Errorf("resume: status %d, %q", status, stdout)
	}
	d.Pause = &backupv1.Pause{UntilTime: timestamppb.New(time.Date(2096, 12, 1, 5, 0, 0, 0, time.UTC)), Reason: "the NAS moves"}
	const paused = "paused until 2096-12-01 00:00 (America/Bogota) (the NAS moves)"
	if status, stdout, _ := m.run("status"); status != 0 || !strings.Contains(stdout, "nas: /mnt/nas\n"+paused+"\n") || strings.Contains(stdout, "!") {
		t.Errorf("status: %d, %q", status, stdout)
	}
	if status, stdout, _ := m.run("run", "--once"); status != 0 || !strings.HasPrefix(stdout, "nas is "+paused+"; this run copies all the same.\n") {
		t.Errorf("run --once: %d, %q", status, stdout)
	}
	if _, stdout, _ := m.run("run", "--once", "--output", "json"); !json.Valid([]byte(stdout)) {
		t.Errorf("run --once as JSON: %q", stdout)
	}
	d.Nights = []*backupv1.Night{pendingNight(time.Date(2096, 11, 30, 5, 0, 0, 0, time.UTC), 7)}
	if status, stdout, _ := m.run("status"); status != statusBad || !strings.Contains(stdout, "! deadlines go on, and 7 pending recordings expire in the pause, the first of them on 2096-11-30 00:00 (America/Bogota)\n") {
		t.Errorf("status: %d, %q", status, stdout)
	}
	if status, stdout, _ := m.run("resume", "nas"); status != 0 || stdout != "nas goes on.\n" {
		t.Errorf("resume: status %d, %q", status, stdout)
	}
	for _, args := range [][]string{{"pause"}, {"resume"}} {
		if _, stdout, _ := m.run(append(args, "--output", "json")...); strings.Join(strings.Fields(stdout), "") != `{"destinations":["nas"]}` {
			t.Errorf("%v as JSON: %q", args, stdout)
		}
	}
}

func TestDry(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.agent.limits.zone = "America/Bogota"
	deadline := time.Now().Add(9*24*time.Hour + time.Hour)
	m.agent.limits.plans = []*backupv1.RunPlan{
		{Destination: "nas", ItemCount: 1234, Bytes: 56e9, MeasuredBytesPerSecond: proto.Int64(12e6), LimitBytesPerSecond: proto.Int64(1e6),
			EstimatedDuration: durationpb.New(56000 * time.Second), FirstDeadlineTime: timestamppb.New(deadline), Hindrance: "it is paused"},
		{Destination: "tape", ItemCount: 1, Bytes: 1000, FirstDeadlineTime: timestamppb.New(deadline)},
		{Destination: "disk", ItemCount: 1, Bytes: 90e3, LimitBytesPerSecond: proto.Int64(1000), EstimatedDuration: durationpb.New(90 * time.Second), FirstDeadlineTime: timestamppb.New(deadline)},
		{Destination: "idle"},
	}
	at := deadline.In(mustZone(t, "America/Bogota")).Format("2006-01-02 15:04")
	status, stdout, stderr := m.run("run", "--dry")
	want := "nas: 1234 recordings to copy, 56.0 GB\n  measured rate: 12.0 MB/s\n  limit now: 1.0 MB/s\n  it takes: about 15 h 33 min\n" +
		"  first deadline: " + at + " (America/Bogota), 9 days left\n  not by itself now: it is paused\n" +
		"tape: 1 recordings to copy, 1.0 kB\n  measured rate: unknown, none was measured yet\n  limit now: none\n  it takes: unknown\n" +
		"  first deadline: " + at + " (America/Bogota), 9 days left\n" +
		"disk: 1 recordings to copy, 90.0 kB\n  measured rate: unknown, none was measured yet\n  limit now: 1.0 kB/s\n  it takes: at least 2 min\n" +
		"  first deadline: " + at + " (America/Bogota), 9 days left\n" +
		"idle: 0 recordings to copy, 0 B\n  measured rate: unknown, none was measured yet\n  limit now: none\n"
	if status != 0 || stderr != "" || stdout != want {
		t.Errorf("status %d, %q:\n%s\nwant:\n%s", status, stderr, stdout, want)
	}
	if m.agent.online {
		t.Error("a run that only says what it would do put the agent to work")
	}
	if status, _, stderr := m.run("run", "--dry", "--destination", "tape"); status != statusBad || !strings.Contains(stderr, `no destination "tape"`) {
		t.Errorf("of a destination that is none: %d, %q", status, stderr)
	}
	var got struct{ Plans []map[string]any }
	if _, stdout, _ := m.run("run", "--dry", "--output", "json"); json.Unmarshal([]byte(stdout), &got) != nil || len(got.Plans) != 4 || got.Plans[0]["hindrance"] != "it is paused" {
		t.Errorf("as JSON: %s", stdout)
	}
}

func mustZone(t *testing.T, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	check(t, err)
	return zone
}

func TestDurationText(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{0: "0 s", 59 * time.Second: "59 s", 90 * time.Second: "2 min", time.Hour: "1 h 0 min", 47*time.Hour + 59*time.Minute + 40*time.Second: "48 h 0 min", 80 * time.Hour: "3 days"} {
		if got := durationText(d); got != want {
			t.Errorf("durationText(%v) = %q, want %q", d, got, want)
		}
	}
}
