package registry

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/dgraph-io/badger/v4"
)

// version is raised whenever an older program would take what this one writes for something else, or would not see what
// it must see:
//
//	1  the first; it had no record of its version
//	2  revocations, recovery records and alarms, ended tenants and destinations
//	3  credentials of platforms
const version = 3

// ErrVersion says that a newer version of the program wrote the registry.
var ErrVersion = errors.New("a newer version of wolkvox-server wrote it")

// upgrade checks the version of what was opened, and writes that of this program. No record of version 1 has changed.
func (r *Registry) upgrade() error {
	return r.db.Update(func(txn *badger.Txn) error {
		written := 1
		item, err := txn.Get(key(versionTable))
		switch {
		case errors.Is(err, badger.ErrKeyNotFound):
		case err != nil:
			return fmt.Errorf("read the version: %w", err)
		default:
			text, err := item.ValueCopy(nil)
			if err != nil {
				return fmt.Errorf("read the version: %w", err)
			}
			if written, err = strconv.Atoi(string(text)); err != nil || written < 1 {
				return fmt.Errorf("read the version: %q is none", text)
			}
		}
		if written > version {
			return fmt.Errorf("version %d, this program knows up to %d: %w", written, version, ErrVersion)
		}
		if err == nil && written == version {
			return nil
		}
		return txn.Set(key(versionTable), strconv.AppendInt(nil, version, 10))
	})
}
