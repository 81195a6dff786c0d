package night

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/audit"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/internal/ledger"
)

// ErrAuditing says that another audit of the destination is under way. One that somebody asks for does not wait for the rolling one.
var ErrAuditing = errors.New("an audit of this destination is under way")

// AuditRequest says what to audit, and who is told.
type AuditRequest struct {
	audit.Options
	Limiter *rate.Limiter // of bytes that are read; nil for no limit
	Fresh   bool          // does not go on with an audit that was interrupted
	// Found is called with each finding, also with those of an audit that is gone on with. Its error ends the audit.
	Found func(audit.Finding) error
	Watch func(audit.Counts) // is told how far it has come
}

// Audit compares what the log says with what the destination holds, beside a pass that may be running, and signs what is lost
// when no pass runs, after it looked at it again. Where more than 1 % is lost nothing is signed before a second audit found the
// same, or a person said so ([Night.AcceptLosses]). The report says how it ended; the error why it could not be made, or not to its
// end: the next one with the same options goes on where it was.
func (n *Night) Audit(ctx context.Context, r AuditRequest) (audit.Report, error) {
	if err := r.Options.Check(); err != nil {
		return audit.Report{}, err
	}
	if !n.auditing.TryLock() {
		return audit.Report{}, ErrAuditing
	}
	defer n.auditing.Unlock()
	return newAuditor(n, n.Audits, r).run(ctx)
}

// auditor is one audit.
type auditor struct {
	night    *Night
	journal  *audit.Journal
	request  AuditRequest
	budget   int64 // bytes after which it stops and goes on another time; 0 for none
	place    *dest.Place
	sample   audit.Sample
	position audit.Position
	safe     audit.Position // from here it can go on
	tells    bool           // the place tells digests
	lost     map[int64]*lostItems
	kept     time.Time      // when the position was kept last
	began    audit.Position // where it went on
	wentBack bool
	partial  error // why not all could be looked at
}

func newAuditor(n *Night, journal *audit.Journal, r AuditRequest) *auditor {
	return &auditor{night: n, journal: journal, request: r, sample: r.Sample(), lost: make(map[int64]*lostItems)}
}

// lostItems are the findings of one manifest that something is signed for.
type lostItems struct{ missing, altered, released []ledger.Range }

func (a *auditor) run(ctx context.Context) (report audit.Report, err error) {
	n := a.night
	if a.position, err = a.journal.Begin(a.request.Options, a.request.Fresh, n.Now().UTC(), a.replayed); err != nil {
		return audit.Report{}, err
	}
	defer func() { err = errors.Join(err, a.journal.Close()) }()
	a.began, a.safe = a.position, a.position
	n.Slog.LogAttrs(ctx, slog.LevelInfo, "audit begins", slog.String("level", string(a.request.Level)), slog.Int64("manifest", a.position.Manifest))
	err = a.look(ctx)
	switch {
	case ctx.Err() != nil:
		return audit.Report{}, errors.Join(context.Cause(ctx), a.journal.Keep(a.safe))
	case errors.As(err, new(*placeError)):
		report = a.report(audit.Unreachable, err)
		return report, errors.Join(a.journal.Keep(a.safe), a.journal.KeepLast(report))
	case err != nil:
		return audit.Report{}, err
	}
	report = a.report(audit.Complete, nil)
	if a.partial != nil {
		report = a.report(audit.Partial, a.partial)
	}
	if len(a.lost) > 0 {
		report.Signed, report.Recovered, err = a.sign(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return audit.Report{}, context.Cause(ctx)
	case errors.Is(err, ErrMassLoss), errors.Is(err, errWentBack):
		report.Outcome, report.Cause = audit.Suspicious, err.Error()
	case err != nil:
		report.Outcome, report.Cause = audit.NotSigned, err.Error()
	}
	report.Ended = n.Now().UTC()
	n.logAudit(ctx, report)
	return report, a.journal.End(report)
}

func (n *Night) logAudit(ctx context.Context, r audit.Report) {
	n.Slog.LogAttrs(ctx, slog.LevelInfo, "audit ends", slog.String("outcome", r.Outcome), slog.Int64("looked", r.Counts.Looked),
		slog.Int64("lost", r.Counts.Lost()), slog.Int64("signed", r.Signed))
}

func (a *auditor) report(outcome string, cause error) audit.Report {
	r := audit.Report{Options: a.request.Options, Began: a.position.Began, Ended: a.night.Now().UTC(), Counts: a.position.Counts, WentBack: a.wentBack, Outcome: outcome}
	if cause != nil {
		r.Cause = cause.Error()
	}
	return r
}

// replayed takes up what an audit had found before it was interrupted.
func (a *auditor) replayed(f audit.Finding) error {
	a.remember(f)
	return a.request.Found(f)
}

func (a *auditor) remember(f audit.Finding) {
	l := a.lost[f.Manifest]
	if l == nil {
		l = &lostItems{}
	}
	here := ledger.Range{First: f.Index, Last: f.Index}
	switch f.Class {
	case audit.Missing:
		l.missing = append(l.missing, here)
	case audit.Altered:
		l.altered = append(l.altered, here)
	case audit.Released:
		l.released = append(l.released, here)
	default:
		return
	}
	a.lost[f.Manifest] = l
}

func (a *auditor) found(f audit.Finding) error {
	a.remember(f)
	a.position.Counts.Add(f.Class)
	if err := a.journal.Found(f); err != nil {
		return err
	}
	return a.request.Found(f)
}

// look compares. Errors of the destination are placeErrors.
func (a *auditor) look(ctx context.Context) error {
	n := a.night
	place, err := n.openStore(ctx)
	if err != nil {
		return err
	}
	defer place.Close()
	a.place = place
	switch err := n.checkMarks(ctx, place); {
	case errors.Is(err, errWentBack):
		a.wentBack = true
	case err != nil && !errors.Is(err, errKeptUnknown) && !errors.Is(err, errHalfMade): // such things keep it from signing, not from looking
		return err
	}
	if err := a.want(); err != nil {
		return err
	}
	if a.budget > 0 {
		return a.readAll(ctx)
	}
	a.tells = a.request.Level == audit.List && place.TellsDigests(ctx)
	if a.request.Level == audit.Read {
		if err := a.readAll(ctx); err != nil {
			return err
		}
		if err := a.journal.Keep(a.safe); err != nil {
			return err
		}
	}
	return a.list(ctx)
}

// want counts what is to be looked at. What was looked at before an interruption is not looked at again.
func (a *auditor) want() error {
	counts := &a.position.Counts
	wanted := counts.Looked
	for manifest := a.position.Manifest; manifest <= a.night.lastManifest(); manifest++ {
		set, err := a.itemsOf(manifest)
		if err != nil {
			return err
		}
		if a.request.Percent == 100 {
			wanted += set.Len()
			continue
		}
		for index := range set.All() {
			if a.sample.Takes(manifest, index) {
				wanted++
			}
		}
	}
	counts.Wanted = wanted
	a.request.Watch(*counts)
	return nil
}

func (n *Night) lastManifest() (last int64) {
	n.Log.View(func(log *ledger.Log) { last = int64(len(log.Manifests)) })
	return last
}

// itemsOf returns what should be at the destination of a manifest, and was not looked at yet.
func (a *auditor) itemsOf(manifest int64) (ledger.Set, error) {
	held, err := a.night.heldOf(manifest)
	if err != nil || manifest != a.position.Manifest || a.position.Index == 0 {
		return held, err
	}
	return held.Difference(ledger.NewSet(ledger.Range{First: 0, Last: a.position.Index - 1})), nil
}

// judge takes note of what was found of items. Nothing of it counts where one of them shows that the place is away.
func (a *auditor) judge(ctx context.Context, manifest int64, items lookup, found []dest.Found) error {
	n := a.night
	var unreadable, lost bool
	for i, f := range found {
		switch classify(f, items.wanted[i]) {
		case audit.Unreadable:
			if errors.Is(f.Err, dest.ErrUnreachable) || ctx.Err() != nil {
				return n.atPlace(f.Err)
			}
			unreadable = true
		case audit.Missing, audit.Altered:
			lost = true
		}
	}
	if unreadable {
		if err := a.place.CheckMarker(ctx); err != nil {
			return n.atPlace(err)
		}
	}
	held := ledger.NewSet(ledger.Range{First: 0, Last: items.indexes[len(items.indexes)-1]})
	if lost { // what the log says now counts: it may have been withdrawn, or declared lost, meanwhile
		var err error
		if held, err = n.heldOf(manifest); err != nil {
			return err
		}
	}
	for i, f := range found {
		counts := &a.position.Counts
		if f.Err == nil {
			counts.ReadBytes += f.Digest.SizeBytes
		}
		if !held.Contains(items.indexes[i]) {
			counts.Wanted--
			continue
		}
		counts.Looked++
		class := classify(f, items.wanted[i])
		if class == "" {
			counts.Present++
			continue
		}
		if err := a.found(a.finding(class, manifest, items.indexes[i], f)); err != nil {
			return err
		}
	}
	return nil
}

// classify says what is found, empty for present and equal.
func classify(f dest.Found, wanted backup.Digest) audit.Class {
	switch {
	case f.Err == nil && f.Digest == wanted:
		return ""
	case errors.Is(f.Err, fs.ErrNotExist):
		return audit.Missing
	case f.Err == nil, errors.Is(f.Err, dest.ErrConflict):
		return audit.Altered
	}
	return audit.Unreadable
}

func (a *auditor) finding(class audit.Class, manifest, index int64, f dest.Found) audit.Finding {
	finding := audit.Finding{Class: class, Manifest: manifest, Index: index, Name: f.Name}
	switch class {
	case audit.Missing:
		if a.night.retentionEnded(manifest) {
			finding.Class = audit.Released
		}
	case audit.Altered:
		if f.Err == nil {
			finding.SizeBytes, finding.SHA256 = f.Digest.SizeBytes, hex.EncodeToString(f.Digest.SHA256[:])
		}
	case audit.Unreadable:
		why := a.night.Faults.Of(f.Err)
		finding.FaultClass, finding.Party, finding.Code, finding.Message = why.Class, why.Party, why.Code, why.Message
	}
	return finding
}

// retentionEnded reports whether the client's own retention keeps recordings of a manifest no longer.
func (n *Night) retentionEnded(manifest int64) bool {
	if n.RetainDays <= 0 {
		return false
	}
	var night backup.Date
	n.Log.View(func(log *ledger.Log) {
		if m, ok := log.Manifest(manifest); ok {
			night = m.Night
		}
	})
	return night.AddDays(n.RetainDays).Compare(n.Today()) < 0
}

// Today returns the date by the tenant's clock, by UTC where its zone is not known.
func (n *Night) Today() backup.Date {
	zone := time.UTC
	if n.Zone != nil {
		if known := n.Zone(); known != nil {
			zone = known
		}
	}
	return backup.DateOf(n.Now().In(zone))
}

// keepEvery is how often an audit keeps how far it has come: what is read again after a kill is what was read in that time.
const keepEvery = 5 * time.Second

// moved takes note that all items of a manifest before index were looked at.
func (a *auditor) moved(manifest, index int64) error {
	a.position.Manifest, a.position.Index, a.position.FindingsBytes = manifest, index, a.journal.Written()
	a.safe = a.position
	a.request.Watch(a.position.Counts)
	if now := time.Now(); now.Sub(a.kept) >= keepEvery {
		a.kept = now
		return a.journal.Keep(a.safe)
	}
	return nil
}

// errListing says that not all names could be listed.
var errListing = errors.New("not all of the destination could be listed")
