package wire

import (
	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/forecast"
)

// DrainRate returns what the last nights brought as it travels to people.
func DrainRate(r forecast.Rate) *backupv1.DrainRate {
	return &backupv1.DrainRate{NightCount: int64(r.Nights), ConfirmedCount: r.Items, ConfirmedBytes: r.Bytes}
}

// ExpiringManifest returns what becomes of what is pending of a manifest, without its fault.
func ExpiringManifest(o forecast.Outlook, night backup.Date) *backupv1.ExpiringManifest {
	return &backupv1.ExpiringManifest{
		Manifest: o.Manifest, Night: night.String(), DeadlineTime: Time(o.Deadline), PendingCount: o.Items, PendingBytes: o.Bytes,
		ExpiringCount: o.ExpiringItems, ExpiringBytes: o.ExpiringBytes,
	}
}
