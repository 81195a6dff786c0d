// Package proof finds a recording in a ledger and makes the proof of it (proto/README.md, section 1.7). Both programs use
// it. It reads the ledger and changes nothing; checking proofs is package ledger's affair, and whoever trusts neither side
// uses the stand-alone verifier.
package proof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// Errors that callers act on.
var (
	ErrNoRecording = errors.New("no manifest has it")
	// ErrNotProvable says that there is no proof of a recording: no agreed head has its sealing yet, or its line was erased.
	ErrNotProvable = errors.New("it cannot be proved")
)

// MaxFound is how many recordings [Find] returns at most.
const MaxFound = 100

// Lines yields the lines of a sealed manifest from an index on: whole lines with their LF, in pieces of any size. It ends
// after an error. [store.Ledger.RawLines] is one.
type Lines func(manifest, from int64) iter.Seq2[[]byte, error]

// Wanted names recordings: by Path, by Interaction, or, where Manifest is not 0, by place.
type Wanted struct {
	// Path is a recording's path at the destination; else that at the source; else its name alone, the last part of its path.
	Path            string
	Interaction     string
	Manifest, Index int64
}

// Found is a recording of a ledger.
type Found struct {
	Manifest, Index int64
	Line            ledger.Line
	State           backup.State // as the ledger has it now
}

// How well a recording fits: the best fit alone counts.
const (
	fitsNot = iota
	fitsByName
	fitsAtSource
	fits
)

// Find returns the recordings that are wanted, by place: [ErrNoRecording] where there is none. Several can have been at
// the same path of the source, be called by the same name, or be of the same interaction. It reads all manifests, a piece at
// a time.
func Find(ctx context.Context, log *store.Ledger, lines Lines, w Wanted) (found []Found, err error) {
	if w.Manifest != 0 {
		found, err = at(log, lines, w.Manifest, w.Index)
	} else {
		found, err = search(ctx, log, lines, w)
	}
	for i := 0; i < len(found) && err == nil; i++ {
		found[i].State, err = log.StateOf(found[i].Manifest, found[i].Index)
	}
	if err != nil {
		return nil, fmt.Errorf("find %s in %s: %w", w, log.Origin(), err)
	}
	return found, nil
}

// manifest returns what the log says of a manifest now.
func manifest(log *store.Ledger, number int64) (m ledger.Manifest, ok bool) {
	log.View(func(l *ledger.Log) { m, ok = l.Manifest(number) })
	return m, ok
}

func at(log *store.Ledger, lines Lines, number, index int64) ([]Found, error) {
	m, ok := manifest(log, number)
	if !ok || index < 0 || index >= m.Items {
		return nil, ErrNoRecording
	}
	for piece, err := range lines(number, index) {
		if err != nil {
			return nil, err
		}
		text, _, _ := bytes.Cut(piece, []byte{'\n'})
		line, err := ledger.ParseManifestLine(text)
		if err != nil {
			return nil, fmt.Errorf("%d/%d: %w", number, index, err)
		}
		return []Found{{Manifest: number, Index: index, Line: line}}, nil
	}
	return nil, fmt.Errorf("the lines of manifest %d end before %d", number, index)
}

func search(ctx context.Context, log *store.Ledger, lines Lines, w Wanted) (found []Found, err error) {
	var manifests []ledger.Manifest
	log.View(func(l *ledger.Log) { manifests = slices.Clone(l.Manifests) })
	best := fitsByName
	for _, m := range manifests {
		err := w.eachIn(ctx, m, lines, func(f Found, fit int) {
			if fit > best {
				best, found = fit, nil
			}
			if fit == best && len(found) < MaxFound {
				found = append(found, f)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	if len(found) == 0 {
		return nil, ErrNoRecording
	}
	return found, nil
}

// eachIn calls each for the recordings of a manifest that fit. Pieces in which the wanted text stands nowhere are only counted.
func (w Wanted) eachIn(ctx context.Context, m ledger.Manifest, lines Lines, each func(f Found, fit int)) error {
	if m.Items == 0 {
		return nil
	}
	text := w.text()
	index := int64(0)
	for piece, err := range lines(m.Number, 0) {
		if err := errors.Join(err, context.Cause(ctx)); err != nil {
			return err
		}
		if !bytes.Contains(piece, text) {
			index += int64(bytes.Count(piece, []byte{'\n'}))
			continue
		}
		for raw := range bytes.Lines(piece) {
			line, err := ledger.ParseManifestLine(bytes.TrimSuffix(raw, []byte{'\n'}))
			if err != nil {
				return fmt.Errorf("%d/%d: %w", m.Number, index, err)
			}
			if fit := w.fit(line); fit != fitsNot {
				line.Text = bytes.Clone(line.Text)
				each(Found{Manifest: m.Number, Index: index, Line: line}, fit)
			}
			index++
		}
	}
	return nil
}

// text is what stands in the line of every recording that fits.
func (w Wanted) text() []byte {
	value := w.Path
	if w.Interaction != "" {
		value = w.Interaction
	}
	if value == "-" { // escaped where it stands alone, and otherwise not
		return nil
	}
	return []byte(ledger.Escaped(value))
}

func (w Wanted) fit(line ledger.Line) int {
	it := line.Item
	switch {
	case line.Forgotten:
		return fitsNot
	case w.Interaction != "":
		if it.Interaction == w.Interaction {
			return fits
		}
	case it.Path == w.Path:
		return fits
	case it.SourcePath == w.Path:
		return fitsAtSource
	case !strings.Contains(w.Path, "/") && path.Base(it.Path) == w.Path:
		return fitsByName
	}
	return fitsNot
}

// String says for a person what is wanted.
func (w Wanted) String() string {
	switch {
	case w.Manifest != 0:
		return fmt.Sprintf("%d/%d", w.Manifest, w.Index)
	case w.Interaction != "":
		return fmt.Sprintf("a recording of the interaction %q", w.Interaction)
	}
	return fmt.Sprintf("%q", w.Path)
}
