package registry

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
)

var testLog = slog.New(slog.DiscardHandler)

var at = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string) *Registry {
	t.Helper()
	r, err := Open(dir, testLog)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// newRegistry opens an empty registry with the tenants acme and acme-2.
func newRegistry(t *testing.T) *Registry {
	t.Helper()
	r := open(t, t.TempDir())
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, name := range []string{"acme-2", "acme"} {
		if err := r.CreateTenant(tenant(name)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func tenant(name string) Tenant {
	return Tenant{
		Name: name, TimeZone: "America/Bogota", WindowStart: 22 * time.Hour, WindowEnd: 5 * time.Hour,
		CutOff: 30 * time.Minute, Quiet: 10 * time.Minute, BytesPerSecond: 1 << 20,
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenTwiceIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := open(t, dir)
	_, err := Open(dir, testLog)
	if runtime.GOOS == "linux" && (!errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir)) {
		t.Errorf("Open of a registry in use = %v, want ErrInUse with the folder", err)
	}
	if err == nil {
		t.Error("the registry was opened twice")
	}
	check(t, r.Close())
	check(t, open(t, dir).Close())
}

func TestOpenKeepsOthersOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	check(t, os.Chmod(dir, 0o755))
	r := open(t, dir)
	defer r.Close()
	info, err := os.Stat(dir)
	check(t, err)
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode != 0o700 {
		t.Errorf("the folder has mode %o, want 700", mode)
	}
}

func TestEverythingIsThereAfterReopening(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := open(t, dir)
	check(t, r.CreateTenant(tenant("acme")))
	source := Source{Tenant: "acme", Name: "pbx", Directory: "/srv/recordings", MarkerID: "0123456789abcdef0123456789abcdef"}
	check(t, r.CreateSource(source))
	d, err := r.CreateDestination("acme", "nas", backup.StorageRSYNC, at)
	check(t, err)
	key, err := r.AddLogKey(d.Origin)
	check(t, err)
	number, err := r.RequestRun("acme", "nas")
	check(t, err)
	secret := [32]byte{1}
	check(t, r.CreateToken(secret, d.Origin, at.Add(time.Hour), at))
	applicant := newApplicant("acme", agentA, d.Origin)
	_, err = r.Redeem(secret, applicant, at)
	check(t, err)
	heartbeat := Heartbeat{
		At: at, Version: "1.0", UnderstoodEntries: []string{"sealed v1"}, ClockOffset: -3 * time.Second,
		Reports: []Report{{Origin: d.Origin, Size: 7, AgreedHead: []byte("head"), EchoedTime: at, FreeBytes: new(int64(5))}},
	}
	check(t, r.Hear("acme", agentA, heartbeat))
	check(t, r.Close())

	r = open(t, dir)
	defer r.Close()
	if got, err := r.Tenant("acme"); err != nil || got != tenant("acme") {
		t.Errorf("Tenant = %+v, %v", got, err)
	}
	if got, err := r.Sources(""); err != nil || !cmp.Equal(got, []Source{source}) {
		t.Errorf("Sources = %+v, %v", got, err)
	}
	d.Agent, d.AgentKey, d.RunNumber = agentA, applicant.AgentKey, number
	if got, err := r.DestinationOf(d.Origin); err != nil || got != d {
		t.Errorf("DestinationOf = %+v, %v, want %+v", got, err, d)
	}
	if got, err := r.LogKeys(d.Origin); err != nil || len(got) != 2 || got[0].Verifier() != d.ServerKey || got[1].Verifier() != key.Verifier() {
		t.Errorf("LogKeys = %v, %v, want %v and %v", got, err, d.ServerKey, key)
	}
	if got, err := r.Agents("acme"); err != nil || !cmp.Equal(got, []Agent{applicant.Agent}) {
		t.Errorf("Agents = %+v, %v", got, err)
	}
	if got, err := r.Heard("acme", agentA); err != nil || !cmp.Equal(got, heartbeat) {
		t.Errorf("Heard = %+v, %v, want %+v", got, err, heartbeat)
	}
	if got, err := r.Token(secret); err != nil || got.Redeemed == nil || got.Redeemed.Agent != agentA {
		t.Errorf("Token = %+v, %v", got, err)
	}
}

func TestTenantsAreChecked(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	for what, test := range map[string]struct {
		change func(*Tenant)
		want   error
	}{
		"all well":         {func(*Tenant) {}, nil},
		"UTC":              {func(t *Tenant) { t.TimeZone = "UTC" }, nil},
		"all day":          {func(t *Tenant) { t.WindowEnd = t.WindowStart }, nil},
		"no name":          {func(t *Tenant) { t.Name = "" }, ErrBadName},
		"upper case":       {func(t *Tenant) { t.Name = "Acme" }, ErrBadName},
		"a path":           {func(t *Tenant) { t.Name = "../acme" }, ErrBadName},
		"no zone":          {func(t *Tenant) { t.TimeZone = "" }, ErrBadTimeZone},
		"the local zone":   {func(t *Tenant) { t.TimeZone = "Local" }, ErrBadTimeZone},
		"unknown zone":     {func(t *Tenant) { t.TimeZone = "America/Bogotá" }, ErrBadTimeZone},
		"path of a zone":   {func(t *Tenant) { t.TimeZone = "../../etc/passwd" }, ErrBadTimeZone},
		"negative start":   {func(t *Tenant) { t.WindowStart = -1 }, ErrBadWindow},
		"start at 24":      {func(t *Tenant) { t.WindowStart = 24 * time.Hour }, ErrBadWindow},
		"end at 24":        {func(t *Tenant) { t.WindowEnd = 24 * time.Hour }, ErrBadWindow},
		"negative cut-off": {func(t *Tenant) { t.CutOff = -1 }, ErrBadWindow},
		"quiet for days":   {func(t *Tenant) { t.Quiet = 25 * time.Hour }, ErrBadWindow},
		"negative rate":    {func(t *Tenant) { t.BytesPerSecond = -1 }, ErrBadWindow},
	} {
		n := tenant("t" + strings.ReplaceAll(strings.ToLower(what), " ", "-"))
		test.change(&n)
		if err := r.CreateTenant(n); !errors.Is(err, test.want) {
			t.Errorf("%s: CreateTenant = %v, want %v", what, err, test.want)
		}
		if _, err := r.Tenant(n.Name); (test.want == nil) != (err == nil) {
			t.Errorf("%s: Tenant afterwards: %v", what, err)
		}
	}
}

func TestSourcesAreChecked(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	for what, test := range map[string]struct {
		change func(*Source)
		want   error
	}{
		"all well":          {func(*Source) {}, nil},
		"a proof file":      {func(s *Source) { s.MarkerID, s.ProofFile = "", "2026/first.gsm" }, nil},
		"bad name":          {func(s *Source) { s.Name = "p_bx" }, ErrBadName},
		"relative":          {func(s *Source) { s.Directory = "recordings" }, ErrBadPath},
		"not shortest":      {func(s *Source) { s.Directory = "/srv/../recordings" }, ErrBadPath},
		"no proof":          {func(s *Source) { s.MarkerID = "" }, ErrBadPath},
		"two proofs":        {func(s *Source) { s.ProofFile = "first.gsm" }, ErrBadPath},
		"proof file beyond": {func(s *Source) { s.MarkerID, s.ProofFile = "", "../first.gsm" }, ErrBadPath},
		"no tenant":         {func(s *Source) { s.Tenant = "nobody" }, ErrNotFound},
	} {
		s := Source{Tenant: "acme", Name: strings.ReplaceAll(what, " ", "-"), Directory: "/srv/recordings", MarkerID: "id"}
		test.change(&s)
		if err := r.CreateSource(s); !errors.Is(err, test.want) {
			t.Errorf("%s: CreateSource = %v, want %v", what, err, test.want)
		}
	}
}

func TestMissingAndDoubledRecordsSayWhich(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	d, err := r.CreateDestination("acme", "nas", backup.StorageRSYNC, at)
	check(t, err)
	source := Source{Tenant: "acme", Name: "pbx", Directory: "/srv", MarkerID: "id"}
	check(t, r.CreateSource(source))
	for what, test := range map[string]struct {
		err     error
		subject Subject
		want    error
	}{
		"tenant again":             {r.CreateTenant(tenant("acme")), SubjectTenant, ErrExists},
		"tenant":                   {second(r.Tenant("nobody")), SubjectTenant, ErrNotFound},
		"source again":             {r.CreateSource(source), SubjectSource, ErrExists},
		"sources of nobody":        {second(r.Sources("nobody")), SubjectTenant, ErrNotFound},
		"destination again":        {second(r.CreateDestination("acme", "nas", backup.StorageS3, at)), SubjectDestination, ErrExists},
		"destination of nobody":    {second(r.CreateDestination("nobody", "nas", backup.StorageS3, at)), SubjectTenant, ErrNotFound},
		"destination":              {second(r.Destination("acme", "s3")), SubjectDestination, ErrNotFound},
		"destination of other log": {second(r.DestinationOf(d.Origin[:len(d.Origin)-4] + "0000")), SubjectDestination, ErrNotFound},
		"key of other log":         {second(r.LogKeys(d.Origin[:len(d.Origin)-4] + "0000")), SubjectDestination, ErrNotFound},
		"key of no log":            {second(r.LogKeys("")), SubjectDestination, ErrNotFound},
		"run":                      {second(r.RequestRun("acme", "s3")), SubjectDestination, ErrNotFound},
		"agent":                    {second(r.Agent("acme", agentA)), SubjectAgent, ErrNotFound},
		"heartbeat":                {r.Hear("acme", agentA, Heartbeat{}), SubjectAgent, ErrNotFound},
		"token":                    {second(r.Token([32]byte{})), SubjectToken, ErrNotFound},
	} {
		subject, ok := errors.AsType[*SubjectError](test.err)
		if !ok || subject.Subject != test.subject || !errors.Is(test.err, test.want) {
			t.Errorf("%s: %v, want %v of a %s", what, test.err, test.want, test.subject)
		}
	}
	if got, err := r.Destination("acme", "nas"); err != nil || got != d {
		t.Errorf("the destination that was there became %+v, %v", got, err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestListsAreByTenantAndName(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	for _, name := range []string{"acme-2/a", "acme/b", "acme/a-1", "acme/a"} {
		tenant, name, _ := strings.Cut(name, "/")
		_, err := r.CreateDestination(tenant, name, backup.StorageRSYNC, at)
		check(t, err)
	}
	for tenant, want := range map[string]string{"": "[acme/a acme/a-1 acme/b acme-2/a]", "acme": "[acme/a acme/a-1 acme/b]", "acme-2": "[acme-2/a]"} {
		destinations, err := r.Destinations(tenant)
		check(t, err)
		var got []string
		for _, d := range destinations {
			got = append(got, d.Tenant+"/"+d.Name)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("Destinations(%q) = %v, want %v", tenant, got, want)
		}
	}
	if tenants, err := r.Tenants(); err != nil || len(tenants) != 2 || tenants[0].Name != "acme" {
		t.Errorf("Tenants = %+v, %v", tenants, err)
	}
}

func TestDestinations(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	if _, err := r.CreateDestination("acme", "nas", 9, at); err == nil {
		t.Error("a destination of an unknown kind was created")
	}
	if _, err := r.CreateDestination("acme", "NAS", backup.StorageRSYNC, at); !errors.Is(err, ErrBadName) {
		t.Errorf("CreateDestination(NAS) = %v, want ErrBadName", err)
	}
	one, err := r.CreateDestination("acme", "nas", backup.StorageRSYNC, at)
	check(t, err)
	two, err := r.CreateDestination("acme-2", "nas", backup.StorageRSYNC, at)
	check(t, err)
	if one.Origin.LogID() == two.Origin.LogID() || one.ServerKey == two.ServerKey {
		t.Error("two destinations share a log or a key")
	}
	for want := int64(1); want <= 3; want++ {
		if got, err := r.RequestRun("acme", "nas"); err != nil || got != want {
			t.Errorf("RequestRun = %d, %v, want %d", got, err, want)
		}
	}
}
