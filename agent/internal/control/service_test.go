package control

import (
	"context"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
	"github.com/wolkvox/backup/agent/internal/uplink"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	size, root := r.log.Position()
	got, err := r.ask(t).GetStatus(t.Context(), &backupv1.GetStatusRequest{})
	check(t, err)
	free := int64(5e9)
	pending := &backupv1.StateCounts{PendingCount: 2}
	want := &backupv1.GetStatusResponse{
		Agent: testAgent, Version: "v1", ServerAddress: "server.example:443", CertificateExpireTime: timestamppb.New(noon),
		Destinations: []*backupv1.DestinationStatus{{
			Name: "nas", Origin: string(testOrigin), Location: "/mnt/nas", Counts: pending, Position: wire.Position(size, root), FreeBytes: &free,
			Nights: []*backupv1.Night{{Manifest: 1, Night: "2026-03-01", ItemCount: 2, SizeBytes: 22, Counts: pending, Open: true,
				DeadlineTime: timestamppb.New(noon.AddDate(0, 0, 15)), SealedTime: timestamppb.New(noon)}},
		}},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

// TestStatusProblems shows what is wrong, in words that a message can carry.
func TestStatusProblems(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	d := &r.service.Destinations[0]
	client := r.ask(t)
	status := func() (*backupv1.GetStatusResponse, *backupv1.DestinationStatus) {
		t.Helper()
		response, err := client.GetStatus(t.Context(), &backupv1.GetStatusRequest{})
		check(t, err)
		return response, response.GetDestinations()[0]
	}
	r.service.ServerProblem = func() error { return errors.New("no route\xff") }
	if response, _ := status(); response.GetServerProblem() != "no route?" {
		t.Errorf("the server's problem is %q", response.GetServerProblem())
	}
	d.LogProblem = func() error { return errors.New("the server does not know the head") }
	if _, got := status(); got.GetProblem() != "the server does not know the head" {
		t.Errorf("problem %q", got.GetProblem())
	}
	d.LogProblem = func() error { return nil }
	d.Space = func() (dest.Space, bool, error) {
		return dest.Space{}, false, &dest.UnreachableError{Place: "/mnt/nas\xff", Cause: syscall.ENOENT}
	}
	if _, got := status(); got.FreeBytes != nil || got.GetLastFault().GetCode() != "ENOENT" || !strings.Contains(got.GetProblem(), "mounted") {
		t.Errorf("of a place that is away: %v", got)
	}
	d.Space = func() (dest.Space, bool, error) { return dest.Space{}, false, nil }
	if _, got := status(); got.FreeBytes != nil || got.LastFault != nil || got.GetProblem() != "" {
		t.Errorf("of a place whose space is not known: %v", got)
	}
	full := &dest.CodeError{Space: dest.SpaceErrno, Number: 28, Cause: errors.New("no space left on device")}
	r.night.Circuit.Record(full)
	if _, got := status(); got.GetCircuit().GetFault().GetClass() != "capacity" || got.GetCircuit().GetNextTryTime() == nil || got.GetLastFault().GetCode() != "ENOSPC" || !strings.Contains(got.GetProblem(), "full") {
		t.Errorf("of a full place: %v", got)
	}
	r.night.Circuit.Record(nil)
	if _, got := status(); got.GetCircuit() != nil || got.GetProblem() != "" {
		t.Errorf("of a place that is well again: %v", got)
	}
	for i, code := range []string{"FIRST", "SECOND"} {
		check(t, r.log.PutFault(1, ledger.NewSet(ledger.Range{First: 0, Last: 0}), store.Fault{Class: "other", Party: "client", Code: code, Last: noon.Add(time.Duration(i) * time.Hour)}))
	}
	if _, got := status(); got.GetLastFault().GetCode() != "SECOND" || got.GetNights()[0].GetLastFault().GetCode() != "SECOND" {
		t.Errorf("of two faults the last is shown as %v", got.GetLastFault())
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if outcome := r.night.Run(over); outcome.Err == nil {
		t.Fatal("a pass that was called off has no error")
	}
	for problem, shown := range map[error]bool{errors.New("a cut line"): false, uplink.ErrFork: true, uplink.ErrTailLost: true, uplink.ErrBadOffer: true} {
		d.LogProblem = func() error { return problem }
		if _, got := status(); got.GetProblem() == "" || (got.GetProblem() == problem.Error()) != shown {
			t.Errorf("of %q and a pass that failed it shows %q", problem, got.GetProblem())
		}
	}
}

// TestStatusWholeFault shows what hit the destination as a whole though it is not left alone for it yet.
func TestStatusWholeFault(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.disk.SetOwn("marker", dest.NewMarker("another/log").Format())
	r.begin()
	if outcome, err := r.night.RunNow(t.Context()); err != nil || outcome.Complete {
		t.Fatalf("%+v, %v", outcome, err)
	}
	response, err := r.ask(t).GetStatus(t.Context(), &backupv1.GetStatusRequest{})
	check(t, err)
	got := response.GetDestinations()[0]
	if f := got.GetLastFault(); got.GetCircuit() != nil || f.GetCode() != "FOREIGN_MARKER" || f.GetMessage() == "" || !f.GetLastTime().AsTime().Equal(got.GetLastRunTime().AsTime()) {
		t.Errorf("status: %v", got)
	}
}

func TestInit(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	client := r.ask(t)
	first, err := client.InitDestination(t.Context(), &backupv1.InitDestinationRequest{Destination: "nas"})
	check(t, err)
	if first.GetAlreadyInitialized() || first.GetMarkerId() == "" || first.GetLocation() != "/mnt/nas" {
		t.Errorf("init: %v", first)
	}
	again, err := client.InitDestination(t.Context(), &backupv1.InitDestinationRequest{Destination: "nas"})
	check(t, err)
	if !again.GetAlreadyInitialized() || again.GetMarkerId() != first.GetMarkerId() {
		t.Errorf("init again: %v, want the marker %s", again, first.GetMarkerId())
	}
}

// TestInitRefused answers each reason with its code, the place, and words for people.
func TestInitRefused(t *testing.T) {
	t.Parallel()
	foreign := func() *memdest.Disk {
		disk := memdest.New()
		other, err := dest.New(disk, "memory", strings.Replace(string(testOrigin), "nas", "tape", 1))
		check(t, err)
		_, err = other.Init(t.Context())
		check(t, err)
		return disk
	}
	garbled := memdest.New()
	garbled.SetOwn("marker", []byte("nonsense"))
	away := memdest.New()
	away.Unplug()
	fail := func(op desttest.Op, err error) dest.Opener {
		return desttest.WithFaults(memdest.New(), func(o desttest.Op, _ string) (bool, error) {
			if o == op {
				return false, err
			}
			return true, nil
		})
	}
	for name, test := range map[string]struct {
		opener dest.Opener
		code   codes.Code
		reason string
		words  string
	}{
		"another log's":      {foreign(), codes.FailedPrecondition, wire.ReasonForeignMarker, "configure another folder"},
		"nobody's":           {garbled, codes.FailedPrecondition, wire.ReasonForeignMarker, "marker"},
		"away":               {away, codes.Unavailable, wire.ReasonDestinationUnreachable, "reached"},
		"read-only":          {fail(desttest.OpNewStage, syscall.EROFS), codes.FailedPrecondition, wire.ReasonDestinationUnfit, "read-only"},
		"no sync":            {fail(desttest.OpSync, syscall.EIO), codes.FailedPrecondition, wire.ReasonDestinationUnfit, "durable"},
		"marker not written": {fail(desttest.OpWriteOwn, syscall.ENOSPC), codes.Unknown, "", "no space left"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place, err := dest.New(test.opener, "memory", string(testOrigin))
			check(t, err)
			service := &Service{Destinations: []Destination{{Name: "nas", Location: "/mnt/nas", Store: place}}}
			_, err = service.InitDestination(t.Context(), &backupv1.InitDestinationRequest{Destination: "nas"})
			if status.Code(err) != test.code || wire.Reason(err) != test.reason || !strings.Contains(err.Error(), test.words) || !strings.Contains(err.Error(), "/mnt/nas") {
				t.Errorf("init: %v (%v %q), want %v %q with %q", err, status.Code(err), wire.Reason(err), test.code, test.reason, test.words)
			}
		})
	}
}

func TestUnknownDestination(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	client := r.ask(t)
	for name, call := range map[string]func() error{
		"init": func() error {
			_, err := client.InitDestination(t.Context(), &backupv1.InitDestinationRequest{Destination: "tape"})
			return err
		},
		"verify": func() error {
			_, err := client.VerifyAgentLedger(t.Context(), &backupv1.VerifyAgentLedgerRequest{})
			return err
		},
		"run": func() error {
			stream, err := client.Run(t.Context(), &backupv1.RunRequest{Destination: "tape"})
			check(t, err)
			_, err = stream.Recv()
			return err
		},
		"check": func() error {
			stream, err := client.Check(t.Context(), &backupv1.CheckRequest{Destination: "tape"})
			check(t, err)
			_, err = stream.Recv()
			return err
		},
		"export": func() error {
			stream, err := client.ExportAgentLedger(t.Context(), &backupv1.ExportAgentLedgerRequest{Destination: "tape"})
			check(t, err)
			_, err = stream.Recv()
			return err
		},
	} {
		if err := call(); status.Code(err) != codes.NotFound || wire.Reason(err) != wire.ReasonNoDestination {
			t.Errorf("%s: %v, want NOT_FOUND %s", name, err, wire.ReasonNoDestination)
		}
	}
}

// TestRun streams progress while it waits, and then the result.
func TestRun(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	client := r.ask(t)
	_, err := client.InitDestination(t.Context(), &backupv1.InitDestinationRequest{Destination: "nas"})
	check(t, err)
	r.disk.Plant("a.gsm", []byte("a recording"))
	r.disk.Plant("b.gsm", []byte("a recording"))
	stream, err := client.Run(t.Context(), &backupv1.RunRequest{})
	check(t, err)
	step, err := stream.Recv()
	check(t, err)
	if step.GetDestination() != "nas" || step.GetResult() != nil {
		t.Errorf("the first step is %v, want progress", step)
	}
	r.begin()
	for step.GetResult() == nil {
		step, err = stream.Recv()
		check(t, err)
	}
	size, root := r.server.log.Position()
	want := &backupv1.RunResponse{Destination: "nas", WantedCount: 2, WantedBytes: 22, ConfirmedCount: 2,
		Result: &backupv1.RunResult{Complete: true, Agreed: wire.Position(size, root)}}
	if diff := cmp.Diff(want, step, protocmp.Transform()); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the result: %v, want the end", err)
	}
}

// TestRunIncomplete says why a run could not do everything.
func TestRunIncomplete(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.begin()
	stream, err := r.ask(t).Run(t.Context(), &backupv1.RunRequest{Destination: "nas"})
	check(t, err)
	var last *backupv1.RunResponse
	for {
		step, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		last = step
	}
	if last.GetResult().GetComplete() || !strings.Contains(last.GetResult().GetMessage(), "not initialised") {
		t.Errorf("without a marker a run ends with %v", last)
	}
	response, err := r.ask(t).GetStatus(t.Context(), &backupv1.GetStatusRequest{})
	check(t, err)
	if got := response.GetDestinations()[0]; got.GetProblem() != last.GetResult().GetMessage() || got.GetLastRunTime() == nil || got.GetRunning() {
		t.Errorf("afterwards the status is %v", got)
	}
}

// TestRunAbandoned ends the call, and nothing else, when its caller goes away.
func TestRunAbandoned(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	client := r.ask(t)
	_, err := client.InitDestination(t.Context(), &backupv1.InitDestinationRequest{Destination: "nas"})
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := client.Run(ctx, &backupv1.RunRequest{})
	check(t, err)
	_, err = stream.Recv()
	check(t, err)
	cancel()
	if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("a call that was given up ends with %v", err)
	}
	r.begin()
	again, err := client.Run(t.Context(), &backupv1.RunRequest{})
	check(t, err)
	for {
		step, err := again.Recv()
		check(t, err)
		if result := step.GetResult(); result != nil {
			if !result.GetComplete() {
				t.Errorf("the next run ends with %v", result)
			}
			break
		}
	}
}

// TestRunNotAtWork refuses a run where no night runs in the process that answers.
func TestRunNotAtWork(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	r.service.AtWork = false
	stream, err := r.ask(t).Run(t.Context(), &backupv1.RunRequest{})
	check(t, err)
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "another command") {
		t.Errorf("run: %v, want UNAVAILABLE", err)
	}
}

// TestStopWhileRunning ends Serve only when no call is left that uses what is closed afterwards.
func TestStopWhileRunning(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	stream, err := r.ask(t).Run(t.Context(), &backupv1.RunRequest{}) // the loop never begins
	check(t, err)
	_, err = stream.Recv()
	check(t, err)
	if err := r.stop(); err != nil {
		t.Errorf("Serve = %v, want nil when its time is over", err)
	}
	for err == nil {
		_, err = stream.Recv()
	}
	if errors.Is(err, io.EOF) {
		t.Errorf("the call ended as if it had been complete")
	}
	if exists(r.socket) {
		t.Error("the socket is still there")
	}
}

// TestStopWaits returns from Serve only when the calls have ended.
func TestStopWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	called, release := make(chan struct{}), make(chan struct{})
	r.service.ServerProblem = func() error { close(called); <-release; return nil }
	client := r.ask(t)
	go client.GetStatus(t.Context(), &backupv1.GetStatusRequest{})
	<-called
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	select {
	case err := <-stopped:
		t.Errorf("Serve returned %v while a call was going on", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(release)
	check(t, r.stop())
}

func TestVerifyAndExport(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	client := r.ask(t)
	response, err := client.VerifyAgentLedger(t.Context(), &backupv1.VerifyAgentLedgerRequest{Destination: "nas"})
	check(t, err)
	if report := response.GetReport(); len(report.GetProblems()) != 0 || report.GetItemCount() != 2 || report.GetPosition().GetSize() != 3 || report.GetAgreed() != nil {
		t.Errorf("report %v", report)
	}
	stream, err := client.ExportAgentLedger(t.Context(), &backupv1.ExportAgentLedgerRequest{Destination: "nas"})
	check(t, err)
	files := make(map[string]string)
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		files[message.GetFile().GetPath()] += string(message.GetFile().GetData())
	}
	if len(files) != 3 || !strings.HasPrefix(files["ledger.txt"], "entry 0 ") || strings.Count(files["manifests/1.txt"], "\n") != 2 || files["head.txt"] != string(r.log.Head()) {
		t.Errorf("exported %v", files)
	}
}
