package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/identity/identitytest"
	"github.com/wolkvox/backup/internal/wire"
)

// RenewCertificate gives the next certificate, the same again for the same key.
func (s *fakeServer) RenewCertificate(ctx context.Context, m *backupv1.RenewCertificateRequest) (*backupv1.RenewCertificateResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	role, err := identity.RoleFromContext(ctx)
	if err != nil {
		return nil, wire.Error(codes.Unauthenticated, wire.ReasonNoCertificate, "%v", err)
	}
	if s.refuse != nil {
		return nil, s.refuse
	}
	csr, err := x509.ParseCertificateRequest(m.GetCertificateRequest())
	if err != nil {
		return nil, err
	}
	key := string(csr.RawSubjectPublicKeyInfo)
	if s.renewed[key] == nil {
		cert, err := s.authority.IssueAgent(csr.PublicKey, role.Tenant, csr.Subject.CommonName, s.at)
		if err != nil {
			return nil, err
		}
		s.renewed[key] = &backupv1.RenewCertificateResponse{Certificates: s.authority.ChainOf(cert)}
	}
	if s.lose {
		s.lose = false
		return nil, errors.New("the answer got lost")
	}
	return s.renewed[key], nil
}

// enrolled returns the identity of a new agent.
func (s *fakeServer) enrolled(t *testing.T) (dir string, id *Identity) {
	t.Helper()
	dir = t.TempDir()
	_, err := Enroll(t.Context(), options(t, dir, s.newJoin(t, "acme/nas")))
	check(t, err)
	id, err = Load(dir)
	check(t, err)
	return dir, id
}

func (s *fakeServer) setTime(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = at
}

func (s *fakeServer) renew(t *testing.T, dir string, present *Identity, at time.Time) (*Identity, error) {
	t.Helper()
	s.setTime(at)
	config, err := present.TLSConfig(func() time.Time { return at })
	check(t, err)
	conn, err := dial(t.Context(), present.Server, config)
	check(t, err)
	defer conn.Close()
	return Renew(t.Context(), dir, present, conn, at)
}

func TestRenewalIsDueAtTwoThirds(t *testing.T) {
	t.Parallel()
	_, id := newServer(t).enrolled(t)
	due := at.Add(60 * 24 * time.Hour)
	if id.RenewalDue(due.Add(-time.Second)) || !id.RenewalDue(due) || !id.RenewalDue(due.AddDate(1, 0, 0)) {
		t.Errorf("renewal of a certificate from %v until %v is not due from %v on", at, id.Credential.Certificate.Leaf.NotAfter, due)
	}
}

func TestRenew(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	dir, id := s.enrolled(t)
	due := at.Add(60 * 24 * time.Hour)
	next, err := s.renew(t, dir, id, due)
	check(t, err)
	loaded, err := Load(dir)
	check(t, err)
	before, after := id.Credential.Certificate.Leaf, loaded.Credential.Certificate.Leaf
	if !after.Equal(next.Credential.Certificate.Leaf) || identity.KeyHash(before) == identity.KeyHash(after) || !after.NotAfter.Equal(due.Add(identity.AgentLifetime)) {
		t.Errorf("the certificate in use ends at %v, its key is new: %t", after.NotAfter, identity.KeyHash(before) != identity.KeyHash(after))
	}
	if loaded.RenewalDue(due) || len(loaded.Destinations) != 1 {
		t.Errorf("after renewal: due %t, %d destinations", loaded.RenewalDue(due), len(loaded.Destinations))
	}
	// The one before is there until the next was accepted.
	kept := filepath.Join(dir, identityDir, previousFile)
	if previous, err := identity.LoadCredential(kept); err != nil || !previous.Certificate.Leaf.Equal(before) {
		t.Errorf("the certificate before: %v", err)
	}
	check(t, Accepted(dir))
	check(t, Accepted(dir))
	if _, err := os.Stat(kept); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the certificate before is still there")
	}
	if _, err := Previous(dir, loaded); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Previous = %v, want ErrNotExist", err)
	}
	again, err := s.renew(t, dir, loaded, due.Add(60*24*time.Hour))
	check(t, err)
	if identity.KeyHash(again.Credential.Certificate.Leaf) == identity.KeyHash(after) {
		t.Error("the second renewal kept the key")
	}
	// A destination more does not put the first key back.
	_, err = Enroll(t.Context(), options(t, dir, s.newJoin(t, "acme/s3")))
	check(t, err)
	if loaded, err = Load(dir); err != nil || !loaded.Credential.Certificate.Leaf.Equal(again.Credential.Certificate.Leaf) {
		t.Errorf("enrolling changed the certificate, %v", err)
	}
}

// TestRenewAfterACrash stops at each step: what was begun goes on with the same key, and is done once.
func TestRenewAfterACrash(t *testing.T) {
	t.Parallel()
	due := at.Add(60 * 24 * time.Hour)
	for what, crash := range map[string]func(t *testing.T, s *fakeServer, dir string, id *Identity){
		"before asking": func(t *testing.T, _ *fakeServer, dir string, id *Identity) {
			_, err := prepareNextKey(filepath.Join(dir, identityDir), id)
			check(t, err)
		},
		"between answer and save": func(t *testing.T, s *fakeServer, dir string, id *Identity) {
			s.lose = true
			if _, err := s.renew(t, dir, id, due); err == nil {
				t.Fatal("the answer was to get lost")
			}
		},
		"before the new one is in use": func(t *testing.T, s *fakeServer, dir string, id *Identity) {
			s.lose = true
			if _, err := s.renew(t, dir, id, due); err == nil {
				t.Fatal("the answer was to get lost")
			}
			check(t, id.Credential.Save(filepath.Join(dir, identityDir, previousFile)))
		},
	} {
		s := newServer(t)
		dir, id := s.enrolled(t)
		crash(t, s, dir, id)
		key, err := identity.LoadKey(filepath.Join(dir, identityDir, nextKeyFile))
		check(t, err)
		loaded, err := Load(dir)
		check(t, err)
		if !loaded.Credential.Certificate.Leaf.Equal(id.Credential.Certificate.Leaf) {
			t.Fatalf("%s: another certificate is in use", what)
		}
		next, err := s.renew(t, dir, loaded, due)
		check(t, err)
		if !key.PublicKey.Equal(next.Credential.Certificate.Leaf.PublicKey) || len(s.renewed) != 1 {
			t.Errorf("%s: %d certificates were issued", what, len(s.renewed))
		}
	}
	// After the last step, with the key still there, the next renewal makes another.
	s := newServer(t)
	dir, id := s.enrolled(t)
	next, err := s.renew(t, dir, id, due)
	check(t, err)
	check(t, identity.SaveKey(filepath.Join(dir, identityDir, nextKeyFile), keyOf(t, next)))
	later, err := s.renew(t, dir, next, due.Add(60*24*time.Hour))
	check(t, err)
	if identity.KeyHash(later.Credential.Certificate.Leaf) == identity.KeyHash(next.Credential.Certificate.Leaf) {
		t.Error("a key was used for two certificates")
	}
}

func TestGoingBackToThePrevious(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	dir, id := s.enrolled(t)
	next, err := s.renew(t, dir, id, at.Add(60*24*time.Hour))
	check(t, err)
	back, err := Previous(dir, next)
	check(t, err)
	loaded, err := Load(dir)
	check(t, err)
	if !back.Credential.Certificate.Leaf.Equal(id.Credential.Certificate.Leaf) || !loaded.Credential.Certificate.Leaf.Equal(id.Credential.Certificate.Leaf) {
		t.Error("another certificate than the one before is in use")
	}
}

func TestRenewalAfterTheEnd(t *testing.T) {
	t.Parallel()
	for days, good := range map[int]bool{0: true, 29: true, 31: false} {
		s := newServer(t)
		dir, id := s.enrolled(t)
		_, err := s.renew(t, dir, id, id.Credential.Certificate.Leaf.NotAfter.AddDate(0, 0, days).Add(time.Minute))
		if good && err != nil {
			t.Errorf("%d days after the end: %v", days, err)
		}
		if !good && (!errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "join string for agent "+id.Agent)) {
			t.Errorf("%d days after the end: %v, want a sentence with the remedy", days, err)
		}
	}
}

func TestRefusedRenewalsAreExplained(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	dir, id := s.enrolled(t)
	before := contents(t, dir)
	for reason, refused := range map[string]bool{wire.ReasonRevoked: true, wire.ReasonNotEnrolled: true, wire.ReasonTryLater: false} {
		s.refuse = wire.Error(codes.PermissionDenied, reason, "because %s", reason)
		_, err := s.renew(t, dir, id, at)
		if errors.Is(err, ErrRefused) != refused || !strings.Contains(err.Error(), "because "+reason) || refused && !strings.Contains(err.Error(), "wolkvox-agent enroll") {
			t.Errorf("%s: %v", reason, err)
		}
	}
	after := contents(t, dir)
	delete(after, filepath.Join(dir, identityDir, nextKeyFile))
	for path, data := range after {
		if before[path] != data {
			t.Errorf("%s was changed", path)
		}
	}
}

// TestRenewalBringsTheNewRoot follows an agent of an authority of the earlier form, in the earlier form's files, to a root.
func TestRenewalBringsTheNewRoot(t *testing.T) {
	t.Parallel()
	old := identitytest.LoadSelfIssued(t, at)
	s := newServerOf(t, old)
	dir, id := s.enrolled(t)
	own := filepath.Join(dir, identityDir)
	check(t, identity.SaveKey(filepath.Join(own, identity.KeyFile), keyOf(t, id)))
	check(t, identity.SaveCertificate(filepath.Join(own, identity.CertificateFile), id.Credential.Certificate.Leaf.Raw))
	check(t, identity.SaveCertificate(filepath.Join(own, identity.SelfIssuedFile), old.Certificate().Raw))
	check(t, os.Remove(filepath.Join(own, credentialFile)))
	id, err := Load(dir)
	check(t, err)

	rotated, err := old.Rotate(nil, at)
	check(t, err)
	s.mu.Lock()
	s.authority = rotated
	s.mu.Unlock()
	id.Server = s.serve(t, rotated, []string{"127.0.0.1"})
	check(t, Accepted(dir)) // of the files of the earlier form, which are in use
	next, err := s.renew(t, dir, id, at.Add(60*24*time.Hour))
	check(t, err)
	check(t, Accepted(dir))
	if left, err := filepath.Glob(filepath.Join(own, "*.[kc]*")); err != nil || len(left) != 0 {
		t.Errorf("%v were left, %v", left, err)
	}
	if identity.KeyHash(next.Credential.Authority) != rotated.Pin() || len(next.Credential.Roots()) != 2 {
		t.Errorf("the agent trusts %d roots", len(next.Credential.Roots()))
	}
	loaded, err := Load(dir)
	check(t, err)
	if !loaded.Credential.Authority.Equal(rotated.Certificate()) {
		t.Error("what was written down knows the server by the earlier root")
	}
}
