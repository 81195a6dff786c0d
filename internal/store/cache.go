package store

import (
	"container/list"
	"sync"
)

// cacheBytes is about how much memory the item states in use may take, for all ledgers together.
const cacheBytes = 8 << 20

// stateKey names a manifest of a ledger.
type stateKey struct {
	id       ledgerID
	manifest int64
}

// stateCache holds the item states used last.
type stateCache struct {
	mu       sync.Mutex // held while states are read from the store, so that older ones never replace newer ones
	maxBytes int64
	bytes    int64
	recent   *list.List // of *cachedStates, the most recently used first
	byKey    map[stateKey]*list.Element
}

type cachedStates struct {
	key    stateKey
	states *itemStates
	bytes  int64
}

func newStateCache(maxBytes int64) *stateCache {
	return &stateCache{maxBytes: maxBytes, recent: list.New(), byKey: map[stateKey]*list.Element{}}
}

// states returns what is held for key, or what load returns, which is then held.
func (c *stateCache) states(key stateKey, load func() (*itemStates, error)) (*itemStates, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[key]; e != nil {
		c.recent.MoveToFront(e)
		return e.Value.(*cachedStates).states, nil
	}
	st, err := load()
	if err != nil {
		return nil, err
	}
	c.hold(key, st)
	return st, nil
}

// put replaces what is held for key; st is in the store already.
func (c *stateCache) put(key stateKey, st *itemStates) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[key]; e != nil {
		c.drop(e)
	}
	c.hold(key, st)
}

// forget lets go of the states of a ledger's manifests above last, which are no more.
func (c *stateCache) forget(id ledgerID, last int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, e := range c.byKey {
		if key.id == id && key.manifest > last {
			c.drop(e)
		}
	}
}

// hold adds st and lets the least recently used go, never st itself.
func (c *stateCache) hold(key stateKey, st *itemStates) {
	held := &cachedStates{key, st, st.sizeBytes()}
	c.byKey[key] = c.recent.PushFront(held)
	c.bytes += held.bytes
	for c.bytes > c.maxBytes && c.recent.Len() > 1 {
		c.drop(c.recent.Back())
	}
}

func (c *stateCache) drop(e *list.Element) {
	held := c.recent.Remove(e).(*cachedStates)
	delete(c.byKey, held.key)
	c.bytes -= held.bytes
}
