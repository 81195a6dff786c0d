package night

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"github.com/wolkvox/backup/agent/internal/audit"
	"github.com/wolkvox/backup/internal/ledger"
)

// errBudget ends reading where a slice has read what it should.
var errBudget = errors.New("the slice of the rolling audit has been read")

// sliceEvery is how often the rolling audit looks whether something is due to be read.
const sliceEvery = 10 * time.Minute

// AuditLoop reads every stored byte again within so many days, in slices beside the nights, until ctx ends; limiter bounds what is
// read in a second, nil for no bound. Nothing is read during a pause, while the destination is left alone, or has ended, and no
// slice begins while somebody has an audit made.
func (n *Night) AuditLoop(ctx context.Context, everyDays int, limiter *rate.Limiter) {
	tick := time.NewTicker(sliceEvery)
	defer tick.Stop()
	n.judgeRate(ctx, everyDays, limiter)
	var again int64 // the budget of a slice that is to be looked at a second time
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		budget := again
		var err error
		if budget == 0 {
			budget, err = n.due(everyDays)
		}
		again = 0
		if err == nil && budget > 0 && !n.paused() && !n.retired() && !n.isAuditing() {
			err = n.AuditSlice(ctx, budget, limiter)
		}
		if errors.Is(err, ErrMassLoss) {
			again = budget
		}
		if err != nil && ctx.Err() == nil {
			n.logWarn(ctx, "the rolling audit waits", err)
		}
	}
}

// isAuditing reports whether somebody has an audit made.
func (n *Night) isAuditing() bool {
	if !n.auditing.TryLock() {
		return true
	}
	n.auditing.Unlock()
	return false
}

// judgeRate says where the rate is too low for the days.
func (n *Night) judgeRate(ctx context.Context, everyDays int, limiter *rate.Limiter) {
	total, err := n.heldBytes()
	if err != nil || limiter == nil {
		return
	}
	if days := float64(total) / float64(limiter.Limit()) / (24 * time.Hour).Seconds(); days > float64(everyDays) {
		n.Slog.LogAttrs(ctx, slog.LevelWarn, "the rate of the rolling audit is too low to read everything in the days that are set",
			slog.Float64("needed_days", days), slog.Int("every_days", everyDays))
	}
}

// due returns how many bytes should have been read by now and were not.
func (n *Night) due(everyDays int) (int64, error) {
	p, begun, err := n.Rounds.Position()
	if err != nil {
		return 0, err
	}
	total, err := n.heldBytes()
	if err != nil {
		return 0, err
	}
	var elapsed time.Duration
	if begun {
		elapsed = n.Now().Sub(p.Began)
	}
	return dueBytes(total, p.Counts.ReadBytes, elapsed+sliceEvery, everyDays), nil
}

// dueBytes returns what of a total should have been read after some time of a round, less what was. A round takes nine tenths of the
// days, so that what it reads early is not late in the next one.
func dueBytes(total, read int64, elapsed time.Duration, everyDays int) int64 {
	round := time.Duration(everyDays) * 24 * time.Hour / 10 * 9
	return int64(float64(total)*min(float64(elapsed)/float64(round), 1)) - read
}

// heldBytes returns about how much should be at the destination.
func (n *Night) heldBytes() (total int64, err error) {
	var manifests []ledger.Manifest
	n.Log.View(func(log *ledger.Log) { manifests = append(manifests, log.Manifests...) })
	for _, m := range manifests {
		held, err := n.heldOf(m.Number)
		if err != nil {
			return 0, err
		}
		if m.Items > 0 {
			total += int64(float64(m.Bytes) * float64(held.Len()) / float64(m.Items))
		}
	}
	return total, nil
}

// AuditSlice goes on with the rolling audit for about so many bytes. What it finds lost is signed as of any audit; where that cannot be
// done now, or is [ErrMassLoss], the next slice reads the same again. It is [ErrAuditing] while another slice is being read.
func (n *Night) AuditSlice(ctx context.Context, budget int64, limiter *rate.Limiter) error {
	if !n.slicing.TryLock() {
		return ErrAuditing
	}
	defer n.slicing.Unlock()
	a := newAuditor(n, n.Rounds, AuditRequest{
		Options: audit.Options{Level: audit.Read, Percent: 100}, Limiter: limiter,
		Found: func(audit.Finding) error { return nil }, Watch: func(audit.Counts) {},
	})
	a.budget = budget
	return a.slice(ctx)
}

func (a *auditor) slice(ctx context.Context) (err error) {
	if a.position, err = a.journal.Begin(a.request.Options, false, a.night.Now().UTC(), a.replayed); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.journal.Close()) }()
	a.began, a.safe = a.position, a.position
	err = a.look(ctx)
	more := errors.Is(err, errBudget)
	if err != nil && !more { // what is before the safe position was looked at, and is signed for with the next slice
		return errors.Join(err, a.journal.Keep(a.safe))
	}
	report := a.report(audit.Complete, nil)
	if len(a.lost) > 0 {
		if report.Signed, report.Recovered, err = a.sign(ctx); err != nil {
			return errors.Join(err, a.journal.Keep(a.began))
		}
	}
	a.night.Slog.LogAttrs(ctx, slog.LevelInfo, "a slice of the rolling audit was read", slog.Int64("read_bytes", a.used()),
		slog.Int64("signed", report.Signed))
	if more {
		return a.journal.Keep(a.safe)
	}
	report.Ended = a.night.Now().UTC()
	a.night.logAudit(ctx, report)
	return a.journal.End(report)
}

// isUsedUp reports whether a slice has read what it should.
func (a *auditor) isUsedUp() bool {
	return a.budget > 0 && a.used() >= a.budget
}

// used is what has been read since it was gone on with.
func (a *auditor) used() int64 { return a.position.Counts.ReadBytes - a.began.Counts.ReadBytes }
