// Package simgate ends the processes of simulated machines, at any of their operations. It starts none, and knows nothing of
// what the operations are.
package simgate

import (
	"errors"
	"sync"
)

// ErrKilled is what every operation of a process returns that was killed.
var ErrKilled = errors.New("the process was killed")

// Gate is what every operation of one process passes: commits of its store, and where it is an agent operations on
// destinations and calls to the server. It ends the process at one of them. The zero Gate lets all through. Its methods may
// be called concurrently.
type Gate struct {
	// Killed ends the process. It is called once, and must not call the gate. Not needed where the process is never killed.
	Killed func()

	mu     sync.Mutex
	count  int
	at     int  // the operation at which the process is killed; 0 for none
	done   bool // whether that operation is still done
	closed bool
	tried  bool // a commit was refused, after which a store wants to be opened again
	last   string
}

// Step is asked before an operation whether it is done, and what it returns instead of its own result.
func (g *Gate) Step(name string, commit bool) (apply bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		if g.count++; g.count != g.at {
			return true, nil
		}
		g.close(name)
		apply = g.done
	}
	g.tried = g.tried || commit
	return apply, ErrKilled
}

// Arm lets the process be killed at the n-th operation from now, which is still done or not.
func (g *Gate) Arm(n int, done bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at, g.done = g.count+n, done
}

// Close kills the process now, and lets no operation through any more.
func (g *Gate) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.close("no operation")
	}
}

func (g *Gate) close(at string) {
	g.closed, g.last = true, at
	g.Killed()
}

// Closed reports whether the process was killed.
func (g *Gate) Closed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// Refused reports whether a commit met the end, and at which operation the end came.
func (g *Gate) Refused() (commit bool, last string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tried, g.last
}
