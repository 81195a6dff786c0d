package door_test

import (
	"crypto/sha256"
	"maps"
	"slices"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// sealPaths seals a manifest of files that no source has, and returns their paths in order.
func (s *site) sealPaths(number int64, paths map[string]bool) []string {
	s.t.Helper()
	w, err := s.Sequencer().Ledger().StageManifest(number)
	s.Must(err)
	sorted := slices.Sorted(maps.Keys(paths))
	for _, path := range sorted {
		line, err := ledger.FormatLine(backup.Item{
			Path: path, Kind: backup.KindGSM, RecordedAt: noon, Digest: backup.Digest{SHA256: sha256.Sum256([]byte(path)), SizeBytes: 33},
		})
		s.Must(err)
		s.Must(w.Add(line))
	}
	date, err := backup.ParseDate(night)
	s.Must(err)
	m := sequencer.Manifest{Number: number, Night: date, Deadline: noon.Add(15 * 24 * time.Hour)}
	m.Root, m.Items, m.Bytes, err = w.Commit()
	s.Must(err)
	s.Must(s.Sequencer().Seal(s.t.Context(), m, noon))
	return sorted
}
