package operator

import (
	"fmt"
	"strings"
	"time"

	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/config"
	"github.com/wolkvox/backup/server/internal/localact"
)

// recorded does what a command on the server's machine is about, and has it go into the admin log: word is left before it
// is done, and taken back where it failed.
func (a *app) recorded(c config.Config, act string, subject map[string]string, do func() error) error {
	if _, err := wire.FormatReason(a.reason); err != nil {
		return usage("--reason: %w", err)
	}
	done, err := localact.NewAct(act, strings.TrimSpace(a.reason), "", time.Now(), subject)
	if err != nil {
		return err
	}
	withdraw, err := localact.Leave(c.StateDir, localact.Act{Act: done})
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		if again := withdraw(); again != nil {
			return fmt.Errorf("%w; and %w", err, again)
		}
		return err
	}
	return nil
}
