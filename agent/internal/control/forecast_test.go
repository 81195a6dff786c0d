package control

import (
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/forecast"
)

func TestForecast(t *testing.T) {
	t.Parallel()
	log := newServer(t, 2).log // sealed at noon, 11 bytes each
	known := true
	now := noon
	d := Destination{Log: log, Limits: Limits{
		Now:     func() time.Time { return now },
		NextEnd: func(at time.Time) (time.Time, bool) { return forecast.NextEnd(at, 6*time.Hour, time.UTC), known },
	}}
	free := int64(1 << 30)
	got, err := d.forecast(t.Context(), &free)
	check(t, err)
	if got.GetRate().GetNightCount() != 0 || len(got.GetExpiring()) != 0 || got.GetFullTime() != nil {
		t.Errorf("before the first night: %v", got)
	}
	now = noon.AddDate(0, 0, 3)
	got, err = d.forecast(t.Context(), &free)
	check(t, err)
	if got.GetRate().GetNightCount() != 3 || len(got.GetExpiring()) != 1 || got.GetExpiring()[0].GetExpiringCount() != 2 || got.GetExpiring()[0].GetNight() != "2026-03-01" || got.GetFullTime() != nil {
		t.Errorf("after three nights that brought nothing: %v", got)
	}
	known = false
	if got, err := d.forecast(t.Context(), nil); err != nil || got != nil {
		t.Errorf("without a window: %v, %v", got, err)
	}
}
