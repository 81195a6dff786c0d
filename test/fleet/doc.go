// Package fleet starts the built programs for tests: a server, an agent, and a line between them that can be slowed,
// cut, stalled and disturbed. Tests see them as people do: by their commands, their files and their exit statuses. What
// is started dies with the test. It looks into nothing that is the programs' own.
package fleet
