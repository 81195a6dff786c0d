package registry

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"
)

func hash(b byte) (h [32]byte) { h[0] = b; return h }

func always([]byte) bool { return true }

// withAgent makes a registry in which agentA of acme shows the key hash(1) until at plus 90 days.
func withAgent(t *testing.T, dir string) *Registry {
	t.Helper()
	r := open(t, dir)
	check(t, r.updateAgents(func(txn *badger.Txn) error {
		return keepAgent(txn, Agent{Tenant: "acme", Name: agentA, KeyHash: hash(1), CertificateEnd: at.AddDate(0, 0, 90)})
	}))
	return r
}

func shown(key byte, end time.Time) Certificate { return Certificate{hash(key), end} }

func TestAdmit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := withAgent(t, dir)
	end, nextEnd, renewed := at.AddDate(0, 0, 90), at.AddDate(0, 0, 150), at.AddDate(0, 0, 60)
	admit := func(key byte, end time.Time) error { return r.Admit("acme", agentA, shown(key, end), renewed) }

	if err := admit(1, end); err != nil {
		t.Errorf("the certificate in use: %v", err)
	}
	if err := admit(9, end); !errors.Is(err, ErrReplaced) {
		t.Errorf("one of another key that ends no later: %v, want ErrReplaced", err)
	}
	if err := r.Admit("acme", agentB, shown(1, end), at); !errors.Is(err, ErrNotFound) {
		t.Errorf("an agent that was not let in: %v, want ErrNotFound", err)
	}
	first, err := r.Renew("acme", agentA, hash(1), NextCertificate{KeyHash: hash(2), Certificate: []byte("second"), At: renewed}, always)
	check(t, err)
	// Renewal alone changes nothing, also over a restart, and the same key has the same answer.
	check(t, r.Close())
	r = open(t, dir)
	again, err := r.Renew("acme", agentA, hash(1), NextCertificate{KeyHash: hash(2), Certificate: []byte("another"), At: renewed}, always)
	if err != nil || !bytes.Equal(again.Certificate, first.Certificate) {
		t.Errorf("asked again: %q, %v, want %q", again.Certificate, err, first.Certificate)
	}
	if err := admit(1, end); err != nil {
		t.Errorf("the certificate in use, before the next is shown: %v", err)
	}
	// The first call with the next one puts it in use.
	if err := admit(2, nextEnd); err != nil {
		t.Errorf("the next certificate: %v", err)
	}
	for range 2 {
		replaced, ok := errors.AsType[*ReplacedError](admit(1, end))
		if !ok || replaced.Agent != agentA || !replaced.At.Equal(renewed) {
			t.Errorf("the certificate before: %v, want it refused with the time of the change", replaced)
		}
		check(t, admit(2, nextEnd))
		check(t, r.Close())
		r = open(t, dir)
	}
	if a, err := r.Agent("acme", agentA); err != nil || a.KeyHash != hash(2) || !a.CertificateEnd.Equal(nextEnd) {
		t.Errorf("Agent = %+v, %v, want the next certificate", a, err)
	}
	if _, err := r.Renew("acme", agentA, hash(1), NextCertificate{KeyHash: hash(3)}, always); !errors.Is(err, ErrReplaced) {
		t.Errorf("renewal with the certificate before: %v, want ErrReplaced", err)
	}
	check(t, r.Close())
}

// A next certificate that is no good any more is not the answer again.
func TestRenewAgainWithoutAGoodOne(t *testing.T) {
	t.Parallel()
	r := withAgent(t, t.TempDir())
	for _, text := range []string{"second", "third"} {
		kept, err := r.Renew("acme", agentA, hash(1), NextCertificate{KeyHash: hash(2), Certificate: []byte(text)}, func([]byte) bool { return false })
		if err != nil || string(kept.Certificate) != text {
			t.Errorf("Renew = %q, %v, want %q", kept.Certificate, err, text)
		}
	}
	check(t, r.Close())
}

// A registry that was put back to an older copy takes the later certificate that it forgot, even twice renewed.
func TestAdmitAfterARestore(t *testing.T) {
	t.Parallel()
	r := withAgent(t, t.TempDir())
	if err := r.Admit("acme", agentA, shown(5, at.AddDate(0, 0, 210)), at); err != nil {
		t.Errorf("a certificate that ends later: %v", err)
	}
	if err := r.Admit("acme", agentA, shown(1, at.AddDate(0, 0, 90)), at.Add(time.Hour)); !errors.Is(err, ErrReplaced) {
		t.Errorf("the one that the older copy knew: %v, want ErrReplaced", err)
	}
	check(t, r.Close())
}

// An agent that the older copy does not know at all is readmitted with its certificate, and judged by it from then on.
func TestReadmit(t *testing.T) {
	t.Parallel()
	r := open(t, t.TempDir())
	end := at.AddDate(0, 0, 60)
	if err := r.Readmit("acme", agentB, shown(1, end), at); !errors.Is(err, ErrNotFound) {
		t.Errorf("an agent of no tenant: %v, want ErrNotFound", err)
	}
	check(t, r.CreateTenant(Tenant{Name: "acme", TimeZone: "UTC"}))
	check(t, r.Readmit("acme", agentB, shown(1, end), at))
	check(t, r.Readmit("acme", agentB, shown(9, end), at)) // somebody else's, who came at the same time
	a, err := r.Agent("acme", agentB)
	check(t, err)
	if diff := cmp.Diff(Agent{Tenant: "acme", Name: agentB, KeyHash: hash(1), CertificateEnd: end, EnrolledAt: at}, a); diff != "" {
		t.Errorf("the agent (-want +got):\n%s", diff)
	}
	check(t, r.Admit("acme", agentB, shown(1, end), at))
	if err := r.Admit("acme", agentB, shown(9, end), at); !errors.Is(err, ErrReplaced) {
		t.Errorf("a certificate of another key: %v, want ErrReplaced", err)
	}
	check(t, r.Close())
}

// What was to come next is nothing for an agent that was enrolled anew in the meantime.
func TestNextIsForgottenWithWhatItReplaces(t *testing.T) {
	t.Parallel()
	r := withAgent(t, t.TempDir())
	_, err := r.Renew("acme", agentA, hash(1), NextCertificate{KeyHash: hash(2), Certificate: []byte("second"), At: at}, always)
	check(t, err)
	check(t, r.updateAgents(func(txn *badger.Txn) error {
		return put(txn, key(agentTable, "acme", agentA), Agent{Tenant: "acme", Name: agentA, KeyHash: hash(7), CertificateEnd: at.AddDate(0, 0, 200)})
	}))
	if err := r.Admit("acme", agentA, shown(2, at.AddDate(0, 0, 150)), at); !errors.Is(err, ErrReplaced) {
		t.Errorf("the next certificate of the machine before: %v, want ErrReplaced", err)
	}
	check(t, r.Admit("acme", agentA, shown(7, at.AddDate(0, 0, 200)), at))
	check(t, r.Close())
}
