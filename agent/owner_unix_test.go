//go:build unix

package agent

import (
	"os"
	"strings"
	"testing"
)

// TestCheckOwner refuses state that belongs to another user, whoever runs this.
func TestCheckOwner(t *testing.T) {
	t.Parallel()
	own := t.TempDir()
	if err := checkOwner(own); err != nil {
		t.Errorf("checkOwner of an own directory = %v", err)
	}
	if err := checkOwner(own + "/none"); err != nil {
		t.Errorf("checkOwner of nothing = %v", err)
	}
	other := "/" // root's
	if os.Geteuid() == 0 {
		other = t.TempDir()
		check(t, os.Chown(other, 12345, -1))
	}
	if err := checkOwner(other); err == nil || !strings.Contains(err.Error(), other) || !strings.Contains(err.Error(), "as that user") {
		t.Errorf("checkOwner of another user's directory = %v", err)
	}
}
