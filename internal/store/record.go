package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// logRecord is the structural state of a log without its manifests, which have records of their own, and its
// genesis, which is its first entry.
type logRecord struct {
	Size      int64                           `json:"size"`
	Root      tlog.Hash                       `json:"root"`
	ServerKey ledger.Verifier                 `json:"serverKey"`
	AgentKey  ledger.Verifier                 `json:"agentKey,omitempty"`
	Chains    map[ledger.Verifier]chainRecord `json:"chains,omitempty"`
	Awaiting  int64                           `json:"awaiting,omitempty"`
	Retired   bool                            `json:"retired,omitempty"`
}

type chainRecord struct {
	Number int64     `json:"number"`
	Last   tlog.Hash `json:"last"`
}

// manifestRecord is a sealed manifest as a whole and how many of its items are in each state.
type manifestRecord struct {
	Manifest sealedRecord  `json:"manifest"`
	Counts   ledger.Counts `json:"counts"`
}

// sealedRecord has the fields of [ledger.Manifest].
type sealedRecord struct {
	Number   int64       `json:"number"`
	Root     tlog.Hash   `json:"root"`
	Night    backup.Date `json:"night"`
	Items    int64       `json:"items"`
	Bytes    int64       `json:"bytes"`
	Deadline time.Time   `json:"deadline"`
	Open     bool        `json:"open"`
	SealedAt int64       `json:"sealedAt"`
}

func newLogRecord(log *ledger.Log, root tlog.Hash) logRecord {
	r := logRecord{log.Size, root, log.ServerKey, log.AgentKey, nil, log.Awaiting, log.Retired}
	if len(log.Chains) > 0 {
		r.Chains = make(map[ledger.Verifier]chainRecord, len(log.Chains))
	}
	for key, chain := range log.Chains {
		r.Chains[key] = chainRecord(chain)
	}
	return r
}

// log returns the structural state without manifests and genesis.
func (r logRecord) log(o ledger.Origin) *ledger.Log {
	log := &ledger.Log{
		Origin: o, Size: r.Size, ServerKey: r.ServerKey, AgentKey: r.AgentKey, Awaiting: r.Awaiting, Retired: r.Retired,
		Chains: make(map[ledger.Verifier]ledger.Chain, len(r.Chains)),
	}
	for key, chain := range r.Chains {
		log.Chains[key] = ledger.Chain(chain)
	}
	return log
}

// set writes v as JSON.
func set(tx *badger.Txn, key []byte, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the record %q: %w", key, err)
	}
	return tx.Set(key, value)
}

// get reads a record in JSON into v; false where there is none.
func get(tx *badger.Txn, key []byte, v any) (bool, error) {
	value, err := read(tx, key)
	if err != nil || value == nil {
		return false, err
	}
	return true, decode(key, value, v)
}

func decode(key, value []byte, v any) error {
	if err := json.Unmarshal(value, v); err != nil {
		return fmt.Errorf("the record %q is unreadable: %w: %w", key, err, ErrDamaged)
	}
	return nil
}
