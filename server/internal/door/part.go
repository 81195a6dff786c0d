package door

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// picked are some items of a manifest, numbered from 0.
type picked struct {
	ranges []ledger.Range
	before []int64 // how many items come before each range
	count  int64
}

func pick(set ledger.Set) picked {
	p := picked{ranges: set.Ranges()}
	p.before = make([]int64, len(p.ranges))
	for i, r := range p.ranges {
		p.before[i] = p.count
		p.count += r.Last - r.First + 1
	}
	return p
}

// at returns the index in the manifest of the item with number k, which is below the count.
func (p picked) at(k int64) int64 {
	i := sort.Search(len(p.before), func(i int) bool { return p.before[i] > k }) - 1
	return p.ranges[i].First + k - p.before[i]
}

// part is the items of one manifest of a night that are in one state. Their paths ascend, so that what is below a folder lies
// together and is found by bisection.
type part struct {
	log      *store.Ledger
	manifest int64
	items    picked
}

func newPart(log *store.Ledger, manifest int64, items ledger.Set) part {
	return part{log, manifest, pick(items)}
}

// line returns the line of the item with number k.
func (p part) line(k int64) (ledger.Line, error) {
	line, err := p.log.Line(p.manifest, p.items.at(k))
	if err == nil && line.Forgotten {
		err = fmt.Errorf("line %d of manifest %d of %s was erased, and its item is not", p.items.at(k), p.manifest, p.log.Origin())
	}
	return line, err
}

// find returns the first item from number from on whose path is not below path, and its number; false where there is none.
// It looks close by first.
func (p part) find(path string, from int64) (line ledger.Line, k int64, found bool, err error) {
	is := func(k int64) bool {
		if err != nil {
			return true
		}
		var at ledger.Line
		if at, err = p.line(k); err != nil || at.Item.Path < path {
			return err != nil
		}
		line = at // of those asked about, each that is so lies before the last one that was
		return true
	}
	low, high := from, from
	for step := int64(1); high < p.items.count && !is(high); step *= 2 {
		low, high = high+1, high+step
	}
	high = min(high, p.items.count)
	k = low + int64(sort.Search(int(high-low), func(i int) bool { return is(low + int64(i)) }))
	return line, k, k < p.items.count && err == nil, err
}

// itemFolder is a folder below a night; prefix is its path with a slash at its end, empty for the night itself.
func itemFolder(name string, at time.Time, prefix string, parts []part) node {
	return node{info: info{name: name, at: at, dir: true}, list: func() (entries, error) {
		m := &merged{at: at}
		for _, p := range parts {
			_, k, _, err := p.find(prefix, 0)
			if err != nil {
				m.stop()
				return nil, err
			}
			c := &cursor{part: p, prefix: prefix, k: k}
			m.cursors = append(m.cursors, c)
			if err := c.load(); err != nil {
				m.stop()
				return nil, err
			}
		}
		return m, nil
	}}
}

// linesPassed is how many lines that are not wanted are rather read than jumped over.
const linesPassed = 256

// cursor walks over what is directly in a folder, in one part.
type cursor struct {
	part
	prefix string
	k      int64

	pull func() (ledger.Line, error, bool) // the lines from index next on; nil at first
	stop func()
	next int64

	line  ledger.Line // of item k
	child string      // its name in the folder, with a slash where it is a folder; empty at the end
}

// load reads the item that the cursor is at.
func (c *cursor) load() error {
	c.child = ""
	if c.k >= c.items.count {
		return nil
	}
	index := c.items.at(c.k)
	if c.pull == nil || index < c.next || index-c.next > linesPassed {
		c.close()
		c.pull, c.stop = iter.Pull2(c.log.Lines(c.manifest, index))
		c.next = index
	}
	for {
		line, err, ok := c.pull()
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("line %d of manifest %d of %s is missing", index, c.manifest, c.log.Origin())
		}
		if c.next++; c.next > index {
			c.line = line
			break
		}
	}
	rest, within := strings.CutPrefix(c.line.Item.Path, c.prefix)
	if !within || c.line.Forgotten {
		return nil
	}
	if name, _, isFolder := strings.Cut(rest, "/"); isFolder {
		rest = name + "/"
	}
	c.child = rest
	return nil
}

// advance goes past the child that the cursor is at.
func (c *cursor) advance() error {
	c.k++
	if name, isFolder := strings.CutSuffix(c.child, "/"); isFolder {
		var err error
		after := c.prefix + name + string(rune('/'+1)) // comes right behind all that is in it
		if _, c.k, _, err = c.find(after, c.k); err != nil {
			return err
		}
	}
	return c.load()
}

func (c *cursor) close() {
	if c.stop != nil {
		c.stop()
		c.pull, c.stop = nil, nil
	}
}

// merged are the entries of a folder, over all manifests of the night.
type merged struct {
	at      time.Time // of folders
	cursors []*cursor
}

func (m *merged) next() (info, error) {
	m.cursors = slices.DeleteFunc(m.cursors, func(c *cursor) bool {
		if c.child != "" {
			return false
		}
		c.close()
		return true
	})
	if len(m.cursors) == 0 {
		return info{}, io.EOF
	}
	first := slices.MinFunc(m.cursors, func(a, b *cursor) int { return strings.Compare(a.child, b.child) })
	child, entry := first.child, info{}
	if name, isFolder := strings.CutSuffix(child, "/"); isFolder {
		entry = info{name: name, at: m.at, dir: true}
	} else {
		entry = infoOf(child, first.line.Item)
	}
	for _, c := range m.cursors {
		if c.child != child {
			continue
		}
		if err := c.advance(); err != nil {
			return info{}, err
		}
	}
	return entry, nil
}

func (m *merged) stop() {
	for _, c := range m.cursors {
		c.close()
	}
}
