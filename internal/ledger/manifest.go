package ledger

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrManifest says that the lines of a manifest are not those that its sealed entry announced.
var ErrManifest = errors.New("the lines are not those that were sealed")

// ManifestChecker reads a manifest line by line with memory for one hash per level of its tree. It checks every line,
// their order and their number. The zero value is ready.
type ManifestChecker struct {
	tree      Frontier
	bytes     int64
	forgotten int64
	lastPath  string
}

// NewManifestChecker returns a checker that has seen no line.
func NewManifestChecker() *ManifestChecker { return &ManifestChecker{} }

// Add takes the next line, without LF; the result shares its bytes. The error is a [*RefusedError] with LIMIT or TEXT,
// the latter also where the path is not greater than the one before.
func (c *ManifestChecker) Add(text []byte) (Line, error) {
	line, err := ParseManifestLine(text)
	if err != nil {
		return Line{}, fmt.Errorf("line %d: %w", c.tree.Leaves, err)
	}
	if c.tree.Leaves == MaxItems {
		return Line{}, refuse(ReasonLimit, "the manifest has more than %d lines", MaxItems)
	}
	if line.Forgotten {
		c.forgotten++
	} else {
		if line.Item.Path <= c.lastPath {
			return Line{}, refuse(ReasonText, "line %d: the path %.200q is not greater than %.200q before it", c.tree.Leaves, line.Item.Path, c.lastPath)
		}
		if line.Item.Digest.SizeBytes > MaxDecimal-c.bytes {
			return Line{}, refuse(ReasonText, "line %d: the sizes add up to more than %d", c.tree.Leaves, int64(MaxDecimal))
		}
		c.lastPath = line.Item.Path
		c.bytes += line.Item.Digest.SizeBytes
	}
	c.tree.Add(line.Hash)
	return line, nil
}

// Items returns the number of lines, those of erased items included.
func (c *ManifestChecker) Items() int64 { return c.tree.Leaves }

// Bytes returns the sum of the sizes of all items that are not erased.
func (c *ManifestChecker) Bytes() int64 { return c.bytes }

// Forgotten returns the number of erased lines.
func (c *ManifestChecker) Forgotten() int64 { return c.forgotten }

// Root returns the root of the tree over the lines.
func (c *ManifestChecker) Root() tlog.Hash { return c.tree.Root() }

// Check says whether the lines are exactly those of m: [ErrManifest] where they are not.
func (c *ManifestChecker) Check(m Manifest) error {
	switch {
	case c.Items() != m.Items:
		return fmt.Errorf("manifest %d: %w: %d lines instead of %d", m.Number, ErrManifest, c.Items(), m.Items)
	case c.Root() != m.Root:
		return fmt.Errorf("manifest %d: %w: their root is another", m.Number, ErrManifest)
	case c.bytes > m.Bytes || c.forgotten == 0 && c.bytes != m.Bytes:
		return fmt.Errorf("manifest %d: %w: the sizes add up to %d instead of %d bytes", m.Number, ErrManifest, c.bytes, m.Bytes)
	}
	return nil
}
