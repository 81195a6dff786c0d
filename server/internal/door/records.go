package door

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"time"
	"unicode"

	"golang.org/x/time/rate"

	"github.com/wolkvox/backup/server/internal/adminlog"
	"github.com/wolkvox/backup/server/internal/registry"
)

// The acts in the admin log, and outcomes besides [registry.OutcomeOK] and [registry.OutcomeUnknown].
const (
	actLogin = "DoorLogin"
	actRead  = "DoorRead"

	outcomeRefused     = "REFUSED"            // the login
	outcomeUnreachable = "SOURCE_UNREACHABLE" // nothing can be said of the file at the moment
	outcomeChanged     = "SOURCE_CHANGED"     // it is not what was sealed
	outcomeUnreadable  = "SOURCE_UNREADABLE"  // the source refuses it
	outcomeInterrupted = "INTERRUPTED"        // the connection ended with the file open
)

// How many logins, and how many refused ones, are taken down: strangers can fill the log with no more than this. Those that
// are not are counted in the next that is.
const (
	loginsRate  rate.Limit = 1.0 / 10 // per second
	loginsBurst            = 100
)

// records write into the admin log.
type records struct {
	log             adminlog.Log
	logger          *slog.Logger
	logins, refused *rate.Limiter
	leftOut         *atomic.Int64
}

func newRecords(log adminlog.Log, logger *slog.Logger) records {
	return records{log, logger, rate.NewLimiter(loginsRate, loginsBurst), rate.NewLimiter(loginsRate, loginsBurst), new(atomic.Int64)}
}

// loginSubject is what a record says of a login.
type loginSubject struct {
	User        string `json:"user"`
	Fingerprint string `json:"fingerprint,omitempty"` // the last that was tried
	Comment     string `json:"comment,omitempty"`
	From        string `json:"from"`
	Cause       string `json:"cause,omitempty"`
	LeftOut     int64  `json:"left_out,omitempty"` // logins before this one that are not in the log
}

// login takes down that somebody was let in, or was not.
func (r records) login(ctx context.Context, tenant, outcome string, subject loginSubject) {
	limiter := r.logins
	if outcome != registry.OutcomeOK {
		limiter = r.refused
	}
	at := time.Now()
	if !limiter.AllowN(at, 1) {
		r.leftOut.Add(1)
		return
	}
	subject.LeftOut = r.leftOut.Swap(0)
	subject.User = shown(subject.User)
	act := registry.Act{Time: at, Who: who(subject.Fingerprint), Act: actLogin, Subject: text(subject), Tenant: tenant}
	name, err := r.log.BeginAct(act)
	if err == nil {
		act.Outcome = outcome
		err = r.log.EndAct(name, act)
	}
	if err != nil {
		r.logger.LogAttrs(ctx, slog.LevelError, "login at the door not in the admin log", slog.Any("error", err))
	}
}

// readSubject is what a record says of a file that was opened.
type readSubject struct {
	Path      string `json:"path"`
	Origin    string `json:"origin,omitempty"`
	Manifest  int64  `json:"manifest,omitempty"`
	Index     int64  `json:"index,omitempty"`
	SizeBytes int64  `json:"size_bytes"`
	SentBytes int64  `json:"sent_bytes"`
	Comment   string `json:"comment,omitempty"` // of the key
	From      string `json:"from"`
}

// read is one file that is open.
type read struct {
	records records
	name    uint64
	act     registry.Act
	subject readSubject
}

// begin takes down that a file is about to be opened. Where the error is not nil nothing may be read.
func (r records) begin(key registry.DoorKey, subject readSubject) (*read, error) {
	one := &read{records: r, subject: subject, act: registry.Act{Time: time.Now(), Who: who(key.Fingerprint), Act: actRead, Tenant: key.Tenant, Subject: text(subject)}}
	var err error
	one.name, err = r.log.BeginAct(one.act)
	return one, err
}

// end makes the record. Where that fails, it becomes one with an unknown outcome at the next start of the server.
func (o *read) end(ctx context.Context, outcome string, sentBytes int64) {
	o.subject.SentBytes = sentBytes
	o.act.Subject, o.act.Outcome = text(o.subject), outcome
	if err := o.records.log.EndAct(o.name, o.act); err != nil {
		o.records.logger.LogAttrs(ctx, slog.LevelError, "end of reading at the door not in the admin log", slog.Any("error", err))
	}
}

// who is how the admin log names the holder of a key.
func who(fingerprint string) string {
	if fingerprint == "" {
		return "door"
	}
	return "door " + fingerprint
}

// text returns a subject as JSON.
func text(subject any) string {
	encoded, err := json.Marshal(subject)
	if err != nil {
		return "{}" // structs of texts and numbers can be encoded
	}
	return string(encoded)
}

// shown returns what a stranger calls himself, as far as it is worth keeping.
func shown(user string) string {
	const most = 64
	clean := make([]rune, 0, most)
	for _, r := range user {
		if len(clean) == most {
			break
		}
		if !unicode.IsPrint(r) {
			r = unicode.ReplacementChar
		}
		clean = append(clean, r)
	}
	return string(clean)
}
