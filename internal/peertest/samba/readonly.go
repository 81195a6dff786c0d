//go:build unix

package samba

import (
	"os"
	"strings"
	"testing"
)

// SetReadOnly makes the share take no writes, or take them again. It counts after the next [Server.Restart].
func (s *Server) SetReadOnly(t testing.TB, on bool) {
	t.Helper()
	text, err := os.ReadFile(s.config())
	if err != nil {
		t.Fatal(err)
	}
	const key = "read only = "
	changed := strings.Replace(string(text), key+yesNo(!on), key+yesNo(on), 1)
	if err := os.WriteFile(s.config(), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}
