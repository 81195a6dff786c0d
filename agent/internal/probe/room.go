package probe

import (
	"context"
	"errors"
	"fmt"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/fault"
)

// spareInodes is what must stay free where the destination counts inodes, as in a night.
const spareInodes = 1000

// room looks at what the place can still take, and whether what is pending fits.
func (c *check) room(ctx context.Context, place *dest.Place) {
	if c.silentOn != "" {
		c.notTried(c.silentOn, SubjectSpace, SubjectInodes, SubjectQuota)
		return
	}
	var space dest.Space
	err := c.try(ctx, func(ctx context.Context) (err error) { space, err = place.Space(ctx); return err })
	if c.known = err == nil; c.known {
		c.space = space
	}
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		c.unknown(SubjectSpace, "the place does not tell how much is free: look at it there")
		c.unknown(SubjectInodes, "the place does not tell")
	case err != nil:
		c.bad(SubjectSpace, err)
		c.notTried(SubjectSpace, SubjectInodes)
	default:
		c.fits()
	}
	if !c.told(SubjectQuota) {
		c.unknown(SubjectQuota, "the place does not tell whether a quota leaves this user less than what is free")
	}
}

// fits compares what is free with what is pending.
func (c *check) fits() {
	items, sizeBytes, err := c.probe.Pending()
	c.pending = items
	if err != nil {
		c.bad(SubjectSpace, fmt.Errorf("read what is pending: %w", err))
		c.notTried(SubjectSpace, SubjectInodes)
		return
	}
	reserve := c.probe.Reserve(c.space)
	free, kept := sizeText(c.space.FreeBytes), sizeText(reserve)
	switch {
	case items == 0 && c.space.FreeBytes >= reserve:
		c.good(SubjectSpace, "%s are free, of which %s stay in reserve; nothing is pending", free, kept)
	case items == 0:
		c.add(backup.CheckLine{Subject: SubjectSpace, Verdict: backup.CheckBad, Class: fault.ClassCapacity, Party: fault.PartyClient, Code: "RESERVE",
			Message: c.say("%s are free, of which %s stay in reserve, so nothing more is copied: free space there, or lower `reserve` in the configuration", free, kept)})
	case c.space.FreeBytes-reserve >= sizeBytes:
		c.good(SubjectSpace, "%s are free, of which %s stay in reserve; the %d recordings that are pending (%s) fit", free, kept, items, sizeText(sizeBytes))
	default:
		short := c.space
		short.FreeInodes = -1 // inodes have a line of their own
		c.bad(SubjectSpace, fault.NewShortage(short, reserve, sizeBytes, int(items)))
	}
	switch inodes := c.space.FreeInodes; {
	case inodes < 0:
		c.good(SubjectInodes, "the place tells of no limit to the number of files")
	case inodes < items+spareInodes:
		c.bad(SubjectInodes, c.inodeShortage())
	default:
		c.good(SubjectInodes, "%d more files fit", inodes)
	}
}

// inodeShortage is the error of a place that takes too few more files.
func (c *check) inodeShortage() error {
	return fault.NewShortage(dest.Space{FreeBytes: 1, FreeInodes: c.space.FreeInodes}, 0, 0, int(c.pending))
}
