package serversim

import (
	"errors"
	"sync"
)

// ErrKilled is what every commit of a process returns that was killed.
var ErrKilled = errors.New("the server was killed")

// gate is what every commit of one process passes. It ends the process at one of them.
type gate struct {
	mu     sync.Mutex
	count  int
	at     int  // the commit at which the process is killed; 0 for none
	done   bool // whether that commit is still done
	closed bool
	tried  bool // a commit was refused, after which a store wants to be opened again
	killed func()
}

func (g *gate) step() (apply bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		if g.count++; g.count != g.at {
			return true, nil
		}
		g.closed, g.tried = true, true
		g.killed()
		return g.done, ErrKilled
	}
	g.tried = true
	return false, ErrKilled
}

func (g *gate) arm(n int, done bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at, g.done = g.count+n, done
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.closed = true
		g.killed()
	}
}

func (g *gate) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

func (g *gate) refused() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tried
}
