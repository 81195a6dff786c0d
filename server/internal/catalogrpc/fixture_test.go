package catalogrpc_test

import (
	"crypto/sha256"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/catalogrpc"
	"github.com/wolkvox/backup/server/internal/servertest"
)

// The verdicts, shorter.
const (
	accepted      = backupv1.AnnouncementVerdict_VERDICT_ACCEPTED
	unchanged     = backupv1.AnnouncementVerdict_VERDICT_UNCHANGED
	updated       = backupv1.AnnouncementVerdict_VERDICT_UPDATED
	alreadySealed = backupv1.AnnouncementVerdict_VERDICT_ALREADY_SEALED
	conflict      = backupv1.AnnouncementVerdict_VERDICT_CONFLICT
	refused       = backupv1.AnnouncementVerdict_VERDICT_REFUSED

	abandoned = backupv1.NoRecordingReason_NO_RECORDING_REASON_ABANDONED
	failed    = backupv1.NoRecordingReason_NO_RECORDING_REASON_FAILED
)

// rig is a server with a platform that calls it. Announcements are held against the real clock.
type rig struct {
	*servertest.Server
	t        *testing.T
	zone     *time.Location
	today    backup.Date // where the tenant lives
	platform backupv1.CatalogServiceClient
}

func newRig(t *testing.T) *rig {
	t.Helper()
	const bogota = "America/Bogota"
	zone, err := time.LoadLocation(bogota)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, zone: zone, today: backup.DateOf(time.Now().In(zone))}
	r.Server = servertest.New(t, bogota, backup.StorageRSYNC, r.noon(-3))
	r.connect()
	return r
}

// connect serves what the server is now, and calls it as the tenant's platform.
func (r *rig) connect() {
	r.t.Helper()
	service := &catalogrpc.Service{Registry: r.Registry, Sequencers: r.Sequencers, Logger: slog.New(slog.DiscardHandler)}
	address := r.Serve(func(g *grpc.Server) { backupv1.RegisterCatalogServiceServer(g, service) })
	r.platform = backupv1.NewCatalogServiceClient(r.Dial(address, identity.PlatformRole(servertest.Tenant, "recorder")))
}

// noon is midday, where the tenant lives, some days from today.
func (r *rig) noon(days int) time.Time {
	d := r.today.AddDays(days)
	return time.Date(d.Year, d.Month, d.Day, 12, 0, 0, 0, r.zone)
}

// cutOff looks as at the cut-off that ends the day before today, or some days later, and returns how many manifests came.
func (r *rig) cutOff(days int) int64 {
	r.t.Helper()
	before := r.Sequencer().Last()
	r.Look(true, r.noon(days))
	return r.Sequencer().Last() - before
}

// register calls, and returns the verdicts.
func (r *rig) register(announced ...*backupv1.Announcement) []*backupv1.AnnouncementVerdict {
	r.t.Helper()
	res, err := r.platform.RegisterRecordings(r.t.Context(), &backupv1.RegisterRecordingsRequest{Tenant: servertest.Tenant, Announcements: announced})
	r.Must(err)
	if len(res.GetVerdicts()) != len(announced) {
		r.t.Fatalf("%d announcements have %d verdicts", len(announced), len(res.GetVerdicts()))
	}
	return res.GetVerdicts()
}

// want registers one announcement, and checks its verdict.
func (r *rig) want(verdict backupv1.AnnouncementVerdict_Verdict, a *backupv1.Announcement) {
	r.t.Helper()
	if got := r.register(a)[0]; got.GetVerdict() != verdict || (got.GetReason() == "") == (verdict == refused) {
		r.t.Errorf("%v is answered %v, want %v", a, got, verdict)
	}
}

// recording announces a file of the source with these contents.
func recording(interaction, path, contents string, at time.Time) *backupv1.Announcement {
	sum := sha256.Sum256([]byte(contents))
	return &backupv1.Announcement{Interaction: interaction, RecordedTime: timestamppb.New(at), Outcome: &backupv1.Announcement_Recording{
		Recording: &backupv1.AnnouncedRecording{Source: servertest.Source, Path: path, SizeBytes: new(int64(len(contents))), Sha256: sum[:], Kind: backupv1.MediaKind_MEDIA_KIND_GSM},
	}}
}

// none announces that there is no recording.
func none(interaction string, reason backupv1.NoRecordingReason, at time.Time) *backupv1.Announcement {
	return &backupv1.Announcement{Interaction: interaction, RecordedTime: timestamppb.New(at), Outcome: &backupv1.Announcement_NoRecording{NoRecording: reason}}
}

// nightCounts is what the manifests of a night say together.
type nightCounts struct {
	Manifests, Items, Interactions int64
	Unrecorded                     map[string]int64
}

// counts returns what the log says of each night.
func (r *rig) counts() map[backup.Date]nightCounts {
	r.t.Helper()
	nights := map[backup.Date]nightCounts{}
	for number := int64(1); number <= r.Sequencer().Last(); number++ {
		m, _ := r.Sequencer().Manifest(number)
		sealed, err := wire.Night(r.Sequencer().Ledger(), m)
		r.Must(err)
		n := nights[m.Night]
		n.Manifests++
		n.Items += m.Items
		n.Interactions += sealed.GetInteractionCount()
		for _, u := range sealed.GetUnrecorded() {
			n.Unrecorded = add(n.Unrecorded, u.GetReason(), u.GetCount())
		}
		nights[m.Night] = n
	}
	return nights
}

func add(counts map[string]int64, reason string, count int64) map[string]int64 {
	if counts == nil {
		counts = map[string]int64{}
	}
	counts[reason] += count
	return counts
}

// items returns the night and the item of every source path.
func (r *rig) items() (nights map[string]backup.Date, items map[string]backup.Item) {
	r.t.Helper()
	nights, items = map[string]backup.Date{}, map[string]backup.Item{}
	for number := int64(1); number <= r.Sequencer().Last(); number++ {
		m, _ := r.Sequencer().Manifest(number)
		for line, err := range r.Sequencer().Ledger().Lines(number, 0) {
			r.Must(err)
			nights[line.Item.Path], items[line.Item.Path] = m.Night, line.Item
		}
	}
	return nights, items
}

func sum(counts map[string]int64) (total int64) {
	for n := range maps.Values(counts) {
		total += n
	}
	return total
}

func verdicts(all []*backupv1.AnnouncementVerdict) (kinds []backupv1.AnnouncementVerdict_Verdict) {
	for _, v := range all {
		if !slices.Contains(kinds, v.GetVerdict()) {
			kinds = append(kinds, v.GetVerdict())
		}
	}
	return kinds
}
