// Package ledger is the append-only log that a server and an agent hold of one destination: the text forms of its
// entries, manifests, heads and proofs, the signatures on them, the trees over them, and the fold that gives
// every item its state. proto/README.md, parts 1 to 3, is its specification; neither may change once released.
//
// The package is pure: it does no I/O of its own beyond the readers and writers it is handed, reads no clock, and
// keeps nothing. Storing a log, sending it, and deciding what to append to it are the affair of others.
//
// Received bytes are what counts: an entry is the exact bytes of its signed note (its leaf), and nothing here
// encodes received bytes again, except to find out that doing so gives the same bytes.
//
// Values of this package are safe for concurrent reading. Nothing in it locks.
package ledger
