package sftpdest

import "time"

// Hurry shortens how long a server is waited for.
func (s *SFTP) Hurry() {
	s.timing = timing{
		login: 500 * time.Millisecond, keepalive: 50 * time.Millisecond, dead: 400 * time.Millisecond, stalled: 800 * time.Millisecond,
		grace: 50 * time.Millisecond, cleanup: time.Second,
	}
}
