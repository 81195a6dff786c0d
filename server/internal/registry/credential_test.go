package registry

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/join"
)

func newCredential(serial string, role identity.Role, issued time.Time) Credential {
	return Credential{Role: role, Serial: serial, IssuedAt: issued, End: issued.Add(time.Hour), IssuedBy: "wolkvox://role/operator/maria"}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	ana, ben, maria := identity.ClientRole("acme", "ana"), identity.AuditorRole("acme", "ana"), identity.OperatorRole("maria")
	old, next := newCredential("b1", maria, at.Add(-time.Hour)), newCredential("a2", maria, at)
	client, auditor := newCredential("c3", ana, at), newCredential("d4", ben, at)
	for _, c := range []Credential{client, old, next, auditor} {
		check(t, r.CreateCredential(c, c.IssuedAt))
	}
	got, err := r.Credentials("")
	if diff := cmp.Diff([]Credential{auditor, client, old, next}, got); err != nil || diff != "" {
		t.Errorf("Credentials: %v\n%s", err, diff)
	}
	if got, err = r.Credentials("acme"); err != nil || !cmp.Equal(got, []Credential{auditor, client}) {
		t.Errorf("Credentials of acme = %+v, %v", got, err)
	}
	if _, err := r.Credentials("nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Credentials of a tenant that does not exist: %v", err)
	}
	for what, c := range map[string]struct {
		credential Credential
		want       error
	}{
		"a second one of that role":   {newCredential("e5", ana, at), ErrExists},
		"a second one of that serial": {newCredential("c3", identity.OperatorRole("other"), at), ErrExists},
		"a tenant that is not there":  {newCredential("f6", identity.ClientRole("nobody", "ana"), at), ErrNotFound},
		"a name that is none":         {newCredential("f6", identity.ClientRole("acme", "Ana"), at), ErrBadName},
		"an agent":                    {newCredential("f6", identity.AgentRole("acme", agentA), at), ErrBadName},
	} {
		if err := r.CreateCredential(c.credential, at.Add(time.Minute)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}

	revoked := at.Add(time.Minute)
	for _, when := range []time.Time{revoked, revoked.Add(time.Minute)} { // what was revoked stays revoked since then
		c, err := r.RevokeCredential("c3", when)
		if err != nil || c.RevokedAt == nil || !c.RevokedAt.Equal(revoked) || c.Role != ana {
			t.Errorf("RevokeCredential = %+v, %v", c, err)
		}
	}
	check(t, r.CreateCredential(newCredential("e5", ana, at), at.Add(2*time.Minute)))
	if _, err := r.RevokeCredential("ffff", at); !errors.Is(err, ErrNotFound) {
		t.Errorf("RevokeCredential of one that does not exist: %v", err)
	}
}

func TestRevokedAgentsStayOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := open(t, dir)
	check(t, r.CreateTenant(Tenant{Name: "acme", TimeZone: "UTC"}))
	d := newDestination(t, r, "nas", secret)
	a := newApplicant("acme", agentA, d.Origin)
	if err := r.RevokeAgent("acme", agentA, at); !errors.Is(err, ErrNotFound) {
		t.Errorf("RevokeAgent of one that was not let in: %v", err)
	}
	_, err := r.Redeem(secret, a, at)
	check(t, err)
	for _, when := range []time.Time{at.Add(time.Minute), at.Add(time.Hour)} {
		check(t, r.RevokeAgent("acme", agentA, when))
	}
	check(t, r.Close())
	r = open(t, dir)
	defer r.Close()
	want := []RevokedAgent{{"acme", agentA, a.Agent.KeyHash, at.Add(time.Minute)}}
	if got, err := r.RevokedAgents(); err != nil || !cmp.Equal(got, want) {
		t.Errorf("RevokedAgents = %+v, %v, want %+v", got, err, want)
	}

	s3 := newDestination(t, r, "s3", [32]byte{8})
	oldKey := newApplicant("acme", agentB, s3.Origin)
	oldKey.Agent.KeyHash = a.Agent.KeyHash
	oldName := newApplicant("acme", agentA, s3.Origin)
	oldName.Agent.KeyHash = [32]byte{9}
	for what, c := range map[string]struct {
		secret    [32]byte
		applicant Applicant
	}{
		"the same again":    {secret, a},
		"for another place": {[32]byte{8}, newApplicant("acme", agentA, s3.Origin)},
		"by another name":   {[32]byte{8}, oldKey},
		"with another key":  {[32]byte{8}, oldName},
	} {
		if _, err := r.Redeem(c.secret, c.applicant, at); !errors.Is(err, ErrRevoked) {
			t.Errorf("a revoked agent, %s: %v, want it refused", what, err)
		}
	}
	_, err = r.Redeem([32]byte{8}, newApplicant("acme", agentB, s3.Origin), at) // the token was not used up
	check(t, err)
}

// A join string's secret is nowhere in the registry's files, in no form.
func TestSecretsAreNotKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := open(t, dir)
	check(t, r.CreateTenant(Tenant{Name: "acme", TimeZone: "UTC"}))
	d, err := r.CreateDestination("acme", "nas", backup.StorageRSYNC, at)
	check(t, err)
	secret := join.NewSecret()
	hash := secret.Hash()
	check(t, r.CreateToken(hash, d.Origin, at.Add(time.Hour), at))
	_, err = r.Redeem(hash, newApplicant("acme", agentA, d.Origin), at)
	check(t, err)
	found := map[string]int{}
	look := func(step string) {
		check(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if bytes.Contains(data, hash[:]) {
				found[step]++ // whether this test sees what is kept
			}
			for form, text := range map[string][]byte{
				"itself": secret[:], "hexadecimal": []byte(hex.EncodeToString(secret[:])),
				"base64": []byte(base64.RawStdEncoding.EncodeToString(secret[:])), "base64 for addresses": []byte(base64.RawURLEncoding.EncodeToString(secret[:])),
			} {
				if bytes.Contains(data, text) {
					t.Errorf("%s, %s has the secret (%s)", step, path, form)
				}
			}
			return nil
		}))
	}
	look("while it is open")
	check(t, r.Close())
	look("when it was closed")
	if found["while it is open"] == 0 {
		t.Error("the secret's hash is not in the files either: this test sees nothing")
	}
}
