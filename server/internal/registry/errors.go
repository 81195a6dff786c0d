package registry

import (
	"errors"
	"fmt"
	"time"
)

// What callers act on. They are wrapped; test with errors.Is.
var (
	// ErrNotFound and ErrExists come in a [*SubjectError].
	ErrNotFound = errors.New("there is none of that name")
	ErrExists   = errors.New("there is already one of that name")

	ErrBadName     = errors.New("the name is not allowed")
	ErrBadTimeZone = errors.New("the time zone is not an IANA name")
	ErrBadWindow   = errors.New("the nightly window is not allowed") // also of cut-off, quiet time and rate
	ErrBadPath     = errors.New("the path is not allowed")
	ErrBadQuota    = errors.New("the quota of wolkvox Storage is not allowed")
	ErrBadLifetime = errors.New("the lifetime of a token is not allowed")

	ErrNotServing = errors.New("it does not serve destination")

	// ErrEnded comes in an [*EndedError].
	ErrEnded = errors.New("it has ended")

	ErrUsed      = errors.New("the token was already used") // with other keys
	ErrExpired   = errors.New("the token expired")
	ErrRevoked   = errors.New("the agent was revoked")
	ErrNameTaken = errors.New("another agent already has this name") // that is, one with another key
)

// Subject is a kind of record.
type Subject string

// The kinds of records that can be missing or already there.
const (
	SubjectTenant      Subject = "tenant"
	SubjectSource      Subject = "source"
	SubjectDestination Subject = "destination"
	SubjectToken       Subject = "token"
	SubjectAgent       Subject = "agent"
	SubjectRecovery    Subject = "recovery record"
	SubjectAlarm       Subject = "alarm"
	SubjectOutage      Subject = "outage"
	SubjectCredential  Subject = "credential"
	SubjectAdminLog    Subject = "admin log"
	SubjectDoorKey     Subject = "door-key"
)

// SubjectError says of which record it is that Err, [ErrNotFound] or [ErrExists], is true.
type SubjectError struct {
	Subject Subject
	Name    string // TENANT/NAME where the name is one within a tenant
	Err     error
}

// Error names the record.
func (e *SubjectError) Error() string { return fmt.Sprintf("%s %q: %v", e.Subject, e.Name, e.Err) }

// Unwrap returns Err.
func (e *SubjectError) Unwrap() error { return e.Err }

// AssignedError says that an agent already serves a destination.
type AssignedError struct {
	Tenant, Destination string
	Agent               string // the name of the agent that serves it
	HostName            string // what its machine calls itself; may be empty
}

// Error names the agent that serves the destination, and its machine.
func (e *AssignedError) Error() string {
	host := ""
	if e.HostName != "" {
		host = fmt.Sprintf(" on %q", e.HostName)
	}
	return fmt.Sprintf("destination %s/%s is already served by agent %s%s", e.Tenant, e.Destination, e.Agent, host)
}

// EndedError says that a destination, or a tenant as a whole, was retired.
type EndedError struct {
	Tenant      string
	Destination string // empty for the tenant as a whole
	At          time.Time
}

// Error names what has ended, and when.
func (e *EndedError) Error() string {
	if e.Destination == "" {
		return fmt.Sprintf("tenant %s was retired at %s", e.Tenant, e.At.Format(time.RFC3339))
	}
	return fmt.Sprintf("destination %s/%s was retired at %s", e.Tenant, e.Destination, e.At.Format(time.RFC3339))
}

// Unwrap returns [ErrEnded].
func (e *EndedError) Unwrap() error { return ErrEnded }
