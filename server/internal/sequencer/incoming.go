package sequencer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

const (
	// maxAheadManifests is how many manifests may come before the entries that seal them.
	maxAheadManifests = 1024
	// maxAheadBytes is how many bytes of lines may come before the entries that seal them.
	maxAheadBytes = 2 << 30
	// appendedAtOnce is how many entries are appended in one transaction.
	appendedAtOnce = 1000
)

// incoming is the tail of a log on its way in: checked as it comes, and kept in files of its own until all of it is there.
type incoming struct {
	dir     string
	room    func() error
	first   int64
	head    ledger.Head
	base    ledger.Frontier // of the log's first entries, where the tail begins
	fold    *ledger.Fold    // of these and the entries that came
	alarms  []ledger.Alarm  // of the entries that came
	entries *os.File
	writer  *bufio.Writer

	open       *incomingManifest           // whose lines are coming
	ahead      map[int64]*incomingManifest // whole, and not sealed yet
	aheadBytes int64
	erased     map[int64]*erasure // of manifests with erased lines
}

// incomingManifest is a manifest whose sealed is still to come.
type incomingManifest struct {
	number    int64
	checker   *ledger.ManifestChecker
	file      *os.File
	writer    *bufio.Writer
	bytes     int64
	forgotten []ledger.Range
}

// erasure is which lines of a manifest came erased, and which of them an entry orders to be.
type erasure struct{ lines, ordered ledger.Set }

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrBadOffer, fmt.Errorf(format, args...))
}

// takeIn begins with the log's own first entries.
func (s *Sequencer) takeIn(first int64, head ledger.Head) (in *incoming, err error) {
	in = &incoming{
		room: s.haveRoom, first: first, head: head, fold: ledger.NewFold(),
		ahead: map[int64]*incomingManifest{}, erased: map[int64]*erasure{},
	}
	for leaf, err := range s.log.Entries(0, first) {
		if err != nil {
			return nil, err
		}
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			return nil, fmt.Errorf("read entry %d of %s: %w", in.fold.Size, s.Origin(), err)
		}
		in.fold.Apply(leaf, e)
	}
	in.base = in.fold.Tree.Clone()
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("take in an offer: %w", err)
	}
	if in.dir, err = os.MkdirTemp(s.dir, offerPrefix); err != nil {
		return nil, fmt.Errorf("take in an offer: %w", err)
	}
	if in.entries, err = os.Create(filepath.Join(in.dir, "entries")); err != nil {
		in.remove()
		return nil, fmt.Errorf("take in an offer: %w", err)
	}
	in.writer = bufio.NewWriter(in.entries)
	return in, nil
}

// haveRoom returns [store.ErrNoRoom] while nothing of an offer may be written to the volume.
func (s *Sequencer) haveRoom() error {
	if err := s.room(); err != nil {
		return fmt.Errorf("take in an offer: %w: %w", store.ErrNoRoom, err)
	}
	return nil
}

// remove closes and removes the files.
func (in *incoming) remove() {
	if in.open != nil {
		in.open.file.Close()
	}
	if in.entries != nil {
		in.entries.Close()
	}
	os.RemoveAll(in.dir)
}

func (in *incoming) path(manifest int64) string {
	return filepath.Join(in.dir, fmt.Sprintf("manifest-%d", manifest))
}

func (in *incoming) addLines(manifest, start int64, lines []byte, last bool) error {
	if err := in.room(); err != nil {
		return err
	}
	next := int64(len(in.fold.Manifests)+len(in.ahead)) + 1
	if manifest != next || len(in.ahead) >= maxAheadManifests {
		return bad("lines of manifest %d come where those of manifest %d are next", manifest, next)
	}
	if in.open == nil {
		file, err := os.Create(in.path(manifest))
		if err != nil {
			return fmt.Errorf("take in an offer: %w", err)
		}
		in.open = &incomingManifest{number: manifest, checker: ledger.NewManifestChecker(), file: file, writer: bufio.NewWriter(file)}
	}
	m := in.open
	if in.aheadBytes += int64(len(lines)); in.aheadBytes > maxAheadBytes {
		return bad("more than %d bytes of lines come before the entries that seal them", int64(maxAheadBytes))
	}
	m.bytes += int64(len(lines))
	if err := m.add(start, lines); err != nil || !last {
		return err
	}
	if err := errors.Join(m.writer.Flush(), m.file.Close()); err != nil {
		return fmt.Errorf("take in an offer: %w", err)
	}
	in.open, in.ahead[manifest] = nil, m
	return nil
}

func (m *incomingManifest) add(start int64, lines []byte) error {
	if start != m.checker.Items() {
		return bad("lines of manifest %d come from %d on where line %d is next", m.number, start, m.checker.Items())
	}
	for text := range bytes.Lines(lines) {
		text, whole := bytes.CutSuffix(text, []byte{'\n'})
		if !whole {
			return bad("a line of manifest %d is cut", m.number)
		}
		at := m.checker.Items()
		line, err := m.checker.Add(text)
		if err != nil {
			return bad("manifest %d: %w", m.number, err)
		}
		if line.Forgotten {
			m.forgotten = append(m.forgotten, ledger.Range{First: at, Last: at})
		}
	}
	if _, err := m.writer.Write(lines); err != nil {
		return fmt.Errorf("take in an offer: %w", err)
	}
	return nil
}

func (in *incoming) addEntries(after int64, leaves [][]byte) error {
	if err := in.room(); err != nil {
		return err
	}
	if after != in.fold.Size {
		return bad("entries come after %d where %d are known", after, in.fold.Size)
	}
	for _, leaf := range leaves {
		if in.fold.Size >= in.head.Size {
			return bad("it has more entries than the %d of its head", in.head.Size)
		}
		e, err := in.fold.Check(leaf)
		if err != nil {
			return bad("entry %d: %w", in.fold.Size, err)
		}
		if err := in.unstage(e.Body); err != nil {
			return err
		}
		if err := ledger.AppendExported(in.writer, in.fold.Size-in.first, leaf); err != nil {
			return fmt.Errorf("take in an offer: %w", err)
		}
		in.alarms = append(in.alarms, in.fold.Apply(leaf, e)...)
	}
	return nil
}

// unstage sees to it that a manifest is sealed whose lines came before, and that only such lines are erased as were ordered
// to be.
func (in *incoming) unstage(body ledger.Body) error {
	switch b := body.(type) {
	case ledger.Forgotten:
		e := in.erasure(b.Manifest)
		e.ordered = e.ordered.Union(b.Indexes)
	case ledger.Sealed:
		m := in.ahead[b.Manifest]
		if m == nil && b.Items == 0 {
			return nil
		}
		if m == nil {
			return bad("the lines of manifest %d did not come before its sealed", b.Manifest)
		}
		if err := m.checker.Check(ledger.Manifest{Number: b.Manifest, Root: b.Root, Items: b.Items, Bytes: b.Bytes}); err != nil {
			return bad("%w", err)
		}
		delete(in.ahead, b.Manifest)
		in.aheadBytes -= m.bytes
		if len(m.forgotten) > 0 {
			in.erasure(b.Manifest).lines = ledger.NewSet(m.forgotten...)
		}
	}
	return nil
}

func (in *incoming) erasure(manifest int64) *erasure {
	if in.erased[manifest] == nil {
		in.erased[manifest] = &erasure{}
	}
	return in.erased[manifest]
}

// complete returns nil where all entries up to the head came, and the server can go on from there with its key.
func (in *incoming) complete(signer func(ledger.Verifier) (*ledger.SigningKey, error)) error {
	if in.fold.Size != in.head.Size || in.fold.Tree.Root() != in.head.Root {
		return bad("its %d entries do not lead to its head of %d", in.fold.Size, in.head.Size)
	}
	if _, err := signer(in.fold.ServerKey); err != nil {
		return fmt.Errorf("take in an offer: %w; a later backup of this server has the key", err)
	}
	for number, e := range in.erased {
		if surplus := e.lines.Difference(e.ordered); !surplus.IsEmpty() {
			return bad("lines %s of manifest %d are erased, and nobody ordered that", surplus, number)
		}
	}
	if err := in.writer.Flush(); err != nil {
		return fmt.Errorf("take in an offer: %w", err)
	}
	return nil
}

// rootAt returns the root of the offered log at a size that the tail leads to.
func (in *incoming) rootAt(size int64) (tlog.Hash, error) {
	tree := in.base.Clone()
	for leaf, err := range in.leaves() {
		if err != nil {
			return tlog.Hash{}, err
		}
		if tree.Add(ledger.LineHash(leaf)); tree.Leaves == size {
			return tree.Root(), nil
		}
	}
	return tlog.Hash{}, fmt.Errorf("read what came of an offer: it ends after %d entries, not %d", tree.Leaves, size)
}

func (in *incoming) leaves() func(yield func([]byte, error) bool) {
	return func(yield func([]byte, error) bool) {
		if _, err := in.entries.Seek(0, io.SeekStart); err != nil {
			yield(nil, err)
			return
		}
		ledger.ReadExported(in.entries)(yield)
	}
}

// appendTo appends the tail to the log, which has the entries before it and nothing more.
func (in *incoming) appendTo(log *store.Ledger) error {
	var leaves [][]byte
	sizeBytes := 0
	flush := func() error {
		err := log.Append(leaves...)
		leaves, sizeBytes = nil, 0
		return err
	}
	for leaf, err := range in.leaves() {
		if err != nil {
			return fmt.Errorf("read what came of an offer: %w", err)
		}
		if len(leaves) > 0 && (sizeBytes+len(leaf) > store.MaxAppendBytes || len(leaves) == appendedAtOnce) {
			if err := flush(); err != nil {
				return err
			}
		}
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			return fmt.Errorf("read what came of an offer: %w", err)
		}
		if sealed, ok := e.Body.(ledger.Sealed); ok {
			if err := in.stage(log, sealed.Manifest); err != nil {
				return err
			}
		}
		leaves = append(leaves, leaf)
		sizeBytes += len(leaf)
	}
	return flush()
}

// stage puts the lines of a manifest into the store.
func (in *incoming) stage(log *store.Ledger, manifest int64) error {
	w, err := log.StageManifest(manifest)
	if err != nil {
		return err
	}
	defer w.Abort()
	file, err := os.Open(in.path(manifest))
	if err == nil {
		defer file.Close()
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 2*ledger.MaxLineBytes)
		for lines.Scan() {
			if err := w.Add(lines.Bytes()); err != nil {
				return err
			}
		}
		err = lines.Err()
	} else if errors.Is(err, os.ErrNotExist) { // an empty one
		err = nil
	}
	if err != nil {
		return fmt.Errorf("read what came of an offer: %w", err)
	}
	_, _, _, err = w.Commit()
	return err
}
