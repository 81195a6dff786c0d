package night

import (
	"path"
	"slices"
	"strings"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// Offer is a file that a person has.
type Offer struct {
	Name   string // its path in the folder, with slashes
	Digest backup.Digest
}

// Match is what an offered file is.
type Match struct {
	// Wanted are the items with its contents that are missing: several where recordings have equal contents.
	Wanted []ItemID
	// Paths are those of the items with its contents, the wanted ones where there are such; at most [maxPaths].
	Paths []string
	// State is that of one item with its contents, where none is wanted; confirmed also where that is signed and not in the log
	// yet. Zero where there is none.
	State backup.State
	// First is the file of the same contents that was offered before it, by its place in the group; -1 where there is none.
	First int
	// Namesake is the path of an item that has its name, and Double that of a missing one that has its size, to tell a person what it
	// looks like where there is no item with its contents.
	Namesake, Double string
}

// maxPaths is how many paths of one file are told to people.
const maxPaths = 10

// Match compares files that a person has with all that was ever sealed: by contents, and where those are unknown by name and size,
// so that a person can be told which recording it looks like. See [Night.Learn].
func (n *Night) Match(offers []Offer) ([]Match, error) {
	m := newMatcher(offers)
	for _, sealed := range n.sealed() {
		// The outbox first: a receipt goes from there into the log.
		signed := n.Log.OutboxDelivered(sealed.Number)
		states, err := n.Log.States(sealed.Number)
		if err != nil {
			return nil, err
		}
		index := int64(0)
		for line, err := range n.Log.Lines(sealed.Number, 0) {
			if err != nil {
				return nil, err
			}
			if !line.Forgotten {
				state, _ := states.State(index)
				if signed.Contains(index) {
					state = backup.Confirmed
				}
				m.look(ItemID{sealed.Number, index}, line.Item, state)
			}
			index++
		}
	}
	return m.matches, nil
}

// matcher compares offers with items.
type matcher struct {
	offers   []Offer
	matches  []Match
	byDigest map[backup.Digest]int // the first of each
	byBase   map[string][]int      // by the last element of the name, as letters fold
	bySize   map[int64][]int
}

func newMatcher(offers []Offer) *matcher {
	m := &matcher{offers: offers, matches: make([]Match, len(offers)), byDigest: make(map[backup.Digest]int, len(offers)),
		byBase: make(map[string][]int, len(offers)), bySize: make(map[int64][]int, len(offers))}
	for i, offer := range offers {
		m.matches[i].First = -1
		if first, ok := m.byDigest[offer.Digest]; ok {
			m.matches[i].First = first
			continue
		}
		m.byDigest[offer.Digest] = i
		base := strings.ToLower(path.Base(offer.Name))
		m.byBase[base] = append(m.byBase[base], i)
		m.bySize[offer.Digest.SizeBytes] = append(m.bySize[offer.Digest.SizeBytes], i)
	}
	return m
}

// look takes in one item.
func (m *matcher) look(id ItemID, item backup.Item, state backup.State) {
	wanted := slices.Contains(importable, state)
	if i, ok := m.byDigest[item.Digest]; ok {
		m.matches[i].take(id, item.Path, state, wanted)
	}
	for _, i := range m.byBase[strings.ToLower(path.Base(item.Path))] {
		match := &m.matches[i]
		if match.Namesake == "" || m.offers[i].Name == item.Path || strings.HasSuffix(m.offers[i].Name, "/"+item.Path) {
			match.Namesake = item.Path
		}
	}
	if wanted {
		for _, i := range m.bySize[item.Digest.SizeBytes] {
			m.matches[i].Double = item.Path
		}
	}
}

// take takes in an item of the file's contents.
func (m *Match) take(id ItemID, path string, state backup.State, wanted bool) {
	switch {
	case wanted:
		if len(m.Wanted) == 0 {
			m.Paths = nil
		}
		m.Wanted = append(m.Wanted, id)
	case len(m.Wanted) > 0, m.State == backup.Confirmed && state != m.State:
		return
	case m.State == 0 || state == backup.Confirmed && m.State != state:
		m.State, m.Paths = state, nil
	}
	if len(m.Paths) < maxPaths {
		m.Paths = append(m.Paths, path)
	}
}

// Wanted returns the items that matched files are and that are missing, and which file each of them is.
func Wanted(matches []Match) (chosen Chosen, files map[ItemID]int) {
	files = make(map[ItemID]int)
	ranges := make(map[int64][]ledger.Range)
	for i, match := range matches {
		for _, id := range match.Wanted {
			files[id] = i
			ranges[id.Manifest] = append(ranges[id.Manifest], ledger.Range{First: id.Index, Last: id.Index})
		}
	}
	chosen = make(Chosen, len(ranges))
	for manifest, items := range ranges {
		chosen[manifest] = ledger.NewSet(items...)
	}
	return chosen, files
}
