//go:build unix

package authority

import (
	"os"
	"strings"
	"testing"
)

// TestCheckOwner refuses state that belongs to another user, whoever runs this.
func TestCheckOwner(t *testing.T) {
	t.Parallel()
	if err := checkOwner(t.TempDir()); err != nil {
		t.Errorf("checkOwner of an own directory = %v", err)
	}
	other := "/" // root's
	if os.Geteuid() == 0 {
		other = t.TempDir()
		if err := os.Chown(other, 12345, -1); err != nil {
			t.Fatal(err)
		}
	}
	if err := checkOwner(other); err == nil || !strings.Contains(err.Error(), other) || !strings.Contains(err.Error(), "as that user") {
		t.Errorf("checkOwner of another user's directory = %v", err)
	}
}
