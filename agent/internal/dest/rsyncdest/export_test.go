package rsyncdest

// BetweenPublishAndCheck lets do run after files were published and before they are compared.
func (r *Rsync) BetweenPublishAndCheck(do func()) { r.afterPut = do }

// Checksum is the checksum that the peer is asked for, by what the process has learnt so far.
func (r *Rsync) Checksum() string {
	if r.noSHA1.Load() {
		return "md5"
	}
	return "sha1"
}
