// Package store keeps ledgers durably: entries, tree hashes, manifests, item states, heads, receipts that wait,
// faults and session numbers. One database holds many ledgers (a server) or a few (an agent).
//
// It checks what it is given by package ledger's rules and never holds half of an append. It does not decide what
// to append, sends nothing, opens no recording, and knows no destination. The server's registry (tenants, agents,
// tokens) is not its affair.
//
// # Durability
//
// Every method that changes something returns after the change was synced (on Windows Badger cannot sync its
// memory maps, which is one more reason why an agent's store may at any start be an older version of itself).
// After an error of a commit nobody knows what reached the disk: from then on every change is refused with
// [ErrFailed] until the store was closed and opened again.
//
// # Keys
//
// All numbers in keys are big-endian. A ledger's keys begin with "l" and its identifier of four bytes, which is
// given to an origin when its first record is written, and a letter for the table.
//
//	key                                   value
//	s                                     schema version, decimal
//	o ORIGIN                              identifier of the ledger (4 bytes)
//	l ID a                                logRecord: structural state, size, root (JSON)
//	l ID e INDEX(8)                       an entry's exact bytes
//	l ID h INDEX(8)                       the hashes that entry INDEX completes, from level 0 up, 32 bytes each
//	l ID m MANIFEST(8)                    manifestRecord: structural state of a sealed manifest, its counts (JSON)
//	l ID t MANIFEST(8)                    stagedRecord: a complete manifest that is not sealed yet (JSON)
//	l ID c MANIFEST(8) INDEX(8)           a chunk: whole lines with LF from line INDEX on, at most 256 KiB
//	l ID i MANIFEST(8) STATE(1)           the items in a state: a roaring bitmap; no record where there are none
//	l ID w SEQUENCE(8)                    a receipt that waits: the verifier of its key, LF, the exact bytes
//	l ID p                                a receipt that is about to wait, in the same form
//	l ID k                                the latest head held
//	l ID g                                the latest agreed head held
//	l ID f MANIFEST(8) GROUP(8)           faultRecord: a fault and the items that it is about (JSON)
//	l ID n                                sessionRecord: the current number and the last identifiers (JSON)
//	l ID d MANIFEST(8) GROUP(8)           how long 4096 items sound: a varint each, milliseconds and one, 0 for not known
//	l ID x                                how many entries stay, decimal, while the log is being cut
//
// The table d can be lost: nobody else knows what stands there, and nothing but reports want it.
// The tables m (its counts) and i are a cache of what the entries add up to and can be folded again; everything
// else is what it is. Records in JSON ignore fields that they do not know; what an older version could not
// read at all raises the schema version.
//
// # Memory
//
// Item states are held as bitmaps for the manifests in use only, up to a few MiB for the whole database; the
// structural state of a ledger (some hundred bytes per manifest) is held from its first use on.
package store
