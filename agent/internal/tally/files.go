package tally

import (
	"context"
	"fmt"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/report"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// Files yields every recording of the period, by night, manifest and line.
func (t *Tally) Files(ctx context.Context, yield func(report.File) error) error {
	for _, m := range t.manifests {
		if err := t.files(ctx, m, yield); err != nil {
			return fmt.Errorf("manifest %d: %w", m.Number, err)
		}
	}
	return nil
}

func (t *Tally) files(ctx context.Context, m ledger.Manifest, yield func(report.File) error) error {
	states, err := t.log.States(m.Number)
	if err != nil {
		return err
	}
	faults, err := t.log.Faults(m.Number)
	if err != nil {
		return err
	}
	return t.lines(ctx, m, states, func(index int64, line ledger.Line, s backup.State, sound time.Duration) error {
		file := report.File{Night: m.Night, Manifest: m.Number, Index: index, Item: line.Item, State: s, Sound: sound}
		if line.Forgotten {
			file.Sound = store.UnknownDuration
		}
		if s == backup.Pending {
			file.Deadline = m.Deadline
		}
		if s == backup.Pending || s == backup.Expired {
			for _, f := range faults {
				if f.Items.Contains(index) {
					file.Cause = causeOf(f.Fault)
					file.Cause.State, file.Cause.Items = s, 1
					break
				}
			}
		}
		return yield(file)
	})
}
