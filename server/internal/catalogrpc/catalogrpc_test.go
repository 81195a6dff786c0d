package catalogrpc_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/catalogrpc"
	"github.com/wolkvox/backup/server/internal/servertest"
)

func TestVerdictsBeforeSealing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	at := r.noon(-1)
	r.want(accepted, recording("call-1", "a.gsm", "one", at))
	r.want(unchanged, recording("call-1", "a.gsm", "one", at))
	r.want(updated, recording("call-1", "a.gsm", "two", at))
	r.want(updated, recording("call-2", "a.gsm", "two", at)) // it was somebody else's
	r.want(accepted, recording("call-1", "b.gsm", "one", at))
	r.want(accepted, recording("call-1", "c.gsm", "one", at)) // a second one
	r.want(updated, none("call-1", failed, at))               // neither came to be
	r.want(unchanged, none("call-1", failed, at))
	r.want(updated, none("call-1", abandoned, at))
	r.want(updated, recording("call-1", "c.gsm", "one", at))
	r.want(updated, recording("call-1", "c.gsm", "one", at.Add(-24*time.Hour))) // another night
	twice := r.register(none("call-3", failed, at), none("call-3", failed, at))
	if diff := cmp.Diff([]backupv1.AnnouncementVerdict_Verdict{accepted, unchanged}, verdicts(twice)); diff != "" {
		t.Error(diff)
	}
	nights, err := r.Registry.Announcements().Nights(servertest.Tenant)
	r.Must(err)
	if len(nights) != 2 || nights[0].Count != 1 || nights[1].Count != 2 {
		t.Errorf("the nights are %+v", nights)
	}
}

func TestVerdictsAfterSealing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	at := r.noon(-1)
	r.Write("a.gsm", "one", at)
	r.Write("early.gsm", "one", at)
	r.register(recording("call-1", "a.gsm", "one", at), none("call-2", abandoned, at))
	r.cutOff(0)
	r.want(unchanged, recording("call-1", "a.gsm", "one", at))
	r.want(alreadySealed, recording("call-1", "a.gsm", "two", at))
	r.want(alreadySealed, recording("call-9", "a.gsm", "one", at))
	r.want(conflict, none("call-1", failed, at))
	r.want(unchanged, none("call-2", abandoned, at))
	r.want(alreadySealed, none("call-2", failed, at))
	r.want(conflict, recording("call-2", "b.gsm", "one", at))
	r.want(accepted, recording("call-3", "early.gsm", "one", at)) // sealed before it was announced: it counts
	r.Restart()
	r.connect()
	r.want(unchanged, recording("call-3", "early.gsm", "one", at))
	r.want(alreadySealed, none("call-2", failed, at))
	r.cutOff(0)
	want := map[backup.Date]nightCounts{
		r.today.AddDays(-3): {Manifests: 1},
		r.today.AddDays(-2): {Manifests: 1},
		r.today.AddDays(-1): {Manifests: 2, Items: 2, Interactions: 3, Unrecorded: map[string]int64{"abandoned": 1}},
	}
	if diff := cmp.Diff(want, r.counts()); diff != "" {
		t.Error(diff)
	}
	if again := r.cutOff(0); again != 0 {
		t.Errorf("nothing new was announced, and %d manifests were sealed", again)
	}
}

// A restored server knows nothing of what was announced. The platform announces it again, and what the log has counted is not
// counted again.
func TestAnnouncedAgainAfterARestore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	at := r.noon(-1)
	r.Write("a.gsm", "one", at)
	r.Write("b.gsm", "one", at)
	all := []*backupv1.Announcement{recording("call-1", "a.gsm", "one", at), recording("call-2", "b.gsm", "two", at), none("call-3", failed, at), none("call-4", failed, at)}
	r.register(all...)
	r.cutOff(0)
	want := r.counts()[r.today.AddDays(-1)]
	if want.Interactions != 4 || sum(want.Unrecorded) != 3 {
		t.Fatalf("the night has %+v", want)
	}
	r.Must(r.Registry.Announcements().Prune(servertest.Tenant, r.today))
	r.register(all...)
	if again := r.cutOff(0); again != 0 {
		t.Errorf("%d manifests were sealed of what was announced again", again)
	}
	r.register(all...)
	r.register(none("call-5", failed, at))
	r.cutOff(0)
	want.Manifests, want.Interactions, want.Unrecorded["failed"] = 2, 5, 3
	if diff := cmp.Diff(want, r.counts()[r.today.AddDays(-1)]); diff != "" {
		t.Error(diff)
	}
}

// What was announced is the item's, if it is there as it was announced; what is there is sealed in any case.
func TestItemsAreAsAnnounced(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	at := r.noon(-2)
	for _, path := range []string{"good.gsm", "digest.gsm", "size.gsm", "nobody.gsm"} {
		r.Write(path, "one", r.noon(-1))
	}
	short := recording("call-3", "size.gsm", "one!", at)
	short.GetRecording().Sha256 = nil
	bare := recording("call-4", "later.gsm", "", at)
	bare.GetRecording().Sha256, bare.GetRecording().SizeBytes, bare.GetRecording().Kind = nil, nil, 0
	r.register(recording("call-1", "good.gsm", "one", at), recording("call-2", "digest.gsm", "two", at), short, bare)
	results := r.Look(true, r.noon(0))
	if problems := strings.Join(results[0].Problems, "\n"); !strings.Contains(problems, "another size or digest than was announced: 2") || !strings.Contains(problems, "main/digest.gsm") {
		t.Errorf("the problems are %q", problems)
	}
	nights, items := r.items()
	for path, want := range map[string]struct {
		interaction string
		recorded    time.Time
		night       int
	}{
		"main/good.gsm":   {"call-1", at, -2},
		"main/digest.gsm": {"", r.noon(-1), -2},
		"main/size.gsm":   {"", r.noon(-1), -2},
		"main/nobody.gsm": {"", r.noon(-1), -1},
	} {
		item := items[path]
		if item.Interaction != want.interaction || !item.RecordedAt.Equal(want.recorded) || nights[path] != r.today.AddDays(want.night) {
			t.Errorf("%s is in the night %s: %+v", path, nights[path], item)
		}
	}
	if items["main/good.gsm"].Kind != backup.KindGSM || items["main/nobody.gsm"].Kind == backup.KindGSM {
		t.Errorf("the kinds are %s and %s", items["main/good.gsm"].Kind, items["main/nobody.gsm"].Kind)
	}
	want := nightCounts{Manifests: 1, Items: 3, Interactions: 4, Unrecorded: map[string]int64{"differs": 2, "missing": 1}}
	if diff := cmp.Diff(want, r.counts()[r.today.AddDays(-2)]); diff != "" {
		t.Error(diff)
	}
	// One that comes after it was counted is an item all the same, and changes no count.
	r.Write("later.gsm", "any", r.noon(-1))
	r.cutOff(0)
	want.Manifests, want.Items = 2, 4
	if diff := cmp.Diff(want, r.counts()[r.today.AddDays(-2)]); diff != "" {
		t.Error(diff)
	}
	if _, items = r.items(); items["main/later.gsm"].Interaction != "call-4" {
		t.Errorf("the late one is %+v", items["main/later.gsm"])
	}
}

// A recording that was announced is waited for until the next cut-off, and its night gets no empty manifest meanwhile.
func TestWaitsForWhatWasAnnounced(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	last := r.today.AddDays(-1)
	r.register(recording("call-1", "a.gsm", "one", r.noon(-1)), recording("call-2", "b.gsm", "one", r.noon(-1)))
	r.cutOff(0)
	if got, is := r.counts()[last]; is {
		t.Fatalf("the night has %+v", got)
	}
	r.Write("a.gsm", "one", r.noon(-1))
	r.cutOff(0)
	want := nightCounts{Manifests: 1, Items: 1, Interactions: 1}
	if diff := cmp.Diff(want, r.counts()[last]); diff != "" {
		t.Error(diff)
	}
	r.cutOff(1)
	want = nightCounts{Manifests: 2, Items: 1, Interactions: 2, Unrecorded: map[string]int64{"missing": 1}}
	if diff := cmp.Diff(want, r.counts()[last]); diff != "" {
		t.Error(diff)
	}
	r.want(alreadySealed, none("call-2", failed, r.noon(-1)))
	r.want(accepted, recording("call-1", "c.gsm", "one", r.noon(-1))) // of one that was counted
	r.cutOff(1)
	if diff := cmp.Diff(want, r.counts()[last]); diff != "" {
		t.Error(diff)
	}
}

// Unreachable is not missing: what cannot be looked for does not count as lost.
func TestNothingIsMissingWhileTheSourceIsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other := t.TempDir()
	r.AddSource("other", other)
	r.register(recording("call-1", "a.gsm", "one", r.noon(-2)), none("call-2", failed, r.noon(-2)))
	away := other + ".away"
	r.Must(os.Rename(other, away))
	r.cutOff(0)
	want := nightCounts{Manifests: 1, Interactions: 1, Unrecorded: map[string]int64{"failed": 1}}
	if diff := cmp.Diff(want, r.counts()[r.today.AddDays(-2)]); diff != "" {
		t.Error(diff)
	}
	r.Must(os.Rename(away, other))
	r.cutOff(0)
	want.Manifests, want.Interactions, want.Unrecorded["missing"] = 2, 2, 1
	if diff := cmp.Diff(want, r.counts()[r.today.AddDays(-2)]); diff != "" {
		t.Error(diff)
	}
}

// Each destination's log counts for itself, also that of one which came later.
func TestEachDestinationCounts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Write("a.gsm", "one", r.noon(-1))
	r.register(recording("call-1", "a.gsm", "one", r.noon(-1)), none("call-2", failed, r.noon(-1)))
	r.cutOff(0)
	first := r.counts()[r.today.AddDays(-1)]
	origin := r.AddDestination("cloud", backup.StorageS3)
	r.cutOff(0)
	if diff := cmp.Diff(first, r.counts()[r.today.AddDays(-1)]); diff != "" {
		t.Errorf("the first one: %s", diff)
	}
	r.Origin = origin
	if diff := cmp.Diff(first, r.counts()[r.today.AddDays(-1)]); diff != "" {
		t.Errorf("the second one: %s", diff)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	at := r.noon(-1)
	change := func(change func(*backupv1.Announcement)) *backupv1.Announcement {
		a := recording("call-1", "a.gsm", "one", at)
		change(a)
		return a
	}
	for what, a := range map[string]*backupv1.Announcement{
		"nothing":                 {},
		"no interaction":          recording("", "a.gsm", "one", at),
		"a long interaction":      recording(strings.Repeat("x", 129), "a.gsm", "one", at),
		"a line":                  recording("a\nb", "a.gsm", "one", at),
		"no path":                 recording("call-1", "", "one", at),
		"a path that leads out":   recording("call-1", "../a.gsm", "one", at),
		"an absolute path":        recording("call-1", "/a.gsm", "one", at),
		"a longer form":           recording("call-1", "a//b.gsm", "one", at),
		"a long path":             recording("call-1", strings.Repeat("a/", 2046)+"abcdef", "one", at),
		"a recording long ago":    recording("call-1", "a.gsm", "one", r.noon(-45)),
		"a recording to come":     recording("call-1", "a.gsm", "one", time.Now().Add(25*time.Hour)),
		"a fraction of a second":  recording("call-1", "a.gsm", "one", at.Add(time.Millisecond)),
		"no time":                 change(func(a *backupv1.Announcement) { a.RecordedTime = nil }),
		"no outcome":              change(func(a *backupv1.Announcement) { a.Outcome = nil }),
		"no reason":               none("call-1", 0, at),
		"an unknown reason":       none("call-1", 99, at),
		"an unknown source":       change(func(a *backupv1.Announcement) { a.GetRecording().Source = "other" }),
		"a negative size":         change(func(a *backupv1.Announcement) { a.GetRecording().SizeBytes = proto.Int64(-1) }),
		"a short digest":          change(func(a *backupv1.Announcement) { a.GetRecording().Sha256 = []byte{1} }),
		"a digest without a size": change(func(a *backupv1.Announcement) { a.GetRecording().SizeBytes = nil }),
		"an unknown kind":         change(func(a *backupv1.Announcement) { a.GetRecording().Kind = 99 }),
	} {
		got := r.register(a, none("good-"+what, abandoned, at))
		if got[0].GetVerdict() != refused || got[0].GetReason() == "" || got[0].GetMessage() == "" || got[1].GetVerdict() != accepted {
			t.Errorf("%s is answered %v", what, got)
		}
	}
	for i := range 64 {
		r.want(accepted, recording("many", strings.Repeat("a", i+1), "one", at))
	}
	if got := r.register(recording("many", "b", "one", at))[0]; got.GetReason() != wire.ReasonTooManyRecordings {
		t.Errorf("one recording too many is answered %v", got)
	}
	_, err := r.platform.RegisterRecordings(t.Context(), &backupv1.RegisterRecordingsRequest{
		Tenant: servertest.Tenant, Announcements: make([]*backupv1.Announcement, catalogrpc.MaxAnnouncements+1),
	})
	if wire.Reason(err) != wire.ReasonTooLarge {
		t.Errorf("a call with too many: %v", err)
	}
}

func TestWhoseAnnouncements(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	service := &catalogrpc.Service{Registry: r.Registry, Sequencers: r.Sequencers}
	address := r.Serve(func(g *grpc.Server) { backupv1.RegisterCatalogServiceServer(g, service) })
	call := func(role identity.Role, tenant string) error {
		_, err := backupv1.NewCatalogServiceClient(r.Dial(address, role)).RegisterRecordings(t.Context(), &backupv1.RegisterRecordingsRequest{Tenant: tenant})
		return err
	}
	for _, c := range []struct {
		role   identity.Role
		tenant string
		reason string
	}{
		{identity.PlatformRole(servertest.Tenant, "recorder"), servertest.Tenant, ""},
		{identity.PlatformRole(servertest.Tenant, "recorder"), "other", wire.ReasonOtherTenant},
		{identity.PlatformRole(servertest.Tenant, "recorder"), "", wire.ReasonOtherTenant},
		{identity.PlatformRole("other", "recorder"), servertest.Tenant, wire.ReasonOtherTenant},
		{identity.ClientRole(servertest.Tenant, "ana"), servertest.Tenant, wire.ReasonNotAllowed},
		{identity.AgentRole(servertest.Tenant, servertest.Agent), servertest.Tenant, wire.ReasonNotAllowed},
		{identity.OperatorRole("maria"), servertest.Tenant, ""},
		{identity.OperatorRole("maria"), "nobody", wire.ReasonNoTenant},
	} {
		if err := call(c.role, c.tenant); wire.Reason(err) != c.reason || (err == nil) != (c.reason == "") {
			t.Errorf("%s about %q: %v, want %q", c.role, c.tenant, err, c.reason)
		}
	}
	r.Must(r.Registry.EndTenant(servertest.Tenant, time.Now()))
	if err := call(identity.OperatorRole("maria"), servertest.Tenant); wire.Reason(err) != wire.ReasonRetired || status.Code(err) != codes.FailedPrecondition {
		t.Errorf("about a tenant that has ended: %v", err)
	}
}
