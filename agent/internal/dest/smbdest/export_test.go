package smbdest

import "time"

// SetLimits shortens how long the server may take to answer, and how long after a context has ended.
func SetLimits(s *SMB, silence, grace time.Duration) { s.silence, s.grace = silence, grace }
