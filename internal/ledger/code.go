package ledger

import (
	"fmt"
	"strings"

	"github.com/wolkvox/backup"
)

// Kind is the kind of an entry.
type Kind uint8

// The kinds of entries. The numbers equal those of the protocol.
const (
	KindGenesis   Kind = 1
	KindAssigned  Kind = 2
	KindRekeyed   Kind = 3
	KindSealed    Kind = 4
	KindDelivered Kind = 5
	KindLost      Kind = 6
	KindWaived    Kind = 7
	KindReleased  Kind = 8
	KindErased    Kind = 9
	KindClosed    Kind = 10
	KindExtended  Kind = 11
	KindWithdrawn Kind = 12
	KindForgotten Kind = 13
	KindRetired   Kind = 14
)

var kinds = [...]string{
	KindGenesis: "genesis", KindAssigned: "assigned", KindRekeyed: "rekeyed", KindSealed: "sealed",
	KindDelivered: "delivered", KindLost: "lost", KindWaived: "waived", KindReleased: "released", KindErased: "erased",
	KindClosed: "closed", KindExtended: "extended", KindWithdrawn: "withdrawn", KindForgotten: "forgotten",
	KindRetired: "retired",
}

// String returns the word that stands in an entry's first line.
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kinds) {
		return fmt.Sprintf("unknown(%d)", uint8(k))
	}
	return kinds[k]
}

// IsReceipt reports whether the agent makes and signs entries of this kind.
func (k Kind) IsReceipt() bool { return KindDelivered <= k && k <= KindErased }

func readKind(s string) (Kind, bool) {
	for k, word := range kinds {
		if k > 0 && word == s {
			return Kind(k), true
		}
	}
	return 0, false
}

// Codes of entries: the only values that the fields of that name may have.
const (
	BroughtAutomatic = "automatic" // by the nightly copy
	BroughtByHand    = "by-hand"   // by a person, and then checked like any other

	LostMissing = "missing" // an audit did not find it
	LostAltered = "altered" // an audit found other contents

	WaivedDeclined      = "declined"
	WaivedNotNeeded     = "not-needed"
	WaivedKeptElsewhere = "kept-elsewhere"

	ReleasedRetention = "retention" // the client's own rule
	ReleasedCommand   = "command"   // a person's command

	ErasedDeleted   = "deleted"
	ErasedAbsent    = "absent"
	ErasedImmutable = "immutable"  // the destination does not let it be deleted
	ErasedNoConsent = "no-consent" // the client has not consented to deleting
	ErasedFailed    = "failed"

	ExtendedOutage   = "outage" // an outage that wolkvox caused
	ExtendedCourtesy = "courtesy"

	WithdrawnChanged = "changed" // the source changed after sealing
	WithdrawnDamaged = "damaged" // the source is damaged
	WithdrawnLost    = "lost"    // the source was lost by wolkvox
	WithdrawnName    = "name"    // the path cannot stay as it is
	WithdrawnError   = "error"

	RetiredEnded    = "ended"
	RetiredMoved    = "moved"
	RetiredTailLost = "tail-lost" // nobody holds the end of the log any more
)

// providerPartsPrefix is how the text of a [backup.ProviderSHA256Parts] method begins.
const providerPartsPrefix = "provider-sha256-parts "

// ParseMethod reads a method as it stands in an entry. The error is a [*RefusedError] with TEXT.
func ParseMethod(s string) (backup.Method, error) {
	switch m := backup.Method(s); m {
	case backup.ReadbackUncached, backup.ReadbackCached, backup.ProviderSHA256, backup.PeerReadbackSHA256, backup.PeerReadbackSHA512,
		backup.PeerReadbackSHA1, backup.PeerReadbackMD5, backup.ProviderMD5:
		return m, nil
	}
	if size, ok := strings.CutPrefix(s, providerPartsPrefix); ok {
		if n, ok := readDecimal(size); ok && n >= 1 {
			return backup.Method(s), nil
		}
	}
	return "", refuse(ReasonText, "%.80q is no method", s)
}
