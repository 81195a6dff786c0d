package registry

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// Agent is an agent that was let in.
type Agent struct {
	Tenant         string            `json:"tenant"`
	Name           string            `json:"name"`      // unique within the tenant
	HostName       string            `json:"host_name"` // what its machine calls itself
	Version        string            `json:"version"`   // when it enrolled
	Platform       string            `json:"platform"`  // such as "linux/amd64"
	KeyHash        [sha256.Size]byte `json:"key_hash"`  // of its certificate's public key (SubjectPublicKeyInfo)
	CertificateEnd time.Time         `json:"certificate_end"`
	EnrolledAt     time.Time         `json:"enrolled_at"` // or since when it is known again after a restore
}

// Heartbeat is what an agent said when it was last heard.
type Heartbeat struct {
	At                time.Time     `json:"at"` // by the server's clock; zero for never
	Version           string        `json:"version"`
	UnderstoodEntries []string      `json:"understood_entries"`
	ClockOffset       time.Duration `json:"clock_offset"` // the agent's clock less the server's
	Reports           []Report      `json:"reports"`
	Message           string        `json:"message,omitempty"`          // what is wrong with it as a whole; empty when all is well
	StateFreeBytes    *int64        `json:"state_free_bytes,omitempty"` // on the volume of its own state; nil where it cannot be known
}

// Report is what a heartbeat said of one destination.
type Report struct {
	Origin         ledger.Origin `json:"origin"`
	SessionNumber  int64         `json:"session_number"`
	Size           int64         `json:"size"` // of the agent's log
	OutboxCount    int64         `json:"outbox_count"`
	EchoedTime     time.Time     `json:"echoed_time"` // the server's time that the agent had heard when it looked at its outbox
	AgreedHead     []byte        `json:"agreed_head"`
	Health         int32         `json:"health"` // the number of a DestinationHealth of the protocol
	Message        string        `json:"message"`
	FreeBytes      *int64        `json:"free_bytes"`       // nil where it cannot be known
	FreeInodeCount *int64        `json:"free_inode_count"` // nil where it cannot be known
	ConfirmedCount int64         `json:"confirmed_count"`  // since the agent's process started
	FetchedBytes   int64         `json:"fetched_bytes"`    // since the agent's process started
	// Check is what was not good in the last check; nil where there was none since the agent's process started.
	Check   *backup.CheckReport `json:"check,omitempty"`
	Circuit *Circuit            `json:"circuit,omitempty"`
	Pause   *Pause              `json:"pause,omitempty"` // nil where it is not paused
}

// Circuit says that an agent leaves a destination alone after a fault that hit it as a whole.
type Circuit struct {
	Class   string    `json:"class"` // this and the following of the fault
	Party   string    `json:"party"`
	Code    string    `json:"code"`
	Message string    `json:"message"`
	Since   time.Time `json:"since"`
	NextTry time.Time `json:"next_try"`
}

// Pause is what an agent said of a destination that is paused.
type Pause struct {
	Until  time.Time `json:"until,omitzero"`   // zero for until it is resumed
	Reason string    `json:"reason,omitempty"` // in the words of who asked for it
}

// Agent returns a tenant's agent, or [ErrNotFound].
func (r *Registry) Agent(tenant, name string) (a Agent, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		a, err = agent(txn, tenant, name)
		return err
	})
	return a, err
}

// Agents returns a tenant's agents by name, or all by tenant and name where tenant is empty. The error is
// [ErrNotFound] for a tenant that does not exist.
func (r *Registry) Agents(tenant string) ([]Agent, error) {
	return listOf[Agent](r, agentTable, tenant)
}

// Hear keeps an agent's heartbeat in place of the one before. The error is [ErrNotFound] for an agent that was not
// let in.
func (r *Registry) Hear(tenant, name string, h Heartbeat) error {
	return r.update(func(txn *badger.Txn) error {
		if _, err := agent(txn, tenant, name); err != nil {
			return err
		}
		return put(txn, key(heardTable, tenant, name), h)
	})
}

// Heard returns the last heartbeat of an agent; its time is zero where it was never heard.
func (r *Registry) Heard(tenant, name string) (h Heartbeat, err error) {
	err = r.db.View(func(txn *badger.Txn) error {
		h, err = get[Heartbeat](txn, key(heardTable, tenant, name), SubjectAgent, tenant+"/"+name)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return Heartbeat{}, nil
	}
	return h, err
}

func agent(txn *badger.Txn, tenant, name string) (Agent, error) {
	return get[Agent](txn, key(agentTable, tenant, name), SubjectAgent, tenant+"/"+name)
}

// keepAgent keeps a new agent, or what is new of a known one with the same key.
func keepAgent(txn *badger.Txn, a Agent) error {
	if err := ledger.CheckAgentName(a.Name); err != nil {
		return fmt.Errorf("keep agent: %w: %w", ErrBadName, err)
	}
	known, err := agent(txn, a.Tenant, a.Name)
	switch {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return err
	case known.KeyHash != a.KeyHash:
		return fmt.Errorf("keep agent %s/%s: %w", a.Tenant, a.Name, ErrNameTaken)
	default:
		a.EnrolledAt = known.EnrolledAt
		if known.CertificateEnd.After(a.CertificateEnd) {
			a.CertificateEnd = known.CertificateEnd
		}
	}
	return put(txn, key(agentTable, a.Tenant, a.Name), a)
}
