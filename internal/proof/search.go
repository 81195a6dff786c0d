package proof

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// Query says which recordings are looked for: those that fit all that is set.
type Query struct {
	Name        string // a part of the path at the destination or at the source
	Interaction string // exactly
	Night       backup.Date
}

// Search yields the recordings of a ledger that fit, by place, and never more of them at once than a piece of lines holds.
// It ends after an error. Recordings whose lines were erased fit nothing.
func Search(ctx context.Context, log *store.Ledger, lines Lines, q Query) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		var manifests []ledger.Manifest
		log.View(func(l *ledger.Log) { manifests = append(manifests, l.Manifests...) })
		for _, m := range manifests {
			if m.Items == 0 || !q.Night.IsZero() && m.Night != q.Night {
				continue
			}
			more, err := q.in(ctx, log, m, lines, yield)
			if err != nil {
				yield(Found{}, fmt.Errorf("search manifest %d of %s: %w", m.Number, log.Origin(), err))
			}
			if err != nil || !more {
				return
			}
		}
	}
}

// in yields what fits of a manifest. It parses only pieces in which all that is looked for stands somewhere.
func (q Query) in(ctx context.Context, log *store.Ledger, m ledger.Manifest, lines Lines, yield func(Found, error) bool) (more bool, err error) {
	var texts [][]byte
	for _, text := range []string{q.Name, q.Interaction} {
		if text != "" && text != "-" { // escaped where it stands alone, and otherwise not
			texts = append(texts, []byte(ledger.Escaped(text)))
		}
	}
	sets, err := log.States(m.Number)
	if err != nil {
		return false, err
	}
	index := int64(0)
	for piece, err := range lines(m.Number, 0) {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return false, err
		}
		if !containsAll(piece, texts) {
			index += int64(bytes.Count(piece, []byte{'\n'}))
			continue
		}
		for raw := range bytes.Lines(piece) {
			found := Found{Manifest: m.Number, Index: index}
			index++
			if !containsAll(raw, texts) {
				continue
			}
			if found.Line, err = ledger.ParseManifestLine(bytes.TrimSuffix(raw, []byte{'\n'})); err != nil {
				return false, fmt.Errorf("%d/%d: %w", m.Number, found.Index, err)
			}
			if !q.fits(found.Line) {
				continue
			}
			found.State, _ = sets.State(found.Index)
			found.Line.Text = bytes.Clone(found.Line.Text)
			if !yield(found, nil) {
				return false, nil
			}
		}
	}
	return true, nil
}

func containsAll(text []byte, parts [][]byte) bool {
	for _, part := range parts {
		if !bytes.Contains(text, part) {
			return false
		}
	}
	return true
}

func (q Query) fits(line ledger.Line) bool {
	it := line.Item
	return !line.Forgotten && (q.Interaction == "" || it.Interaction == q.Interaction) &&
		(strings.Contains(it.Path, q.Name) || strings.Contains(it.SourcePath, q.Name))
}
