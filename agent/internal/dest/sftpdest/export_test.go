package sftpdest

import "time"

// Hurry shortens how long a server is waited for.
func (s *SFTP) Hurry() {
	s.timing = timing{
		login: 500 * time.Millisecond, keepalive: 50 * time.Millisecond, dead: 400 * time.Millisecond, stalled: 800 * time.Millisecond,
		grace: 50 * time.Millisecond, cleanup: time.Second,
	}
}

// HurryLine shortens how long a line may be silent, and nothing else.
func (s *SFTP) HurryLine() {
	s.timing.keepalive, s.timing.dead = 50*time.Millisecond, time.Second
}
