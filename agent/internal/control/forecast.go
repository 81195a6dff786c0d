package control

import (
	"context"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/forecast"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
)

// forecast says what becomes of the destination if nights go on as they did; nil where the window is not known.
func (d Destination) forecast(ctx context.Context, freeBytes *int64) (*backupv1.Forecast, error) {
	if d.Limits.NextEnd == nil {
		return nil, nil
	}
	firstEnd, known := d.Limits.NextEnd(d.Limits.Now())
	if !known {
		return nil, nil
	}
	backlogs, err := forecast.Backlogs(d.Log)
	if err != nil {
		return nil, err
	}
	rate, err := forecast.Measure(ctx, d.Log, firstEnd)
	if err != nil {
		return nil, err
	}
	m := &backupv1.Forecast{Rate: wire.DrainRate(rate)}
	for _, outlook := range forecast.Of(rate, backlogs, firstEnd) {
		if outlook.ExpiringItems == 0 {
			continue
		}
		var sealed ledger.Manifest
		d.Log.View(func(l *ledger.Log) { sealed, _ = l.Manifest(outlook.Manifest) })
		manifest := wire.ExpiringManifest(outlook, sealed.Night)
		fault, met, err := d.Log.LastFault(outlook.Manifest)
		if err != nil {
			return nil, err
		}
		if met {
			manifest.LastFault = wire.Fault(fault)
		}
		m.Expiring = append(m.Expiring, manifest)
	}
	if freeBytes != nil {
		if full, ok := forecast.FullAt(rate, *freeBytes, firstEnd); ok {
			m.FullTime = wire.Time(full)
		}
	}
	return m, nil
}
