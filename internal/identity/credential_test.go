package identity_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/identity"
)

func TestCredentialSaveAndLoad(t *testing.T) {
	t.Parallel()
	_, a := saved(t)
	_, other := saved(t)
	path := filepath.Join(t.TempDir(), "credential.pem")
	operator, err := a.NewOperator("first", at)
	check(t, err)
	check(t, operator.Save(path))
	loaded, err := identity.LoadCredential(path)
	check(t, err)
	if role, err := identity.RoleOf(loaded.Certificate.Leaf); err != nil || role != identity.OperatorRole("first") || !loaded.Authority.Equal(a.Certificate()) {
		t.Errorf("loaded the credential of %v, %v", role, err)
	}
	if len(loaded.Certificate.Certificate) != 2 {
		t.Errorf("the chain has %d certificates, want the operator's and the intermediate's", len(loaded.Certificate.Certificate))
	}
	operator.Authority = other.Certificate()
	check(t, operator.Save(path))
	if _, err := identity.LoadCredential(path); err == nil {
		t.Error("LoadCredential took a certificate that another authority issued")
	}
	if _, err := identity.LoadCredential(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LoadCredential of nothing = %v, want ErrNotExist", err)
	}
}

// The grace after the end is an agent's alone, and has an end.
func TestGraceAfterTheEnd(t *testing.T) {
	t.Parallel()
	_, a := saved(t)
	agent := agentOf(t, a, at)
	end := agent.Certificate.Leaf.NotAfter
	for _, days := range []time.Duration{0, 29, 30} {
		if err := connect(t, a, asAgent(agent, at), end.Add(days*24*time.Hour)); err != nil {
			t.Errorf("an agent %d days after the end: %v", days, err)
		}
	}
	for _, after := range []time.Duration{identity.RenewalGrace + time.Second, 31 * 24 * time.Hour} {
		if err := connect(t, a, asAgent(agent, at), end.Add(after)); err == nil {
			t.Errorf("an agent %v after the end was let in", after)
		}
	}
	operator, err := a.NewOperator("first", at)
	check(t, err)
	if err := connect(t, a, asAgent(operator, at), operator.Certificate.Leaf.NotAfter.Add(time.Second)); err == nil {
		t.Error("an operator was let in after the end")
	}
}
