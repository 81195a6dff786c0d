package command

import (
	"fmt"
	"io"
	"time"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// fullSoon is how near the day has to be on which the place is full for people to be told of it.
const fullSoon = 60 * 24 * time.Hour

// writeForecast says what expires if nights go on as they did, and when the place is full.
func writeForecast(w io.Writer, f *backupv1.Forecast, now time.Time) {
	nights := f.GetRate().GetNightCount()
	if nights == 0 {
		return
	}
	fmt.Fprintf(w, "the last %d nights with something to copy: %d recordings, %s a night\n", nights,
		f.GetRate().GetConfirmedCount()/nights, bytesText(f.GetRate().GetConfirmedBytes()/nights))
	for _, m := range f.GetExpiring() {
		fmt.Fprintf(w, "! if nights go on so, %d of the %d pending recordings of %s expire in %s\n", m.GetExpiringCount(), m.GetPendingCount(),
			m.GetNight(), daysLeft(m.GetDeadlineTime(), now))
	}
	if full := f.GetFullTime(); full != nil && full.AsTime().Sub(now) < fullSoon {
		fmt.Fprintf(w, "! if nights go on so, the place is full on %s\n", clock(full))
	}
}
