package registry

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// The parts of the table of announcements, which stand behind the tenant in its keys.
const (
	announcedPart      = "a" // interaction: what was announced of it
	announcedPathPart  = "p" // source path: the interaction
	announcedNightPart = "n" // night, interaction: nothing
	nightCountPart     = "g" // night: an AnnouncedNight
	countedPart        = "c" // night, log id in hexadecimal, interaction: a Mark
	nightDonePart      = "d" // night, log id in hexadecimal: the generation of which all interactions were counted
)

func announcedKey(tenant string, parts ...string) []byte {
	return key(announcedTable, append([]string{tenant}, parts...)...)
}

// Nights returns the nights for which a tenant has announcements, or had some, in their order.
func (a *Announcements) Nights(tenant string) (nights []AnnouncedNight, err error) {
	err = a.registry.db.View(func(txn *badger.Txn) error {
		return eachOf(txn, announcedKey(tenant, nightCountPart, ""), func(rest string, value []byte) error {
			date, err := backup.ParseDate(rest)
			if err != nil {
				return err
			}
			night, err := parseAnnouncedNight(date, value)
			nights = append(nights, night)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read the announced nights of %s: %w", tenant, err)
	}
	return nights, nil
}

// Night returns one of [Announcements.Nights]; it has no announcements where nothing was announced for that date.
func (a *Announcements) Night(tenant string, date backup.Date) (night AnnouncedNight, err error) {
	err = a.registry.db.View(func(txn *badger.Txn) error {
		night, err = announcedNight(txn, tenant, date)
		return err
	})
	return night, err
}

// eachOf calls each with the records whose keys begin with prefix, in the order of the rest of their keys. The value is valid
// during the call only.
func eachOf(txn *badger.Txn, prefix []byte, each func(rest string, value []byte) error) error {
	return eachAfter(txn, prefix, "", each)
}

// eachAfter is eachOf for those alone of which the rest is behind after.
func eachAfter(txn *badger.Txn, prefix []byte, after string, each func(rest string, value []byte) error) error {
	options := badger.DefaultIteratorOptions
	options.Prefix = prefix
	it := txn.NewIterator(options)
	defer it.Close()
	start := append(prefix[:len(prefix):len(prefix)], after...)
	if after != "" {
		start = append(start, 0)
	}
	for it.Seek(start); it.Valid(); it.Next() {
		rest := string(it.Item().Key()[len(prefix):])
		if err := it.Item().Value(func(value []byte) error { return each(rest, value) }); err != nil {
			return err
		}
	}
	return nil
}

// Recording returns what was announced of a file, and whether anything was.
func (a *Announcements) Recording(tenant, sourcePath string) (announced Announcement, found bool, err error) {
	err = a.registry.db.View(func(txn *badger.Txn) error {
		owner, err := pathOwner(txn, tenant, sourcePath)
		if err != nil || owner == "" {
			return err
		}
		all, err := announcedOf(txn, tenant, owner)
		if i := indexOf(all, sourcePath); i >= 0 {
			announced, found = all[i], true
		}
		return err
	})
	return announced, found, err
}

// pathOwner returns the interaction whose recording lies there, and "" where nothing was announced of the path.
func pathOwner(txn *badger.Txn, tenant, sourcePath string) (interaction string, err error) {
	value, err := valueOf(txn, announcedKey(tenant, announcedPathPart, sourcePath))
	if err != nil {
		return "", fmt.Errorf("read what was announced of %q: %w", sourcePath, err)
	}
	return string(value), nil
}

// announcedOf returns what was announced of an interaction.
func announcedOf(txn *badger.Txn, tenant, interaction string) (announced []Announcement, err error) {
	value, err := valueOf(txn, announcedKey(tenant, announcedPart, interaction))
	if err == nil && value != nil {
		announced, err = parseAnnouncements(interaction, value)
	}
	if err != nil {
		return nil, fmt.Errorf("read what was announced of the interaction %q: %w", interaction, err)
	}
	return announced, nil
}

// announcedNight returns what is kept of a night, which has no announcements where nothing is.
func announcedNight(txn *badger.Txn, tenant string, date backup.Date) (AnnouncedNight, error) {
	value, err := valueOf(txn, announcedKey(tenant, nightCountPart, date.String()))
	if err == nil && value == nil {
		return AnnouncedNight{Night: date}, nil
	}
	night := AnnouncedNight{}
	if err == nil {
		night, err = parseAnnouncedNight(date, value)
	}
	if err != nil {
		return AnnouncedNight{}, fmt.Errorf("read the announced night %s of %s: %w", date, tenant, err)
	}
	return night, nil
}

// valueOf returns the value of a key, nil where there is none.
func valueOf(txn *badger.Txn, k []byte) ([]byte, error) {
	item, err := txn.Get(k)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}

// Interaction is an interaction in one night, and what was announced of it there.
type Interaction struct {
	ID        string
	Announced []Announcement // either one that says that there is no recording, or one or more recordings
	Mark      *Mark          // where it was counted in the log that was asked for; nil where it was not
}

// EachInteraction calls each with the interactions of a night, as they are at one instant, in their order. Marks are those of
// one log. The error is that of each, or of reading.
func (a *Announcements) EachInteraction(tenant string, date backup.Date, origin ledger.Origin, each func(Interaction) error) error {
	return a.registry.db.View(func(txn *badger.Txn) error {
		return eachOf(txn, announcedKey(tenant, announcedNightPart, date.String(), ""), func(id string, _ []byte) error {
			interaction, err := interactionOf(txn, tenant, date, origin, id)
			if err != nil {
				return err
			}
			return each(interaction)
		})
	})
}

func markOfInteraction(txn *badger.Txn, tenant string, date backup.Date, origin ledger.Origin, interaction string) (m Mark, found bool, err error) {
	value, err := valueOf(txn, announcedKey(tenant, countedPart, date.String(), origin.LogID(), interaction))
	if err == nil && value != nil {
		m, err = parseMark(value)
	}
	if err != nil {
		return Mark{}, false, fmt.Errorf("read where the interaction %q was counted: %w", interaction, err)
	}
	return m, value != nil, nil
}

// Counted is an interaction that was counted.
type Counted struct {
	ID     string
	Reason string // see [Mark]
}

// PutCounted keeps that interactions of a night were counted in a manifest of a log; of m the reason is not used. It takes as many
// transactions as it needs, like [Catalog.PutBatch].
func (a *Announcements) PutCounted(tenant string, date backup.Date, origin ledger.Origin, interactions []Counted, m Mark) error {
	return a.write(func(batch *badger.WriteBatch) error {
		for _, one := range interactions {
			m.Reason = one.Reason
			if err := batch.Set(announcedKey(tenant, countedPart, date.String(), origin.LogID(), one.ID), appendMark(nil, m)); err != nil {
				return err
			}
		}
		return nil
	}, "keep what was counted in manifest %d of %s", m.Manifest, origin)
}

// EachMark calls each with the marks of a night in a log.
func (a *Announcements) EachMark(tenant string, date backup.Date, origin ledger.Origin, each func(Mark)) error {
	err := a.registry.db.View(func(txn *badger.Txn) error {
		return eachOf(txn, announcedKey(tenant, countedPart, date.String(), origin.LogID(), ""), func(_ string, value []byte) error {
			mark, err := parseMark(value)
			if err == nil {
				each(mark)
			}
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("read what was counted of %s in %s: %w", date, origin, err)
	}
	return nil
}

// write writes in a batch; what says what, for an error.
func (a *Announcements) write(f func(*badger.WriteBatch) error, what string, subjects ...any) error {
	if err := a.registry.haveRoom(); err != nil {
		return err
	}
	batch := a.registry.db.NewWriteBatch()
	defer batch.Cancel()
	err := f(batch)
	if err == nil {
		err = batch.Flush()
	}
	if err != nil {
		return fmt.Errorf(what+": %w", append(subjects, err)...)
	}
	return nil
}

// DeleteCounted takes back what [Announcements.PutCounted] kept for a manifest that was never sealed.
func (a *Announcements) DeleteCounted(tenant string, origin ledger.Origin, manifest int64) error {
	return a.write(func(batch *badger.WriteBatch) error {
		return a.registry.db.View(func(txn *badger.Txn) error {
			prefix := announcedKey(tenant, countedPart, "")
			return eachOf(txn, prefix, func(rest string, value []byte) error {
				if !isOfLog(rest, origin) {
					return nil
				}
				mark, err := parseMark(value)
				if err != nil || mark.Manifest != manifest {
					return err
				}
				return batch.Delete(append(prefix[:len(prefix):len(prefix)], rest...))
			})
		})
	}, "take back what was counted in manifest %d of %s", manifest, origin)
}

// isOfLog reports whether a key behind its part, which begins with a night, is one of a log.
func isOfLog(rest string, origin ledger.Origin) bool {
	const night = len("2006-01-02\x00")
	return len(rest) >= night+hex.EncodedLen(16) && rest[night:night+hex.EncodedLen(16)] == origin.LogID()
}

// Done returns the generation of a night of which all interactions were counted in a log, 0 where there is none.
func (a *Announcements) Done(tenant string, date backup.Date, origin ledger.Origin) (generation int64, err error) {
	err = a.registry.db.View(func(txn *badger.Txn) error {
		value, err := valueOf(txn, nightDoneKey(tenant, date, origin))
		if err != nil || value == nil {
			return err
		}
		night, err := parseAnnouncedNight(date, value)
		generation = night.Generation
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read what was counted of %s in %s: %w", date, origin, err)
	}
	return generation, nil
}

// SetDone keeps the generation of a night of which all interactions were counted in a log.
func (a *Announcements) SetDone(tenant string, origin ledger.Origin, night AnnouncedNight) error {
	return a.registry.update(func(txn *badger.Txn) error {
		return txn.Set(nightDoneKey(tenant, night.Night, origin), appendAnnouncedNight(nil, night))
	})
}

func nightDoneKey(tenant string, date backup.Date, origin ledger.Origin) []byte {
	return announcedKey(tenant, nightDonePart, date.String(), origin.LogID())
}

// ForgetDone has all nights of a log looked at again, because manifests may have gone from it.
func (a *Announcements) ForgetDone(tenant string, origin ledger.Origin) error {
	return a.write(func(batch *badger.WriteBatch) error {
		return a.registry.db.View(func(txn *badger.Txn) error {
			prefix := announcedKey(tenant, nightDonePart, "")
			return eachOf(txn, prefix, func(rest string, _ []byte) error {
				if !isOfLog(rest, origin) {
					return nil
				}
				return batch.Delete(append(prefix[:len(prefix):len(prefix)], rest...))
			})
		})
	}, "count the nights of %s again", origin)
}

// Prune removes all that is kept of the nights of a tenant before a date.
func (a *Announcements) Prune(tenant string, before backup.Date) error {
	nights, err := a.Nights(tenant)
	if err != nil {
		return err
	}
	for _, night := range nights {
		if night.Night.Compare(before) >= 0 {
			break
		}
		err := a.write(func(batch *badger.WriteBatch) error {
			return a.registry.db.View(func(txn *badger.Txn) error { return pruneNight(txn, batch, tenant, night.Night) })
		}, "forget what was announced for %s of %s", night.Night, tenant)
		if err != nil {
			return err
		}
	}
	return nil
}

func pruneNight(txn *badger.Txn, batch *badger.WriteBatch, tenant string, date backup.Date) error {
	err := eachOf(txn, announcedKey(tenant, announcedNightPart, date.String(), ""), func(id string, _ []byte) error {
		all, err := announcedOf(txn, tenant, id)
		if err != nil {
			return err
		}
		var others []Announcement
		for _, one := range all {
			if one.Night != date {
				others = append(others, one)
			} else if one.SourcePath != "" {
				if err := batch.Delete(announcedKey(tenant, announcedPathPart, one.SourcePath)); err != nil {
					return err
				}
			}
		}
		if len(others) > 0 {
			return batch.Set(announcedKey(tenant, announcedPart, id), appendAnnouncements(nil, others))
		}
		return batch.Delete(announcedKey(tenant, announcedPart, id))
	})
	// The count goes last: until then the night is pruned again.
	for _, part := range []string{announcedNightPart, countedPart, nightDonePart, nightCountPart} {
		prefix := announcedKey(tenant, part, date.String())
		if err == nil {
			err = eachOf(txn, prefix, func(rest string, _ []byte) error {
				return batch.Delete(append(prefix[:len(prefix):len(prefix)], rest...))
			})
		}
	}
	return err
}
