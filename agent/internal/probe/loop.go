package probe

import (
	"context"
	"hash/fnv"
	"log/slog"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/schedule"
)

const (
	lead      = 3 * time.Hour    // before the window, while people are at work
	spread    = 30 * time.Minute // over which the checks of all agents are spread
	again     = time.Hour        // after a check that was red
	firstWait = 5 * time.Second  // after the start, so that the server was heard
	lookEvery = time.Minute
)

// Loop checks by itself until ctx ends: soon after the start, which is also after each change of the configuration; some hours
// before each window; and every hour while the destination is red, until the window opens. window returns false while none is
// known. A destination that has ended is left alone. That one turned red is logged once, with why.
func (p *Probe) Loop(ctx context.Context, window func() (schedule.Window, bool)) {
	share := p.share()
	timer := time.NewTimer(firstWait + time.Duration(share*float64(lookEvery)))
	defer timer.Stop()
	red, due := false, true
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		last, looked := p.Last()
		if looked {
			w, known := window()
			due = isDue(p.Now(), w, known, last, share)
		}
		if due && !p.Ended() {
			report, err := p.Run(ctx, func(backup.CheckLine) {})
			if err != nil {
				return
			}
			red = p.tell(ctx, report, red)
		}
		timer.Reset(lookEvery)
	}
}

// share is this destination's place in the spread, from 0 to 1.
func (p *Probe) share() float64 {
	sum := fnv.New32a()
	sum.Write([]byte("check " + p.Store.Origin()))
	return float64(sum.Sum32()) / (1 << 32)
}

// isDue reports whether it is time for another check after the last one. One that was made before the server was heard, on a
// machine whose clock is ahead, does not count.
func isDue(now time.Time, w schedule.Window, known bool, last backup.CheckReport, share float64) bool {
	if last.At.After(now) {
		return true
	}
	red := last.Worst == backup.CheckBad
	if !known {
		return red && now.Sub(last.At) >= again
	}
	span := w.Next(now)
	if span.Contains(now) {
		span, red = w.Next(span.Stop), false // the night itself says what is wrong
	}
	begin := span.Start.Add(-lead + time.Duration(share*float64(spread)))
	if !now.Before(begin) && last.At.Before(begin) {
		return true
	}
	return red && now.Sub(last.At) >= again
}

// tell logs what changed, and reports whether the destination is red.
func (p *Probe) tell(ctx context.Context, report backup.CheckReport, before bool) (red bool) {
	red = report.Worst == backup.CheckBad
	switch {
	case before && !red:
		p.Logger.LogAttrs(ctx, slog.LevelInfo, "the destination would take a night's recordings again")
	case red && !before:
		for _, line := range report.Lines {
			if line.Verdict == backup.CheckBad {
				p.Logger.LogAttrs(ctx, slog.LevelWarn, "the destination would not take a night's recordings",
					slog.String("subject", line.Subject), slog.String("code", line.Code), slog.String("message", line.Message))
			}
		}
	}
	return red
}
