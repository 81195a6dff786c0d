package store

import (
	"errors"
	"fmt"

	"github.com/wolkvox/backup/internal/ledger"
)

// What callers act upon. Every error of this package that has one of these causes wraps it.
var (
	// ErrInUse says that another process has the store open.
	ErrInUse = errors.New("another process has the store open")
	// ErrSchema says that a newer version of the program wrote the store.
	ErrSchema = errors.New("a newer version of the program wrote the store")
	// ErrDamaged says that what is stored is not what was written.
	ErrDamaged = errors.New("the store is damaged")
	// ErrFailed says that an earlier commit failed: close the store and open it again before the next change.
	ErrFailed = errors.New("an earlier write to the store failed, so it has to be opened again")
	// ErrNoRoom says that the volume of the store has less free than must stay so ([Options.Room]); nothing was touched, and
	// the change can be made when there is room again.
	ErrNoRoom = errors.New("there is no room for the store")
	// ErrTooLarge says that an append does not fit in one transaction; nothing of it was kept. Append in
	// several calls, see [MaxAppendBytes].
	ErrTooLarge = errors.New("too large for one transaction")
	// ErrNotFound says that there is no such entry, manifest or line.
	ErrNotFound = errors.New("not in the store")
	// ErrNoManifest says that a sealed entry came before its manifest was staged and complete, or that another
	// manifest was staged than the one sealed.
	ErrNoManifest = errors.New("the manifest's lines are not in the store")
	// ErrSealed says that a manifest is sealed and cannot be staged again.
	ErrSealed = errors.New("the manifest is sealed")
	// ErrStaging says that somebody else is staging the same manifest.
	ErrStaging = errors.New("the manifest is being staged already")
	// ErrNoAgent says that no agent's key is assigned in the log, so no receipt can be made.
	ErrNoAgent = errors.New("no agent is assigned in the ledger")
	// ErrOtherHistory says that a head names another root than the ledger has at its size: two histories exist.
	ErrOtherHistory = errors.New("the head is of another history than the ledger")
)

// MaxAppendBytes is how many bytes of entries, all together, one [Ledger.Append] can be given without meeting
// [ErrTooLarge]. More may fit. One entry alone always does.
const MaxAppendBytes = 256 << 10

func damaged(o ledger.Origin, format string, args ...any) error {
	return fmt.Errorf("ledger %s: %s: %w", o, fmt.Sprintf(format, args...), ErrDamaged)
}
