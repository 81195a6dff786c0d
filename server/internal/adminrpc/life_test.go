package adminrpc

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/join"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/outage"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sealer"
)

// takenBack is a Revoker that takes down what it was asked for.
type takenBack []string

func (r *takenBack) RevokeCertificate(serial string) { *r = append(*r, serial) }

func (r *takenBack) RevokeTenant(tenant string) { *r = append(*r, tenant) }

func (r *takenBack) RevokeAgent(tenant, agent string) { *r = append(*r, tenant+"/"+agent) }

// newLife is newService with what the ends and beginnings of things need.
func newLife(t *testing.T) (*Service, *takenBack) {
	t.Helper()
	s := newService(t)
	authority, err := identity.NewAuthority(time.Now())
	must(t, err)
	certificate, err := authority.ServerCertificate(t.TempDir(), []string{"127.0.0.1"}, time.Now())
	must(t, err)
	asked := &takenBack{}
	s.Authority, s.Certificate, s.Address, s.Revoker = authority.Certificate(), certificate.Leaf, "127.0.0.1:443", asked
	s.Outages = &outage.Outages{Registry: s.Registry, Sequencers: s.Sequencers, Logger: s.Logger}
	s.Sealer = sealer.New(s.Registry, s.Sequencers, sealer.Options{})
	return s, asked
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantReason(t *testing.T, what string, err error, reason string) {
	t.Helper()
	if wire.Reason(err) != reason {
		t.Errorf("%s: %v, want %s", what, err, reason)
	}
}

// A key is made durable first, and taken when a backup that was made since has it.
func TestRekeyLog(t *testing.T) {
	t.Parallel()
	s, _ := newLife(t)
	_, seq, err := s.sequencer(t.Context(), "acme", "nas")
	must(t, err)
	rekey := func() (*backupv1.Destination, error) {
		res, err := s.RekeyLog(t.Context(), &backupv1.RekeyLogRequest{Tenant: "acme", Destination: "nas"})
		return res.GetDestination(), err
	}
	backUp := func(keep func(n int) int) {
		t.Helper()
		keys, err := s.Registry.LogKeys(seq.Origin())
		must(t, err)
		var marks []string
		for _, k := range keys[:keep(len(keys))] {
			marks = append(marks, k.Verifier().Fingerprint()[:16])
		}
		must(t, s.Registry.RecordBackup(registry.Backup{At: time.Now(), Keys: marks}))
	}
	genesis := seq.ServerKey()
	backUp(func(n int) int { return n })
	_, err = rekey()
	wantReason(t, "the first call", err, wire.ReasonNoBackup)
	if !strings.Contains(err.Error(), "make a backup, then repeat") {
		t.Errorf("the first call says %v", err)
	}
	backUp(func(n int) int { return n - 1 })
	_, err = rekey()
	wantReason(t, "after a backup from before", err, wire.ReasonNoBackup)
	if keys, err := s.Registry.LogKeys(seq.Origin()); err != nil || len(keys) != 2 || seq.ServerKey() != genesis {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	size, _ := seq.Ledger().Position()
	backUp(func(n int) int { return n })
	d, err := rekey()
	must(t, err)
	keys, err := s.Registry.LogKeys(seq.Origin())
	must(t, err)
	if now, _ := seq.Ledger().Position(); now != size+1 || seq.ServerKey() != keys[1].Verifier() {
		t.Errorf("%d entries were appended, the key is %s", now-size, seq.ServerKey())
	}
	if d.GetServerFingerprint() != genesis.Fingerprint() || d.GetCurrentServerFingerprint() != keys[1].Verifier().Fingerprint() {
		t.Errorf("the answer is %v", d)
	}
	_, err = rekey()
	wantReason(t, "the next one", err, wire.ReasonNoBackup)
	_, err = s.RekeyLog(t.Context(), &backupv1.RekeyLogRequest{Tenant: "acme", Destination: "none"})
	wantReason(t, "no destination", err, wire.ReasonNoDestination)
	must(t, seq.Retire(t.Context(), ledger.RetiredEnded, time.Now()))
	_, err = rekey()
	wantReason(t, "what has ended", err, wire.ReasonRetired)
}

func TestRetireDestination(t *testing.T) {
	t.Parallel()
	s, asked := newLife(t)
	token := &backupv1.CreateTokenRequest{Tenant: "acme", Destination: "nas", Lifetime: durationpb.New(time.Hour), ForAgent: "0123456789abcdef"}
	_, err := s.CreateToken(t.Context(), token)
	must(t, err)
	for range 2 {
		res, err := s.RetireDestination(t.Context(), &backupv1.RetireDestinationRequest{Tenant: "acme", Destination: "nas", Moved: true})
		if err != nil || !res.GetDestination().GetRetired() {
			t.Fatalf("RetireDestination = %v, %v", res, err)
		}
	}
	_, seq, err := s.sequencer(t.Context(), "acme", "nas")
	must(t, err)
	size, _ := seq.Ledger().Position()
	leaf, err := seq.Ledger().Entry(size - 1)
	must(t, err)
	if e, err := ledger.ParseEntry(leaf); err != nil || e.Body != (ledger.Retired{Reason: ledger.RetiredMoved}) {
		t.Errorf("the last entry is %v, %v", e, err)
	}
	_, err = s.CreateToken(t.Context(), token)
	wantReason(t, "a token", err, wire.ReasonRetired)
	_, err = s.SealNight(t.Context(), &backupv1.SealNightRequest{Tenant: "acme", Destination: "nas"})
	wantReason(t, "sealing", err, wire.ReasonRetired)
	if _, err := s.ListNights(t.Context(), &backupv1.ListNightsRequest{Tenant: "acme", Destination: "nas"}); err != nil {
		t.Errorf("its nights: %v", err)
	}
	if res, err := s.VerifyLedger(t.Context(), &backupv1.VerifyLedgerRequest{Tenant: "acme", Destination: "nas"}); err != nil || len(res.GetReport().GetProblems()) > 0 {
		t.Errorf("its ledger: %v, %v", res, err)
	}
	if len(*asked) != 0 {
		t.Errorf("takenBack %v", *asked)
	}
	_, err = s.RetireDestination(t.Context(), &backupv1.RetireDestinationRequest{Tenant: "acme", Destination: "none"})
	wantReason(t, "no destination", err, wire.ReasonNoDestination)
}

func TestRetireTenant(t *testing.T) {
	t.Parallel()
	s, asked := newLife(t)
	must(t, s.Registry.CreateTenant(registry.Tenant{Name: "other", TimeZone: "UTC"}))
	at := time.Now()
	for _, tenant := range []string{"acme", "other"} {
		must(t, s.Registry.CreateCredential(registry.Credential{
			Role: identity.Role{Kind: identity.KindAuditor, Tenant: tenant, Name: "maria"}, Serial: "0" + tenant, IssuedAt: at, End: at.Add(time.Hour), IssuedBy: "local",
		}, at))
	}
	for _, want := range []string{"[nas] [wolkvox://role/auditor/acme/maria]", "[] []"} {
		res, err := s.RetireTenant(t.Context(), &backupv1.RetireTenantRequest{Tenant: "acme"})
		must(t, err)
		if got := fmt.Sprint(res.GetDestinations(), " ", res.GetRevoked()); got != want {
			t.Errorf("retired and takenBack %s, want %s", got, want)
		}
	}
	if got := fmt.Sprint(*asked); got != "[acme 0acme acme 0acme]" {
		t.Errorf("refused from now on are %s", got)
	}
	_, err := s.CreateDestination(t.Context(), &backupv1.CreateDestinationRequest{Tenant: "acme", Name: "new", Kind: backupv1.StorageKind_STORAGE_KIND_S3})
	wantReason(t, "a destination", err, wire.ReasonRetired)
	_, err = s.SealNight(t.Context(), &backupv1.SealNightRequest{Tenant: "acme"})
	wantReason(t, "sealing", err, wire.ReasonRetired)
	_, err = s.RetireTenant(t.Context(), &backupv1.RetireTenantRequest{Tenant: "nobody"})
	wantReason(t, "no tenant", err, wire.ReasonNoTenant)
}

// A tenant whose log cannot be ended at the moment is shut out all the same, and gets no new credentials.
func TestRetireTenantWhileRecovering(t *testing.T) {
	t.Parallel()
	s, asked := newLife(t)
	at := time.Now()
	must(t, s.Registry.CreateCredential(registry.Credential{
		Role: identity.AuditorRole("acme", "maria"), Serial: "0a", IssuedAt: at, End: at.Add(time.Hour), IssuedBy: "local",
	}, at))
	d, err := s.Registry.Destination("acme", "nas")
	must(t, err)
	_, err = s.Registry.UpdateRecovery(d.Origin, func(rec *registry.Recovery) { rec.Begun, rec.Recovering = true, true })
	must(t, err)
	_, err = s.RetireTenant(t.Context(), &backupv1.RetireTenantRequest{Tenant: "acme"})
	wantReason(t, "with a log that is recovering", err, wire.ReasonTryLater)
	if got := fmt.Sprint(*asked); got != "[acme 0a]" {
		t.Errorf("refused from now on are %s", got)
	}
	all, err := s.Registry.Credentials("acme")
	if err != nil || len(all) != 1 || all[0].RevokedAt == nil {
		t.Errorf("the credentials are %+v, %v", all, err)
	}
	err = s.Registry.CreateCredential(registry.Credential{Role: identity.ClientRole("acme", "ana"), Serial: "0b", IssuedAt: at, End: at.Add(time.Hour), IssuedBy: "local"}, at)
	wantReason(t, "a credential for it", s.refused(t.Context(), err), wire.ReasonRetired)
}

// The log says who serves a destination, whatever the registry believes.
func TestTokenForAgent(t *testing.T) {
	t.Parallel()
	s, _ := newLife(t)
	create := func(destination, forAgent string) (join.Join, error) {
		res, err := s.CreateToken(t.Context(), &backupv1.CreateTokenRequest{
			Tenant: "acme", Destination: destination, Lifetime: durationpb.New(time.Hour), ForAgent: forAgent,
		})
		if err != nil {
			return join.Join{}, err
		}
		return join.Parse(res.GetJoin())
	}
	const agent = "0123456789abcdef" // by the log; the registry knows of none
	if d, err := s.Registry.Destination("acme", "nas"); err != nil || d.Agent != "" {
		t.Fatalf("the registry has %+v, %v", d, err)
	}
	_, err := create("nas", "")
	wantReason(t, "without the agent", err, wire.ReasonDestinationAssigned)
	_, err = create("nas", "ffffffffffffffff")
	wantReason(t, "another agent", err, wire.ReasonNotAssigned)
	j, err := create("nas", agent)
	must(t, err)
	if token, err := s.Registry.Token(j.Secret.Hash()); err != nil || token.ForAgent != agent {
		t.Errorf("the token is %+v, %v", token, err)
	}
	_, err = s.CreateDestination(t.Context(), &backupv1.CreateDestinationRequest{Tenant: "acme", Name: "new", Kind: backupv1.StorageKind_STORAGE_KIND_S3})
	must(t, err)
	_, err = create("new", agent)
	wantReason(t, "a destination that nobody serves", err, wire.ReasonNotAssigned)
}

func TestExtendDeadlines(t *testing.T) {
	t.Parallel()
	s, _ := newLife(t)
	const because, asked = backupv1.ExtensionReason_EXTENSION_REASON_OUTAGE, backupv1.ExtensionReason_EXTENSION_REASON_COURTESY
	hour := durationpb.New(time.Hour)
	at := time.Now()
	_, err := s.Registry.NotePresence(at.Add(-24 * time.Hour))
	must(t, err)
	_, err = s.Registry.NotePresence(at)
	must(t, err)
	for what, test := range map[string]struct {
		req    *backupv1.ExtendDeadlinesRequest
		reason string
	}{
		"no reason":                 {&backupv1.ExtendDeadlinesRequest{By: hour}, wire.ReasonBadRequest},
		"an unknown reason":         {&backupv1.ExtendDeadlinesRequest{By: hour, Reason: 9}, wire.ReasonBadRequest},
		"nothing":                   {&backupv1.ExtendDeadlinesRequest{Reason: because}, wire.ReasonBadRequest},
		"less than a second":        {&backupv1.ExtendDeadlinesRequest{Reason: asked, By: durationpb.New(1)}, wire.ReasonBadRequest},
		"earlier":                   {&backupv1.ExtendDeadlinesRequest{Reason: asked, By: durationpb.New(-time.Hour)}, wire.ReasonBadRequest},
		"more than 366 days":        {&backupv1.ExtendDeadlinesRequest{Reason: asked, By: durationpb.New(maxExtension + 1)}, wire.ReasonBadRequest},
		"both":                      {&backupv1.ExtendDeadlinesRequest{Reason: because, By: hour, Outage: 1}, wire.ReasonBadRequest},
		"an outage as a courtesy":   {&backupv1.ExtendDeadlinesRequest{Reason: asked, Outage: 1}, wire.ReasonBadRequest},
		"an outage that was none":   {&backupv1.ExtendDeadlinesRequest{Reason: because, Outage: 2}, wire.ReasonBadRequest},
		"a negative outage":         {&backupv1.ExtendDeadlinesRequest{Reason: because, Outage: -1}, wire.ReasonBadRequest},
		"a destination of nobody":   {&backupv1.ExtendDeadlinesRequest{Reason: asked, By: hour, Destination: "nas"}, wire.ReasonBadRequest},
		"a manifest of a tenant":    {&backupv1.ExtendDeadlinesRequest{Reason: asked, By: hour, Tenant: "acme", Manifest: 1}, wire.ReasonBadRequest},
		"a tenant that is none":     {&backupv1.ExtendDeadlinesRequest{Reason: asked, By: hour, Tenant: "nobody"}, wire.ReasonNoTenant},
		"no such destination":       {&backupv1.ExtendDeadlinesRequest{Reason: asked, By: hour, Tenant: "acme", Destination: "none"}, wire.ReasonNoDestination},
		"a manifest not sealed yet": {&backupv1.ExtendDeadlinesRequest{Reason: asked, By: hour, Tenant: "acme", Destination: "nas", Manifest: 4}, wire.ReasonNoManifest},
	} {
		_, err := s.ExtendDeadlines(t.Context(), test.req)
		wantReason(t, what, err, test.reason)
	}
	_, seq, err := s.sequencer(t.Context(), "acme", "nas")
	must(t, err)
	m, _ := seq.Manifest(1)
	by := durationpb.New(time.Until(m.Deadline).Abs() + 48*time.Hour)
	one := &backupv1.ExtendDeadlinesRequest{Tenant: "acme", Destination: "nas", Manifest: 1, Reason: asked, By: by, DryRun: true}
	for _, dry := range []bool{true, false} {
		one.DryRun = dry
		res, err := s.ExtendDeadlines(t.Context(), one)
		must(t, err)
		if len(res.GetExtensions()) != 1 {
			t.Fatalf("extended %v", res)
		}
		e := res.GetExtensions()[0]
		if e.GetProblem() != "" || e.GetPendingCount() != 29 || !e.GetOldDeadline().AsTime().Equal(m.Deadline) || e.GetTenant() != "acme" || e.GetDestination() != "nas" {
			t.Errorf("dry run %v: %v", dry, e)
		}
		now, _ := seq.Manifest(1)
		if want := map[bool]time.Time{true: m.Deadline, false: e.GetNewDeadline().AsTime()}[dry]; !now.Deadline.Equal(want) {
			t.Errorf("dry run %v: the deadline is %v, want %v", dry, now.Deadline, want)
		}
	}
	outages, err := s.ListOutages(t.Context(), &backupv1.ListOutagesRequest{})
	must(t, err)
	if all := outages.GetOutages(); len(all) != 1 || all[0].GetNumber() != 1 || all[0].GetAnswerTime() != nil || !all[0].GetEndTime().AsTime().Equal(at) {
		t.Errorf("outages %v", all)
	}
}
