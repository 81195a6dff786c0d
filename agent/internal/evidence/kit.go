package evidence

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// Month is a calendar month of nights.
type Month struct {
	Year  int
	Month time.Month
}

// ParseMonth reads YYYY-MM.
func ParseMonth(s string) (Month, error) {
	first, err := backup.ParseDate(s + "-01")
	if err != nil {
		return Month{}, fmt.Errorf("the month %.20q is not of the form YYYY-MM, as in 2026-11", s)
	}
	return Month{first.Year, first.Month}, nil
}

// String returns YYYY-MM.
func (m Month) String() string { return backup.Date{Year: m.Year, Month: m.Month, Day: 1}.String()[:7] }

// Errors of [WriteKit].
var (
	ErrNothingAgreed = errors.New("nothing is agreed yet")
	ErrNoNight       = errors.New("no night of that month is in the agreed log")
)

// kitName is the name of what says what a kit is.
const kitName = "kit.txt"

// WriteKit writes the evidence of a month: the log up to the agreed head, that head, and the manifests and a SHA256SUMS of each
// night of the month, also of one that has pending recordings. Nothing needs to be at the destination for it.
func WriteKit(ctx context.Context, log *store.Ledger, files Files, month Month) error {
	note := log.Agreed()
	if note == nil {
		return ErrNothingAgreed
	}
	head, _, err := ledger.ParseHead(note)
	if err != nil {
		return err
	}
	w := &Writer{log: log, files: files, kit: true, wanted: func(night backup.Date) bool {
		return Month{night.Year, night.Month} == month
	}}
	var server ledger.Verifier
	found := false
	log.View(func(l *ledger.Log) {
		server = l.Genesis.ServerKey
		for _, m := range l.Manifests {
			found = found || m.SealedAt < head.Size && w.wanted(m.Night)
		}
	})
	if !found {
		return fmt.Errorf("%s: %w", month, ErrNoNight)
	}
	agent, err := w.agentAt(head.Size)
	if err != nil {
		return err
	}
	text := fmt.Appendf(nil, "wolkvox-backup evidence kit v1\norigin %s\nmonth %s\nserver-fingerprint %s\nagent-fingerprint %s\n",
		log.Origin(), month, server.Fingerprint(), agent.Fingerprint())
	if err := files.Write(ctx, kitName, text); err != nil {
		return err
	}
	_, err = w.Write(ctx, 0)
	return err
}

// agentAt returns the agent's key that was current after the log's first size entries.
func (w *Writer) agentAt(size int64) (key ledger.Verifier, err error) {
	for leaf, err := range w.log.Entries(0, size) {
		if err != nil {
			return "", err
		}
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			return "", err
		}
		if assigned, ok := e.Body.(ledger.Assigned); ok {
			key = assigned.Request.AgentKey
		}
	}
	return key, nil
}
