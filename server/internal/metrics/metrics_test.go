package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/internal/limits"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/servertest"
)

// answer serves collectors and returns what is shown.
func answer(t *testing.T, collector *Collector, calls *Calls) string {
	t.Helper()
	silent := slog.New(slog.DiscardHandler)
	handler, err := Handler(silent, collector, calls)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	over, done := errors.New("over"), make(chan error, 1)
	go func() { done <- Serve(ctx, listener, handler, silent) }()
	defer func() {
		cancel(over)
		if err := <-done; !errors.Is(err, over) {
			t.Errorf("Serve = %v", err)
		}
	}()
	res, err := http.Get("http://" + listener.Addr().String() + Path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v: %s", res.Status, err, text)
	}
	return string(text)
}

func newState(s *servertest.Server) State {
	return State{
		Sequencers: s.Sequencers, Registry: s.Registry, Limits: limits.New(limits.Options{}), Logger: slog.New(slog.DiscardHandler),
		Heard: func(string, string) (registry.Heartbeat, error) {
			return registry.Heartbeat{}, errors.New("unreadable")
		},
		CertificateEnds: func() map[string]time.Time { return nil },
		Served:          func(ledger.Origin) (int64, int64) { return 3, 1 << 40 },
	}
}

// Faults, alarms and recoveries are shown, what cannot be read is counted, and nothing that agents make up adds series
// without end.
func TestCollector(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 10, 17, 0, 0, 0, time.UTC)
	s := servertest.New(t, "America/Bogota", backup.StorageRSYNC, noon)
	s.Enroll()
	for i := range 100 {
		s.Write(fmt.Sprintf("%03d.gsm", i), "x", noon.Add(-time.Hour))
	}
	s.Look(false, noon)
	log := s.Sequencer().Ledger()
	for i := range int64(60) {
		fault := store.Fault{Class: fmt.Sprintf("made-up-%d", i), Party: "client"}
		if i < 10 {
			fault.Class = "disk-full"
		}
		s.Must(log.PutFault(1, ledger.NewSet(ledger.Range{First: i, Last: i}), fault))
	}
	for _, class := range []string{"dest-lost", "capacity", "over"} {
		last := time.Now()
		if class == "over" {
			last = last.Add(-3 * time.Hour)
		}
		s.Must(log.PutFault(0, ledger.Set{}, store.Fault{Class: class, Party: "client", Last: last}))
	}
	for i, class := range []string{"quota", "permission", "integrity"} {
		some := ledger.NewSet(ledger.Range{First: int64(70 + 5*i), Last: int64(74 + 5*i)})
		s.Must(log.PutFault(1, some, store.Fault{Class: class, Party: "client"}))
	}
	_, err := s.Registry.RaiseAlarm(registry.Alarm{Origin: s.Origin, Kind: registry.AlarmTailLost, RaisedAt: noon})
	s.Must(err)
	_, err = s.Registry.UpdateRecovery(s.Origin, func(r *registry.Recovery) { r.Recovering = true })
	s.Must(err)

	text := answer(t, NewCollector(newState(s)), NewCalls())
	for _, want := range []string{
		`wolkvox_faults{class="disk-full",destination="nas",party="client",tenant="acme"} 10`,
		`wolkvox_faults{class="quota",destination="nas",party="client",tenant="acme"} 5`,
		`wolkvox_faults{class="permission",destination="nas",party="client",tenant="acme"} 5`,
		`wolkvox_faults{class="integrity",destination="nas",party="client",tenant="acme"} 5`,
		`wolkvox_faults{class="capacity",destination="nas",party="client",tenant="acme"} 1`,
		`wolkvox_faults{class="dest-lost",destination="nas",party="client",tenant="acme"} 1`,
		`wolkvox_faults{class="other",destination="nas",party="other",tenant="acme"} 25`,
		`wolkvox_alarm_timestamp_seconds{destination="nas",kind="TAIL_LOST",tenant="acme"} 1.7731`,
		`wolkvox_recovering{destination="nas",tenant="acme"} 1`,
		`wolkvox_items{destination="nas",state="pending",tenant="acme"} 100`,
		`wolkvox_served_bytes_total{destination="nas",tenant="acme"} 1.099511627776e+12`,
		`wolkvox_unread 1`,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("%s is not shown", want)
		}
	}
	if got := strings.Count(text, "\nwolkvox_faults{"); got != maxCauses {
		t.Errorf("%d causes are told apart, want %d", got, maxCauses)
	}
	if strings.Contains(text, `class="over"`) {
		t.Error("a fault of the whole destination that is over is counted")
	}
	if strings.Contains(text, ".gsm") {
		t.Error("the name of a recording is shown")
	}
}

func TestCalls(t *testing.T) {
	t.Parallel()
	calls := NewCalls()
	_, err := calls.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/s/Unary"}, func(context.Context, any) (any, error) {
		return nil, status.Error(codes.NotFound, "none")
	})
	if status.Code(err) != codes.NotFound {
		t.Errorf("the interceptor made %v of the error", err)
	}
	s := servertest.New(t, "America/Bogota", backup.StorageRSYNC, time.Now())
	err = calls.Stream(nil, nil, &grpc.StreamServerInfo{FullMethod: "/s/Stream"}, func(any, grpc.ServerStream) error {
		if text := answer(t, NewCollector(newState(s)), calls); !strings.Contains(text, `wolkvox_open_streams{method="/s/Stream"} 1`) {
			t.Error("the stream that is open is not shown")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	text := answer(t, NewCollector(newState(s)), calls)
	for _, want := range []string{
		`wolkvox_call_seconds_count{code="NotFound",method="/s/Unary"} 1`, `wolkvox_streams_total{code="OK",method="/s/Stream"} 1`, `wolkvox_open_streams{method="/s/Stream"} 0`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not shown", want)
		}
	}
}
