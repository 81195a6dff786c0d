package wire

import (
	"crypto/sha256"
	"fmt"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
)

// Item returns an item with its address and state as it travels to people.
func Item(manifest, index int64, item backup.Item, state backup.State) *backupv1.Item {
	m := &backupv1.Item{
		Manifest:     manifest,
		Index:        index,
		Path:         item.Path,
		Sha256:       item.Digest.SHA256[:],
		SizeBytes:    item.Digest.SizeBytes,
		Kind:         MediaKind(item.Kind),
		RecordedTime: Time(item.RecordedAt),
		Interaction:  item.Interaction,
		State:        State(state),
	}
	if item.SourcePath != "" {
		m.SourcePath = []byte(item.SourcePath)
	}
	return m
}

// Line returns the item of a manifest's line with its address and state. Of a line that was erased only these remain.
func Line(manifest, index int64, line ledger.Line, state backup.State) *backupv1.Item {
	if line.Forgotten {
		return &backupv1.Item{Manifest: manifest, Index: index, State: State(state)}
	}
	return Item(manifest, index, line.Item, state)
}

// ParseItem is the inverse of [Item]. A wrong length of the digest, a negative number, a path that is not portable and
// unknown kinds and states are errors. An item whose line was erased has no path and is the zero [backup.Item].
func ParseItem(m *backupv1.Item) (item backup.Item, state backup.State, err error) {
	state, err = ParseState(m.GetState())
	if err != nil {
		return backup.Item{}, 0, err
	}
	if m.GetManifest() < 1 || m.GetIndex() < 0 {
		return backup.Item{}, 0, fmt.Errorf("no item has the address %d of manifest %d", m.GetIndex(), m.GetManifest())
	}
	if m.GetPath() == "" {
		return backup.Item{}, state, nil
	}
	if err := backup.CheckPath(m.GetPath()); err != nil {
		return backup.Item{}, 0, err
	}
	item = backup.Item{Path: m.GetPath(), SourcePath: string(m.GetSourcePath()), Interaction: m.GetInteraction()}
	if item.Digest, err = ParseDigest(m.GetSha256(), m.GetSizeBytes()); err != nil {
		return backup.Item{}, 0, err
	}
	if item.Kind, err = ParseMediaKind(m.GetKind()); err != nil {
		return backup.Item{}, 0, err
	}
	if item.RecordedAt, err = ParseTime(m.GetRecordedTime()); err != nil {
		return backup.Item{}, 0, err
	}
	return item, state, nil
}

// ParseDigest returns the digest of a SHA-256 and a size in bytes that a peer sent.
func ParseDigest(sum []byte, sizeBytes int64) (backup.Digest, error) {
	if len(sum) != sha256.Size {
		return backup.Digest{}, fmt.Errorf("a SHA-256 has %d bytes instead of %d", len(sum), sha256.Size)
	}
	if sizeBytes < 0 || sizeBytes > backup.MaxInt {
		return backup.Digest{}, fmt.Errorf("%d is no size of a file", sizeBytes)
	}
	return backup.Digest{SHA256: [sha256.Size]byte(sum), SizeBytes: sizeBytes}, nil
}
