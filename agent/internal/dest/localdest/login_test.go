package localdest_test

import (
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest/localdest"
)

// TestLoginNeedsUNC: a login that could never be used is refused when the agent starts.
func TestLoginNeedsUNC(t *testing.T) {
	t.Parallel()
	login := localdest.Login{User: "backup", Password: func() (string, error) { return "secret", nil }}
	for dir, ok := range map[string]bool{`\\nas\recordings`: true, `\\nas`: false, `Z:\recordings`: false, "/srv/recordings": false} {
		if _, err := localdest.NewWithLogin(dir, login); (err == nil) != ok {
			t.Errorf("%s: %v", dir, err)
		}
	}
}
