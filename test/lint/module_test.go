package lint

import (
	"os/exec"
	"testing"
)

// TestModuleTidy wants go.mod and go.sum as go mod tidy would leave them.
func TestModuleTidy(t *testing.T) {
	t.Parallel()
	tidy := exec.CommandContext(t.Context(), "go", "mod", "tidy", "-diff")
	tidy.Dir = root
	if out, err := tidy.CombinedOutput(); err != nil {
		t.Errorf("go mod tidy -diff: %v: run go mod tidy\n%s", err, out)
	}
}
