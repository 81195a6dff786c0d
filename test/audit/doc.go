// Package audit has the built programs find what somebody did to a thousand confirmed recordings behind their backs, at each kind
// of place: deleted, flipped a bit, truncated, replaced, made unreadable, added. What was done is done in the peer's own folder.
// It looks at the agent from outside only; the comparison itself is tested in package night.
package audit
