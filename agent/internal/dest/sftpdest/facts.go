package sftpdest

import (
	"context"
	"fmt"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// Facts implements dest.Reporter. All was learnt when the connection was made: nothing is asked.
func (h *handle) Facts(context.Context) []dest.Fact {
	key := "the server proved itself with the pinned host key " + h.sftp.pin.fingerprint
	if h.sftp.pin.keyType != "" {
		key += " (" + h.sftp.pin.keyType + ")"
	}
	facts := []dest.Fact{
		{Subject: dest.SubjectPlace, Text: fmt.Sprintf("the server calls itself %q, and takes the agent for its user %s", h.line.client.ServerVersion(), h.sftp.options.User)},
		{Subject: dest.SubjectHostKey, Text: key},
	}
	for _, missing := range []struct{ extension, subject, text string }{
		{extFsync, dest.SubjectSync, "the server does not offer %s, so nothing can make files durable: what it has acknowledged may be lost when " +
			"its power fails; put it on an uninterruptible supply, or use a server that offers it, such as OpenSSH's"},
		{extHardlink, dest.SubjectRename, "the server does not offer %s, so files take their names by plain rename, and only where the server was " +
			"seen to refuse a name that is taken: let nothing else write into this folder, or use a server that offers it, such as OpenSSH's"},
		{extStatVFS, dest.SubjectQuota, "the server does not offer %s, so the agent sees neither how much is free nor whether a failure was a full " +
			"disk: watch the free space at the server, or use one that offers it, such as OpenSSH's"},
	} {
		if !h.has(missing.extension) {
			facts = append(facts, dest.Fact{Subject: missing.subject, Text: fmt.Sprintf(missing.text, missing.extension), Warning: true})
		}
	}
	return facts
}
