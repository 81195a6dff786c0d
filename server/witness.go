package server

import (
	"log/slog"
	"path/filepath"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/config"
	"github.com/wolkvox/backup/server/internal/sequencer"
	"github.com/wolkvox/backup/server/internal/witnesses"
)

// newWitnesses returns those who cosign the heads of all ledgers.
func newWitnesses(c config.Config, sequencers *sequencer.Set, log *slog.Logger) *witnesses.Witnesses {
	o := witnesses.Options{Dir: filepath.Join(c.StateDir, witnessesDir), Logger: log, Logs: func() (logs []witnesses.Log) {
		for _, s := range sequencers.All() {
			logs = append(logs, s.Ledger())
		}
		return logs
	}}
	for _, w := range c.Witnesses {
		o.Witnesses = append(o.Witnesses, witnesses.Witness{URL: w.URL, Key: ledger.WitnessKey(w.Key)})
	}
	return witnesses.New(o)
}
