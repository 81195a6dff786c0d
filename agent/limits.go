package agent

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/wolkvox/backup/agent/internal/control"
	"github.com/wolkvox/backup/agent/internal/notes"
	"github.com/wolkvox/backup/internal/forecast"
)

// pause returns the pause that holds at the given time, nil where there is none.
func (d *destination) pause(at time.Time) *notes.Pause {
	p := d.notes.Note(d.config.Name).Pause
	if p == nil || p.Ended(at) {
		return nil
	}
	return p
}

// measured takes the rate of a pass into the moving average. That it cannot be kept is no fault of the pass.
func (d *destination) measured(bytesPerSecond int64) {
	if err := d.notes.Measured(d.config.Name, bytesPerSecond); err != nil {
		d.logger.LogAttrs(context.Background(), slog.LevelWarn, "measured rate not kept", slog.Any("error", err))
	}
}

// zone returns the tenant's zone, nil before the server named it.
func (d *destination) zone() *time.Location {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.order.Window.Location
}

// nextEnd returns when the first night to come ends; false before the server named the window.
func (d *destination) nextEnd(at time.Time) (time.Time, bool) {
	w, known := d.window()
	if !known {
		return time.Time{}, false
	}
	return forecast.NextEnd(at, w.End, w.Location), true
}

// limits is how people see and set what holds the destination's nights back. serverProblem says why the server cannot be
// reached now.
func (d *destination) limits(serverProblem func() error) control.Limits {
	return control.Limits{
		Now: d.night.Now, Zone: d.zone, NextEnd: d.nextEnd,
		Pause:    func() *notes.Pause { return d.pause(d.night.Now()) },
		SetPause: func(p notes.Pause) error { return d.notes.Pause(d.config.Name, p) },
		Resume:   func() error { return d.notes.Resume(d.config.Name) },
		Rate:     func() int64 { return d.notes.Note(d.config.Name).BytesPerSecond },
		Limit:    func() (int64, bool) { return d.limitAt(d.night.Now()) },
		Hindrances: func() []string {
			return d.hindrances(d.night.Now(), serverProblem())
		},
	}
}

// hindrances says what keeps a pass from beginning by itself at the given time of the server.
func (d *destination) hindrances(at time.Time, serverProblem error) (all []string) {
	if serverProblem != nil {
		all = append(all, fmt.Sprintf("the server is not reached: %v", serverProblem))
	} else if err := d.logProblem(); err != nil {
		all = append(all, err.Error())
	}
	if p := d.pause(at); p != nil {
		all = append(all, pauseText(p, d.zone()))
	}
	if w, known := d.window(); !known {
		all = append(all, "wolkvox has not named the nightly window since the agent was started")
	} else if begins := d.night.Begins(w, at); begins.After(at) {
		all = append(all, "the next night begins at "+momentText(begins, w.Location))
	}
	if left := d.night.LeftAlone(); left != nil {
		all = append(all, fmt.Sprintf("it is left alone because of %s until %s: %s", left.Fault.Class, momentText(left.NextTry, d.zone()), left.Fault.Message))
	} else if left := d.night.RestLeft(); left > 0 {
		all = append(all, fmt.Sprintf("the last run met a fault, and the next one waits %s more", left.Round(time.Second)))
	}
	return all
}

func pauseText(p *notes.Pause, zone *time.Location) string {
	text := "it is paused until somebody resumes it"
	if !p.Until.IsZero() {
		text = "it is paused until " + momentText(p.Until, zone)
	}
	if p.Reason != "" {
		text += " (" + p.Reason + ")"
	}
	return text
}

// momentText shows a time by the tenant's clock, or by UTC where that is not known.
func momentText(t time.Time, zone *time.Location) string {
	if zone == nil {
		zone = time.UTC
	}
	return t.In(zone).Format("2006-01-02 15:04") + " (" + zone.String() + ")"
}
