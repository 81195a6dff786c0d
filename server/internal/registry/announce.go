package registry

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

const (
	// MaxAnnouncedNight is how many announcements of a tenant are kept for one night.
	MaxAnnouncedNight = 1_000_000
	// MaxAnnouncedInteraction is how many recordings of one interaction are kept.
	MaxAnnouncedInteraction = 64
	// announcedAtOnce is how many announcements are written in one transaction.
	announcedAtOnce = 250
)

// ErrTooMany comes with [VerdictRefused]: the night, or the interaction, has as many announcements as are kept.
var ErrTooMany = errors.New("too many announcements")

// Verdict is what became of an announcement. The numbers equal those of the protocol.
type Verdict int32

// The verdicts.
const (
	VerdictAccepted      Verdict = 1 // it is new
	VerdictUnchanged     Verdict = 2 // it was known
	VerdictUpdated       Verdict = 3 // it replaces another one
	VerdictAlreadySealed Verdict = 4 // another one was sealed: nothing changed
	VerdictConflict      Verdict = 5 // it contradicts what was sealed of the interaction: nothing changed
	VerdictRefused       Verdict = 6 // nothing changed
)

// Announcements are what recording platforms announced, by tenant and night, and which interactions were counted in which
// manifest. They are made for a million announcements a night. They are not in a [Registry.Snapshot]: what was announced and not
// sealed is announced again after the server was restored.
//
// Their methods may be called concurrently; see [Announcements.Hold].
type Announcements struct{ registry *Registry }

// Announcements returns those that are kept in this registry.
func (r *Registry) Announcements() *Announcements { return &Announcements{r} }

// announcing has one lock for each tenant.
type announcing struct {
	mu      sync.Mutex // guards tenants
	tenants map[string]*sync.Mutex
}

// Hold keeps a tenant's announcements as they are until release, which has to be called: [Announcements.Register] waits.
func (a *Announcements) Hold(tenant string) (release func()) {
	locks := &a.registry.announcing
	locks.mu.Lock()
	lock := locks.tenants[tenant]
	if lock == nil {
		lock = &sync.Mutex{}
		if locks.tenants == nil {
			locks.tenants = map[string]*sync.Mutex{}
		}
		locks.tenants[tenant] = lock
	}
	locks.mu.Unlock()
	lock.Lock()
	return lock.Unlock
}

// SealedLog is a log in which announcements may have been sealed.
type SealedLog struct {
	Origin ledger.Origin
	Has    func(manifest int64) bool // whether it is sealed
	Stands func(Mark) bool           // whether the manifest of a mark is in the log
}

// Register takes announcements, which are well formed, in their order, and returns a verdict for each. logs are those of the
// tenant's destinations. All that it accepted is durable when it returns no error; otherwise some may be, and the call is to be repeated. The error
// is [ErrNotFound] for the tenant, an [*EndedError], or [ErrNoRoom].
func (a *Announcements) Register(tenant string, announced []Announcement, logs []SealedLog) ([]Verdict, error) {
	defer a.Hold(tenant)()
	verdicts := make([]Verdict, len(announced))
	for from := 0; ; from += announcedAtOnce { // once also where there are none, for the errors
		to := min(from+announcedAtOnce, len(announced))
		if err := a.register(tenant, announced[from:to], verdicts[from:to], logs); err != nil {
			return nil, fmt.Errorf("register recordings of %s: %w", tenant, err)
		}
		if to == len(announced) {
			return verdicts, nil
		}
	}
}

// register takes announcements in one transaction, or in several where that is too large.
func (a *Announcements) register(tenant string, announced []Announcement, verdicts []Verdict, logs []SealedLog) error {
	err := a.registry.update(func(txn *badger.Txn) error {
		if _, err := get[Tenant](txn, key(tenantTable, tenant), SubjectTenant, tenant); err != nil {
			return err
		}
		if err := checkEnded(txn, tenant); err != nil {
			return err
		}
		t := announceTxn{txn, tenant, logs}
		for i, one := range announced {
			verdict, err := t.take(one)
			if err != nil {
				return err
			}
			verdicts[i] = verdict
		}
		return nil
	})
	if half := len(announced) / 2; errors.Is(err, badger.ErrTxnTooBig) && half > 0 {
		if err := a.register(tenant, announced[:half], verdicts[:half], logs); err != nil {
			return err
		}
		return a.register(tenant, announced[half:], verdicts[half:], logs)
	}
	return err
}

// announceTxn takes announcements of a tenant in a transaction.
type announceTxn struct {
	txn    *badger.Txn
	tenant string
	logs   []SealedLog
}

func (t announceTxn) take(a Announcement) (Verdict, error) {
	own, err := announcedOf(t.txn, t.tenant, a.Interaction)
	if err != nil {
		return 0, err
	}
	owner, others := a.Interaction, own // who has the path of a, and what was announced of it
	if a.SourcePath != "" {
		if owner, err = pathOwner(t.txn, t.tenant, a.SourcePath); err != nil {
			return 0, err
		}
		if owner != a.Interaction {
			if others, err = announcedOf(t.txn, t.tenant, owner); err != nil {
				return 0, err
			}
		}
	}
	if i := indexOf(others, a.SourcePath); i >= 0 {
		if others[i] == a {
			return VerdictUnchanged, nil
		}
		if sealed, err := t.isSealed(others[i]); err != nil || sealed {
			return VerdictAlreadySealed, err
		}
	}
	if verdict, err := t.contradicts(a, own); err != nil || verdict != 0 {
		return verdict, err
	}
	kept := slices.DeleteFunc(slices.Clone(own), func(o Announcement) bool {
		return (o.SourcePath == "") != (a.SourcePath == "") || o.SourcePath == a.SourcePath
	})
	updated := len(kept) < len(own)
	night, err := announcedNight(t.txn, t.tenant, a.Night)
	if err != nil {
		return 0, err
	}
	if len(kept) >= MaxAnnouncedInteraction || night.Count >= MaxAnnouncedNight && !updated {
		return VerdictRefused, nil
	}
	if i := indexOf(others, a.SourcePath); i >= 0 && owner != a.Interaction {
		updated = true
		if err := t.store(owner, others, slices.Delete(slices.Clone(others), i, i+1)); err != nil {
			return 0, err
		}
	}
	if err := t.store(a.Interaction, own, append(kept, a)); err != nil {
		return 0, err
	}
	if updated {
		return VerdictUpdated, nil
	}
	return VerdictAccepted, nil
}

// contradicts returns the verdict on a where what was sealed of its interaction says the contrary, and 0 where nothing does.
func (t announceTxn) contradicts(a Announcement, own []Announcement) (Verdict, error) {
	verdict := Verdict(0)
	for _, o := range own {
		if (o.SourcePath == "") == (a.SourcePath == "") {
			continue
		}
		if sealed, err := t.isSealed(o); err != nil || sealed {
			return VerdictConflict, err
		}
		counted, err := t.isCounted(o)
		if err != nil {
			return 0, err
		}
		if counted { // as one whose recording never came
			verdict = VerdictAlreadySealed
		}
	}
	return verdict, nil
}

func indexOf(announced []Announcement, sourcePath string) int {
	return slices.IndexFunc(announced, func(a Announcement) bool { return a.SourcePath == sourcePath })
}

// isSealed reports whether the file of a recording was sealed for some destination, or an interaction without one counted.
func (t announceTxn) isSealed(a Announcement) (bool, error) {
	if a.SourcePath == "" {
		return t.isCounted(a)
	}
	for _, log := range t.logs {
		id, err := logID(log.Origin)
		if err != nil {
			return false, err
		}
		record, found, err := lookup(t.txn, id, a.SourcePath)
		if err != nil {
			return false, err
		}
		if found && log.Has(record.Manifest) { // what an interrupted attempt left is not sealed
			return true, nil
		}
	}
	return false, nil
}

func (t announceTxn) isCounted(a Announcement) (bool, error) {
	for _, log := range t.logs {
		mark, found, err := markOfInteraction(t.txn, t.tenant, a.Night, log.Origin, a.Interaction)
		if err != nil {
			return false, err
		}
		if found && log.Stands(mark) {
			return true, nil
		}
	}
	return false, nil
}

// store makes what is announced of an interaction other than it was.
func (t announceTxn) store(interaction string, before, after []Announcement) error {
	changed := map[backup.Date]int64{} // by how much the counts of nights change
	for _, a := range before {
		changed[a.Night]--
		if a.SourcePath != "" && indexOf(after, a.SourcePath) < 0 {
			if err := t.txn.Delete(announcedKey(t.tenant, announcedPathPart, a.SourcePath)); err != nil {
				return err
			}
		}
	}
	has := map[backup.Date]bool{}
	for _, a := range after {
		changed[a.Night]++
		has[a.Night] = true
		if a.SourcePath != "" && indexOf(before, a.SourcePath) < 0 {
			if err := t.txn.Set(announcedKey(t.tenant, announcedPathPart, a.SourcePath), []byte(interaction)); err != nil {
				return err
			}
		}
	}
	for date, by := range changed {
		if err := t.changed(interaction, date, by, has[date]); err != nil {
			return err
		}
	}
	if len(after) == 0 {
		return t.txn.Delete(announcedKey(t.tenant, announcedPart, interaction))
	}
	return t.txn.Set(announcedKey(t.tenant, announcedPart, interaction), appendAnnouncements(nil, after))
}

// changed notes that a night has more or fewer announcements, and whether the interaction has any there.
func (t announceTxn) changed(interaction string, date backup.Date, by int64, has bool) error {
	night, err := announcedNight(t.txn, t.tenant, date)
	if err != nil {
		return err
	}
	night.Count += by
	night.Generation++
	if err := t.txn.Set(announcedKey(t.tenant, nightCountPart, date.String()), appendAnnouncedNight(nil, night)); err != nil {
		return err
	}
	inNight := announcedKey(t.tenant, announcedNightPart, date.String(), interaction)
	if has {
		return t.txn.Set(inNight, nil)
	}
	return t.txn.Delete(inNight)
}
