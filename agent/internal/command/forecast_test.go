package command

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func TestWriteForecast(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := &backupv1.Forecast{
		Rate: &backupv1.DrainRate{NightCount: 7, ConfirmedCount: 70, ConfirmedBytes: 7000}, FullTime: timestamppb.New(now.AddDate(0, 0, 10)),
		Expiring: []*backupv1.ExpiringManifest{{Manifest: 3, Night: "2026-02-14", DeadlineTime: timestamppb.New(now.Add(30 * time.Hour)), PendingCount: 200, ExpiringCount: 180}},
	}
	text := func() string {
		var out bytes.Buffer
		writeForecast(&out, f, now)
		return out.String()
	}
	for _, want := range []string{"7 nights", "10 recordings", "180 of the 200", "2026-02-14", "30 h", "is full on"} {
		if !strings.Contains(text(), want) {
			t.Errorf("%q does not say %q", text(), want)
		}
	}
	if f.FullTime = timestamppb.New(now.AddDate(1, 0, 0)); strings.Contains(text(), "full") {
		t.Errorf("%q speaks of a day that is far", text())
	}
	if f.Rate.NightCount = 0; text() != "" {
		t.Errorf("of an unknown rate: %q", text())
	}
	if isWell(&backupv1.GetStatusResponse{Destinations: []*backupv1.DestinationStatus{{Forecast: f}}}) {
		t.Error("all is well where something expires")
	}
}
