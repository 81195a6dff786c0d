package agentsim

import (
	"errors"
	"sync"
)

// ErrKilled is what every operation of a process returns that was killed.
var ErrKilled = errors.New("the process was killed")

// gate is what every operation of one process passes: commits of its store, operations on destinations, calls to the
// server. It ends the process at one of them.
type gate struct {
	mu     sync.Mutex
	count  int
	at     int  // the operation at which the process is killed; 0 for none
	done   bool // whether that operation is still done
	closed bool
	tried  bool // a commit was refused, after which a store wants to be opened again
	last   string
	killed func()
}

// step is asked before an operation whether it is done, and what it returns instead of its own result.
func (g *gate) step(name string, commit bool) (apply bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		if g.count++; g.count != g.at {
			return true, nil
		}
		g.closed, g.last = true, name
		g.tried = g.tried || commit
		g.killed()
		return g.done, ErrKilled
	}
	g.tried = g.tried || commit
	return false, ErrKilled
}

// arm lets the process be killed at the n-th operation from now, which is done or not.
func (g *gate) arm(n int, done bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at, g.done = g.count+n, done
}

// close lets no operation through any more.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.closed, g.last = true, "no operation"
		g.killed()
	}
}

func (g *gate) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// refused reports whether a commit met the end, and where the end came.
func (g *gate) refused() (commit bool, last string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tried, g.last
}
