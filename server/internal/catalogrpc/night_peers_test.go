//go:build peers

package catalogrpc_test

import "testing"

// The night of a large contact centre, as [TestNight] has it of a small one.
func TestNightOf100000(t *testing.T) { announceNight(t, 100_000) }
