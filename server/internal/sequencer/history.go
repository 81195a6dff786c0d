package sequencer

import (
	"bytes"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/ledger"
)

// history is what a log says of its keys, entry by entry, as far as it was read.
type history struct {
	read   int64     // entries
	root   tlog.Hash // of the tree over these
	server []since
	agent  []since
	agents map[string]bool // names ever assigned
}

// since says that a key is current after the log's first size entries, until the next one is.
type since struct {
	size int64
	key  ledger.Verifier
}

// at returns the key that is current after the first size entries; empty before the first key.
func at(keys []since, size int64) (key ledger.Verifier) {
	for _, k := range keys {
		if k.size > size {
			break
		}
		key = k.key
	}
	return key
}

// readHistory reads what was appended since it was called last, or all where the log is not the one that was read. s.mu is
// held.
func (s *Sequencer) readHistory() (*history, error) {
	h := &s.history
	size, root := s.log.Position()
	if h.read == size && h.root == root {
		return h, nil
	}
	if known, err := s.log.RootAt(min(h.read, size)); err != nil {
		return nil, err
	} else if h.read > size || known != h.root {
		*h = history{}
	}
	if h.agents == nil {
		h.agents = map[string]bool{}
	}
	for leaf, err := range s.log.Entries(h.read, size) {
		if err != nil {
			return nil, fmt.Errorf("look for the keys of %s: %w", s.Origin(), err)
		}
		h.read++
		if !namesKey(leaf) {
			continue
		}
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			return nil, fmt.Errorf("look for the keys of %s: %w", s.Origin(), err)
		}
		switch body := e.Body.(type) {
		case ledger.Genesis:
			h.server = append(h.server, since{h.read, body.ServerKey})
		case ledger.Rekeyed:
			h.server = append(h.server, since{h.read, body.NewKey})
		case ledger.Assigned:
			h.agent = append(h.agent, since{h.read, body.Request.AgentKey})
			if _, name, err := ledger.ParseAgentKeyName(body.Request.AgentKey.Name()); err == nil {
				h.agents[name] = true
			}
		}
	}
	h.root = root
	return h, nil
}

// namesKey reports whether an entry of the log, by the first line of its text, is of a kind that changes a key.
func namesKey(leaf []byte) bool {
	for _, kind := range []ledger.Kind{ledger.KindGenesis, ledger.KindRekeyed, ledger.KindAssigned} {
		if bytes.HasPrefix(leaf, []byte("wolkvox-backup entry "+kind.String()+" ")) {
			return true
		}
	}
	return false
}

// serverKeyAt returns the server's key that is current after the log's first size entries (proto/README.md, section 1.5). A
// log that was never given another key is not read for it.
func (s *Sequencer) serverKeyAt(size int64) (ledger.Verifier, error) {
	var first, current ledger.Verifier
	s.log.View(func(log *ledger.Log) { first, current = log.Genesis.ServerKey, log.ServerKey })
	if first == current {
		return current, nil
	}
	server, _, err := s.keysAt(size)
	return server, err
}

// keysAt returns both keys that are current after the log's first size entries.
func (s *Sequencer) keysAt(size int64) (server, agent ledger.Verifier, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, err := s.readHistory()
	if err != nil {
		return "", "", err
	}
	return at(h.server, size), at(h.agent, size), nil
}

// serverKeys returns the keys by which the server may have signed heads of this log, as far as it knows, the current one first.
func (s *Sequencer) serverKeys() ([]ledger.Verifier, error) {
	keys := []ledger.Verifier{s.ServerKey()}
	s.mu.Lock()
	defer s.mu.Unlock()
	h, err := s.readHistory()
	if err != nil {
		return nil, err
	}
	for _, k := range h.server {
		keys = append(keys, k.key)
	}
	for key := range s.keys {
		keys = append(keys, key)
	}
	return keys, nil
}

// EverAssigned reports whether the agent of this name serves the destination or ever did.
func (s *Sequencer) EverAssigned(agent string) (bool, error) {
	if current, _, ok := s.Assigned(); ok && current == agent {
		return true, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h, err := s.readHistory()
	if err != nil {
		return false, err
	}
	return h.agents[agent], nil
}
