package serversim

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"

	"github.com/wolkvox/backup"
)

// Source is where a tenant's recordings lie, in memory. It outlives the server's processes, and is safe for concurrent use.
type Source struct {
	mu       sync.Mutex
	contents map[string][]byte // by path
	made     int
	changed  map[string]bool // paths whose contents changed at least once, or were lost
	away     bool
}

// NewSource returns an empty source.
func NewSource() *Source {
	return &Source{contents: map[string][]byte{}, changed: map[string]bool{}}
}

// Record adds n recordings.
func (s *Source) Record(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.made++
		s.write(fmt.Sprintf("calls/%d/%04d.gsm", s.made%3, s.made))
	}
}

// write gives a path new contents. s.mu is held.
func (s *Source) write(path string) {
	s.made++
	s.contents[path] = bytes.Repeat(fmt.Appendf(nil, "%s %d;", path, s.made), 1+s.made*7%60)
}

// Change replaces the contents of the n-th recording, and returns its path; empty where there is none.
func (s *Source) Change(n int) string { return s.touch(n, s.write) }

// Lose removes the n-th recording.
func (s *Source) Lose(n int) string {
	return s.touch(n, func(path string) { delete(s.contents, path) })
}

func (s *Source) touch(n int, change func(path string)) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	paths := s.paths()
	if len(paths) == 0 {
		return ""
	}
	path := paths[n%len(paths)]
	s.changed[path] = true
	change(path)
	return path
}

// paths returns what is there, in order. s.mu is held.
func (s *Source) paths() []string {
	paths := make([]string, 0, len(s.contents))
	for path := range s.contents {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// SetAway takes the source away, or brings it back.
func (s *Source) SetAway(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

// Touched reports whether a recording ever changed or was lost.
func (s *Source) Touched(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed[path]
}

// read returns a recording; reachable is false while the source is away.
func (s *Source) read(path string) (data []byte, ok, reachable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return nil, false, false
	}
	data, ok = s.contents[path]
	return data, ok, true
}

// all returns the paths of all recordings; reachable is false while the source is away.
func (s *Source) all() (paths []string, reachable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paths(), !s.away
}

func digestOf(data []byte) backup.Digest {
	return backup.Digest{SHA256: sha256.Sum256(data), SizeBytes: int64(len(data))}
}
