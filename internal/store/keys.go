package store

import (
	"encoding/binary"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// table is the letter that tells the kinds of records of one ledger apart; doc.go lists them.
type table byte

const (
	tableLog       table = 'a'
	tableEntries   table = 'e'
	tableHashes    table = 'h'
	tableManifest  table = 'm'
	tableStaged    table = 't'
	tableChunks    table = 'c'
	tableItems     table = 'i'
	tableWaiting   table = 'w'
	tablePrepared  table = 'p'
	tableHead      table = 'k'
	tableAgreed    table = 'g'
	tableFaults    table = 'f'
	tableSessions  table = 'n'
	tableCut       table = 'x'
	tableDurations table = 'd'
)

const (
	keySchema    = "s"
	prefixOrigin = "o"
	prefixLedger = 'l'
)

// ledgerID stands for an origin in keys.
type ledgerID uint32

func originKey(o ledger.Origin) []byte { return []byte(prefixOrigin + string(o)) }

func (id ledgerID) encode() []byte { return binary.BigEndian.AppendUint32(nil, uint32(id)) }

// key returns the key of a record of table t whose numbers are parts; with fewer parts than the table has, the
// prefix of all such records.
func (id ledgerID) key(t table, parts ...int64) []byte {
	b := make([]byte, 0, 6+8*len(parts))
	b = append(b, prefixLedger)
	b = binary.BigEndian.AppendUint32(b, uint32(id))
	b = append(b, byte(t))
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(p))
	}
	return b
}

func (id ledgerID) itemsKey(manifest int64, s backup.State) []byte {
	return append(id.key(tableItems, manifest), byte(s))
}

// lastNumber returns the last number of a key that [ledgerID.key] made with at least one part.
func lastNumber(key []byte) int64 {
	if len(key) < 8 {
		return -1
	}
	return int64(binary.BigEndian.Uint64(key[len(key)-8:]))
}
