package fault

import (
	"errors"
	"fmt"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// The reasons of wolkvox' server, and what gRPC says by itself, have the class and the party of their own.
func TestWolkvox(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason       string
		code         int64
		class, party string
	}{
		{"STORAGE_QUOTA", 8, ClassQuota, PartyClient},
		{"STORAGE_FULL", 8, ClassCapacity, PartyWolkvox},
		{"READ_BACK", 15, ClassIntegrity, PartyWolkvox},
		{"UNREADABLE", 0, ClassIntegrity, PartyWolkvox},
		{"NOT_WOLKVOX_STORAGE", 9, ClassDestConfig, PartyClient},
		{"NOT_ASSIGNED", 7, ClassPermission, PartyClient},
		{"REVOKED", 7, ClassCredential, PartyClient},
		{"TRY_LATER", 8, ClassThrottle, PartyWolkvox},
		{"TOO_MANY_CALLS", 8, ClassThrottle, PartyWolkvox},
		{"SOURCE_UNREACHABLE", 14, ClassSource, PartyWolkvox},
		{"BAD_REQUEST", 3, ClassClientBug, PartyWolkvox},
		{"", 14, ClassNetwork, PartyNetwork},
		{"", 13, ClassTransient, PartyWolkvox},
		{"", 2, ClassOther, PartyClient},
		{"NEVER_HEARD_OF", 9, ClassOther, PartyClient},
	} {
		err := fmt.Errorf("store: %w", &dest.CodeError{Space: dest.SpaceWolkvox, Name: c.reason, Number: c.code, Cause: errors.New("cause")})
		f := Of(err)
		if f.Class != c.class || f.Party != c.party || c.reason != "" && f.Code != c.reason {
			t.Errorf("%q %d is %s, %s, %s; want %s, %s", c.reason, c.code, f.Class, f.Party, f.Code, c.class, c.party)
		}
	}
	// What reads back differently is wolkvox' matter there, though elsewhere it is the client's.
	if f := Of(&dest.CodeError{Space: dest.SpaceWolkvox, Name: "READ_BACK", Cause: dest.ErrReadBack}); f.Party != PartyWolkvox || f.Code != "READ_BACK" {
		t.Errorf("what reads back differently is %+v", f)
	}
}
