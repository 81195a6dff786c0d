package dest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
)

// Marker is the small file that proves that a place is the destination of a log. Its text is canonical:
//
//	wolkvox-backup marker v1
//	id 32 characters [0-9a-f], random
//	origin ORIGIN
type Marker struct {
	ID     string // random, 32 characters [0-9a-f]
	Origin string // of the log, as in proto/README.md section 1.1
}

const markerTitle = "wolkvox-backup marker v1"

// NewMarker returns a marker for origin with a new random id.
func NewMarker(origin string) Marker {
	var id [16]byte
	rand.Read(id[:]) // never fails (crypto/rand)
	return Marker{ID: hex.EncodeToString(id[:]), Origin: origin}
}

// Format returns the marker's text.
func (m Marker) Format() []byte {
	return fmt.Appendf(nil, "%s\nid %s\norigin %s\n", markerTitle, m.ID, m.Origin)
}

// ParseMarker is the inverse of [Marker.Format]: a text that would not be formatted to the same bytes is
// [ErrMarker].
func ParseMarker(text []byte) (Marker, error) {
	lines := strings.SplitN(string(text), "\n", 4)
	if len(lines) != 4 {
		return Marker{}, fmt.Errorf("%w: it has not three lines", ErrMarker)
	}
	m := Marker{ID: strings.TrimPrefix(lines[1], "id "), Origin: strings.TrimPrefix(lines[2], "origin ")}
	if string(m.Format()) != string(text) {
		return Marker{}, fmt.Errorf("%w: it is not of the form %q, id, origin", ErrMarker, markerTitle)
	}
	if id, err := hex.DecodeString(m.ID); err != nil || len(id) != 16 || hex.EncodeToString(id) != m.ID {
		return Marker{}, fmt.Errorf("%w: the id %q is not 32 characters 0-9, a-f", ErrMarker, m.ID)
	}
	if err := checkOrigin(m.Origin); err != nil {
		return Marker{}, fmt.Errorf("%w: %v", ErrMarker, err)
	}
	return m, nil
}

func checkOrigin(origin string) error {
	if origin == "" || len(origin) > 256 {
		return fmt.Errorf("the origin has %d characters, not 1 to 256", len(origin))
	}
	for _, r := range origin {
		if r <= ' ' || r > '~' {
			return fmt.Errorf("the origin %q holds the character %q", origin, r)
		}
	}
	return nil
}
