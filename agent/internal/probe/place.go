package probe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/agent/internal/night"
)

// What depends on what.
var (
	afterPlace  = []string{SubjectMarker, SubjectHistory, SubjectSpace, SubjectInodes, SubjectQuota}
	afterMarker = []string{SubjectWrite, SubjectSync, SubjectRename, SubjectReadBack, SubjectDelete}
)

// place looks at the destination.
func (c *check) place(ctx context.Context) {
	p := c.probe
	if h := p.hung; h != nil {
		select {
		case <-h.over:
			p.hung = nil
		default:
			c.bad(SubjectPlace, c.silent(fmt.Errorf("it has not answered for %v, since an earlier check", time.Since(h.since).Round(time.Second))))
			c.notTried(SubjectPlace, afterPlace...)
			c.notTried(SubjectPlace, afterMarker...)
			return
		}
	}
	var place *dest.Place
	var canary *dest.Canary
	defer c.leave(&place, &canary)
	if !c.reach(ctx, &place) {
		return
	}
	taken, ok := c.marker(ctx, place)
	if !ok { // what is no destination is not written to, and its space says nothing
		c.notTried(SubjectMarker, afterPlace...)
		c.notTried(SubjectMarker, afterMarker...)
		return
	}
	if taken {
		c.unknown(SubjectHistory, "not compared before this agent's ledger has taken the place over")
	} else {
		c.history(ctx, place)
	}
	c.room(ctx, place)
	if c.silentOn != "" {
		c.notTried(c.silentOn, afterMarker...)
		return
	}
	canary = place.NewCanary()
	c.canary(ctx, canary)
}

// reach opens the place and says who answers, and reports whether one does.
func (c *check) reach(ctx context.Context, place **dest.Place) bool {
	p := c.probe
	err := c.try(ctx, func(ctx context.Context) (err error) {
		*place, err = p.Store.Reach(ctx)
		return err
	})
	if err != nil {
		c.notReached(err)
		return false
	}
	var facts []dest.Fact
	handle := *place
	if c.try(ctx, func(ctx context.Context) error { facts = handle.Facts(ctx); return nil }) == nil {
		c.facts = facts
	}
	if p.Mounted && p.User != "" && !p.Login {
		c.good(SubjectPlace, "%s answers, and takes the agent for the user %s of this machine", p.Location, p.User)
	} else {
		c.good(SubjectPlace, "%s answers", p.Location)
	}
	if p.Mounted {
		c.good(SubjectPath, "the folder is there")
	}
	if p.Login {
		c.good(SubjectAccount, "the login was accepted")
	}
	c.told(SubjectHostKey)
	c.told(SubjectProgram)
	return true
}

// notReached says why the place could not be opened. A login is tried once.
func (c *check) notReached(err error) {
	p := c.probe
	cause := subjectOf(err, p.Mounted)
	if cause != SubjectPlace {
		c.unknown(SubjectPlace, "%s was not opened, because of what is said of %s", p.Location, cause)
	}
	c.bad(cause, err)
	c.notTried(cause, afterPlace...)
	c.notTried(cause, afterMarker...)
}

// marker looks whether it is the right place, and whether it will be when it is taken over.
func (c *check) marker(ctx context.Context, place *dest.Place) (takenOver, ok bool) {
	p := c.probe
	err := c.try(ctx, place.CheckMarker)
	switch {
	case err == nil:
		c.good(SubjectMarker, "this is the place of %s", p.Store.Origin())
		return false, true
	case p.Store.TakesOver(err):
		c.good(SubjectMarker, "this is the place of the log that this one continues; the next run takes it over")
		return true, true
	default:
		c.bad(SubjectMarker, err)
	}
	return false, false
}

// history looks whether the place, or the agent's own state, is an older version of itself.
func (c *check) history(ctx context.Context, place *dest.Place) {
	var err error
	for range 2 { // a night may have changed both between the two looks
		var kept night.Kept
		err = c.try(ctx, func(ctx context.Context) (err error) { kept, err = night.ReadKept(ctx, place); return err })
		if err != nil {
			break
		}
		if err = c.probe.JudgeKept(kept); !errors.Is(err, night.ErrWentBack) {
			break
		}
	}
	switch {
	case err == nil:
		c.good(SubjectHistory, "it keeps what was last signed and agreed")
	case errors.Is(err, night.ErrBusy):
		c.unknown(SubjectHistory, "not compared now: %v, and each batch compares it anyway", err)
	case errors.Is(err, night.ErrWentBack):
		c.add(backup.CheckLine{Subject: SubjectHistory, Verdict: backup.CheckBad, Class: fault.ClassDestConfig, Party: fault.PartyClient, Code: "WENT_BACK",
			Message: c.say("%v: make sure that the right share is mounted, and not an older copy of it; the next night first reads all that is "+
				"confirmed, signs for what is gone and copies it again, and asks before it does so for more than 1 %%", err)})
	case errors.Is(err, night.ErrKeptUnknown):
		c.add(backup.CheckLine{Subject: SubjectHistory, Verdict: backup.CheckWarning, Class: fault.ClassDestConfig, Party: fault.PartyWolkvox, Code: "KEPT_AHEAD",
			Message: c.say("%v as soon as the server answers; keep the place as it is, and call wolkvox if this stays", err)})
	default:
		c.bad(SubjectHistory, err)
	}
}

// canary writes, reads back and deletes a small file out of sight.
func (c *check) canary(ctx context.Context, canary *dest.Canary) {
	steps := []struct {
		subject, found string
		do             func(context.Context) error
	}{
		{SubjectWrite, "a file was written", canary.Write},
		{SubjectSync, "it was made durable", canary.Sync},
		{SubjectRename, "it took its name, and another could not take it from it", canary.Rename},
		{SubjectReadBack, "it reads back the same", canary.ReadBack},
	}
	failed := ""
	for _, step := range steps {
		if failed != "" {
			c.notTried(failed, step.subject)
			continue
		}
		if err := c.try(ctx, step.do); err != nil {
			failed = step.subject
			c.stepFailed(step.subject, err)
			continue
		}
		c.good(step.subject, step.found)
	}
	c.told(SubjectChecksum)
	if c.abandoned != nil {
		c.unknown(SubjectDelete, "the file is deleted when the place answers again, by the next check at the latest")
		return
	}
	err := c.try(context.WithoutCancel(ctx), canary.Remove)
	switch {
	case err != nil:
		c.bad(SubjectDelete, err)
	case failed == SubjectWrite:
		c.notTried(failed, SubjectDelete)
	default:
		c.good(SubjectDelete, "it was deleted, and nothing is left of the check")
	}
}

// stepFailed adds a line about an error of writing. A place without inodes calls itself full.
func (c *check) stepFailed(subject string, err error) {
	f := c.probe.Faults.Of(err)
	if f.Class == fault.ClassCapacity && c.known && c.space.FreeInodes >= 0 && c.space.FreeInodes < fewInodes {
		f.Message = c.probe.Faults.Of(c.inodeShortage()).Message
	}
	c.fault(subject, f)
}

// fewInodes is what a check needs at most.
const fewInodes = 16
