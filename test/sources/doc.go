// Package sources has the built programs copy nights from where recordings lie at others: a server that speaks SFTP, and a
// bucket. Each night is run well once, and then with what goes wrong there: the place dies while it is listed, read and
// served, changes or loses what was sealed, damages it unseen, and does not let the server in any more. It looks from outside
// only; what every kind of source must be able to do is in package sourcetest.
package sources
