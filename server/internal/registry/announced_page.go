package registry

import (
	"errors"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// errEnough ends an iteration.
var errEnough = errors.New("enough")

// InteractionsAfter returns the interactions of a night behind one, from the first where it is empty, in the order of
// [Announcements.EachInteraction] and at most limit of them; there are no more where it returns fewer. Marks are those of one log.
func (a *Announcements) InteractionsAfter(tenant string, date backup.Date, origin ledger.Origin, after string, limit int) (page []Interaction, err error) {
	err = a.registry.db.View(func(txn *badger.Txn) error {
		prefix := announcedKey(tenant, announcedNightPart, date.String(), "")
		err := eachAfter(txn, prefix, after, func(id string, _ []byte) error {
			one, err := interactionOf(txn, tenant, date, origin, id)
			if page = append(page, one); err == nil && len(page) == limit {
				return errEnough
			}
			return err
		})
		if errors.Is(err, errEnough) {
			return nil
		}
		return err
	})
	return page, err
}

// interactionOf returns what was announced of an interaction in a night, and its mark.
func interactionOf(txn *badger.Txn, tenant string, date backup.Date, origin ledger.Origin, id string) (Interaction, error) {
	interaction := Interaction{ID: id}
	all, err := announcedOf(txn, tenant, id)
	if err != nil {
		return Interaction{}, err
	}
	for _, one := range all {
		if one.Night == date {
			interaction.Announced = append(interaction.Announced, one)
		}
	}
	mark, found, err := markOfInteraction(txn, tenant, date, origin, id)
	if found {
		interaction.Mark = &mark
	}
	return interaction, err
}
