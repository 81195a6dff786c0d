package registry

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// The admin log is a chain of records that only grows: each has the SHA-256 of the one before, so that a record that was
// changed, taken out or put in shows. What the chain cannot show is that all of it was written anew, by somebody who can
// write into the registry's files; who is afraid of that keeps the hash of the last record elsewhere.
//
// An act is first kept as begun, outside the chain, and becomes a record when its outcome is known, so that each act has
// one record and the numbers have no gaps. What was begun when the server stopped becomes a record with
// [OutcomeUnknown] at its next start: no change is made without a record.

// Outcomes of acts, besides the reasons of errors.
const (
	OutcomeOK      = "OK"
	OutcomeUnknown = "UNKNOWN" // the server stopped before the act had ended: it may or may not have been done
)

// Act is what somebody does.
type Act struct {
	Time    time.Time `json:"time"`
	Who     string    `json:"who"`     // a role, or "local" for a command on the server itself
	Act     string    `json:"act"`     // the method or command
	Subject string    `json:"subject"` // on what: JSON without secrets
	Reason  string    `json:"reason"`  // as the caller said
	Outcome string    `json:"outcome"` // [OutcomeOK], [OutcomeUnknown], or the reason of an error
	Tenant  string    `json:"tenant"`  // that it concerns; empty where it concerns none or all
}

// AdminRecord is an act in the admin log. Its JSON, on one line, is what the next record has the hash of; it is also
// what `wolkvox-server admin-log --output json` prints.
type AdminRecord struct {
	Number int64 `json:"number"` // from 1, without gaps
	Act
	Previous string `json:"previous"` // SHA-256 of the record before, in hexadecimal; 64 zeros in the first
}

// Hash returns the SHA-256 of the record's JSON, in hexadecimal.
func (r AdminRecord) Hash() (string, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("encode record %d of the admin log: %w", r.Number, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// adminHead is how long the chain is, and its end.
type adminHead struct {
	Number int64  `json:"number"`
	Hash   string `json:"hash"` // of the last record
}

// BeginAct keeps, before an act is done, that it is about to be, and returns the name to end it by.
func (r *Registry) BeginAct(a Act) (name uint64, err error) {
	a.Outcome = OutcomeUnknown
	var random [8]byte
	rand.Read(random[:])
	name = binary.BigEndian.Uint64(random[:])
	err = r.update(func(txn *badger.Txn) error { return put(txn, actKey(name), a) })
	if err != nil {
		return 0, fmt.Errorf("write that %s begins to the admin log: %w", a.Act, err)
	}
	return name, nil
}

// EndAct makes a record of an act that began, with what is known of it now.
func (r *Registry) EndAct(name uint64, a Act) error {
	err := r.update(func(txn *badger.Txn) error {
		if err := appendAct(txn, a); err != nil {
			return err
		}
		return txn.Delete(actKey(name))
	})
	if err != nil {
		return fmt.Errorf("write %s to the admin log: %w", a.Act, err)
	}
	return nil
}

// RecoverActs makes records of the acts that had begun and not ended when the registry was closed, and returns how many
// there were. It is called before the first [Registry.BeginAct].
func (r *Registry) RecoverActs() (count int, err error) {
	err = r.update(func(txn *badger.Txn) error {
		begun, err := list[Act](txn, actTable)
		if err != nil {
			return err
		}
		count = len(begun)
		slices.SortStableFunc(begun, func(a, b Act) int { return a.Time.Compare(b.Time) })
		for _, a := range begun {
			if err := appendAct(txn, a); err != nil {
				return err
			}
		}
		return dropTable(txn, actTable)
	})
	if err != nil {
		return 0, fmt.Errorf("end the acts that had begun: %w", err)
	}
	return count, nil
}

// TakeIn makes a record of an act that was done while the registry was not at hand, with the credential that was made by
// it, nil where none was. The name is that of the act, and what is taken in twice is there once, until [Registry.ForgetTaken].
func (r *Registry) TakeIn(name string, a Act, made *Credential) error {
	err := r.update(func(txn *badger.Txn) error {
		_, err := txn.Get(key(takenTable, name))
		if err == nil {
			return nil
		}
		if !errors.Is(err, badger.ErrKeyNotFound) {
			return err
		}
		if made != nil {
			err := create(txn, credentialKey(made.Serial), SubjectCredential, made.Serial, *made)
			if err != nil && !errors.Is(err, ErrExists) {
				return err
			}
		}
		if err := appendAct(txn, a); err != nil {
			return err
		}
		return put(txn, key(takenTable, name), a.Time)
	})
	if err != nil {
		return fmt.Errorf("take in the act %s: %w", name, err)
	}
	return nil
}

// ForgetTaken forgets that an act was taken in, once it cannot come again.
func (r *Registry) ForgetTaken(name string) error {
	if err := r.update(func(txn *badger.Txn) error { return txn.Delete(key(takenTable, name)) }); err != nil {
		return fmt.Errorf("forget the act %s: %w", name, err)
	}
	return nil
}

// AdminLog calls f with the records after the one with that number, oldest first, until f returns an error, which it
// returns. tenant says whose; empty for all.
func (r *Registry) AdminLog(tenant string, after int64, f func(AdminRecord) error) error {
	return r.db.View(func(txn *badger.Txn) error {
		options := badger.DefaultIteratorOptions
		options.Prefix = key(adminTable)
		it := txn.NewIterator(options)
		defer it.Close()
		for it.Seek(adminKey(max(after, 0) + 1)); it.Valid(); it.Next() {
			record, err := decode[AdminRecord](it.Item())
			if err != nil {
				return fmt.Errorf("read record %d of the admin log: %w", binary.BigEndian.Uint64(it.Item().Key()[2:]), err)
			}
			if tenant != "" && record.Tenant != tenant {
				continue
			}
			if err := f(record); err != nil {
				return err
			}
		}
		return nil
	})
}

// VerifyAdminLog checks the chain from its first record to its end, and returns how many records there are. The error
// names the first record that is not as it was written, or that is missing.
func (r *Registry) VerifyAdminLog() (count int64, err error) {
	hash := firstPrevious
	err = r.AdminLog("", 0, func(record AdminRecord) error {
		switch {
		case record.Number != count+1:
			return fmt.Errorf("record %d of the admin log is missing: %d comes after %d", count+1, record.Number, count)
		case record.Previous != hash:
			return fmt.Errorf("record %d of the admin log was changed, or the one before it: it names the hash %s, and that is %s", record.Number, record.Previous, hash)
		}
		count = record.Number
		hash, err = record.Hash()
		return err
	})
	if err != nil {
		return count, err
	}
	err = r.db.View(func(txn *badger.Txn) error {
		head, err := readAdminHead(txn)
		if err == nil && (head.Number != count || head.Hash != hash) {
			err = fmt.Errorf("the admin log ends with record %d, %s, not with %d, %s: records at its end were changed or taken out", count, hash, head.Number, head.Hash)
		}
		return err
	})
	return count, err
}

// firstPrevious is the hash that the first record has of the one before.
const firstPrevious = "0000000000000000000000000000000000000000000000000000000000000000"

// appendAct makes a record at the end of the chain.
func appendAct(txn *badger.Txn, a Act) error {
	head, err := readAdminHead(txn)
	if err != nil {
		return err
	}
	a.Time = a.Time.UTC().Truncate(time.Microsecond)
	record := AdminRecord{head.Number + 1, a, head.Hash}
	hash, err := record.Hash()
	if err != nil {
		return err
	}
	if err := put(txn, adminKey(record.Number), record); err != nil {
		return err
	}
	return put(txn, key(adminHeadTable), adminHead{record.Number, hash})
}

func readAdminHead(txn *badger.Txn) (adminHead, error) {
	head, err := get[adminHead](txn, key(adminHeadTable), SubjectAdminLog, "")
	if errors.Is(err, ErrNotFound) {
		return adminHead{Hash: firstPrevious}, nil
	}
	return head, err
}

// dropTable deletes all records of a table.
func dropTable(txn *badger.Txn, table byte) error {
	options := badger.DefaultIteratorOptions
	options.Prefix, options.PrefetchValues = key(table), false
	it := txn.NewIterator(options)
	var keys [][]byte
	for it.Rewind(); it.Valid(); it.Next() {
		keys = append(keys, it.Item().KeyCopy(nil))
	}
	it.Close()
	for _, k := range keys {
		if err := txn.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

func adminKey(number int64) []byte {
	return binary.BigEndian.AppendUint64(key(adminTable), uint64(number))
}

func actKey(name uint64) []byte { return binary.BigEndian.AppendUint64(key(actTable), name) }
