package rsyncdest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// Facts implements dest.Reporter. It asks the rsync program of this machine for its version; what runs at the place does not
// tell its own.
func (h *handle) Facts(ctx context.Context) []dest.Fact {
	o := h.rsync.options
	var facts []dest.Fact
	switch {
	case o.SSH != nil:
		facts = append(facts, dest.Fact{Subject: dest.SubjectPlace, Text: "the server takes the agent for its user " + o.SSH.User})
		if fact, ok := hostKeyFact(o.SSH.HostKey); ok {
			facts = append(facts, fact)
		}
	case o.User != "":
		facts = append(facts, dest.Fact{Subject: dest.SubjectPlace, Text: fmt.Sprintf("the module %s takes the agent for the user %s", o.Module, o.User)})
	}
	if version, err := h.rsync.Version(ctx); err == nil {
		facts = append(facts, versionFact(version))
	}
	if h.rsync.noFsync.Load() {
		facts = append(facts, dest.Fact{Subject: dest.SubjectSync, Warning: true, Text: "the rsync at the place does not know or allow --fsync: what it has " +
			"stored may be lost when its power fails; install rsync 3.2.4 or later there, and allow the option"})
	}
	return facts
}

func versionFact(version Version) dest.Fact {
	recommended := Version{Major: 3, Minor: 5}
	if version.Less(recommended) {
		return dest.Fact{Subject: dest.SubjectProgram, Warning: true, Text: fmt.Sprintf(
			"the rsync of this machine is %v, which works and is older than %v: install %v or later", version, recommended, recommended)}
	}
	return dest.Fact{Subject: dest.SubjectProgram, Text: fmt.Sprintf("the rsync of this machine is %v", version)}
}

// hostKeyFact tells the pinned key as `ssh-keygen -l` shows it.
func hostKeyFact(line string) (dest.Fact, bool) {
	kind, key, err := parseHostKey(line)
	if err != nil {
		return dest.Fact{}, false
	}
	blob, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return dest.Fact{}, false
	}
	sum := sha256.Sum256(blob)
	return dest.Fact{Subject: dest.SubjectHostKey, Text: fmt.Sprintf(
		"the server proved itself with the pinned host key SHA256:%s (%s)", base64.RawStdEncoding.EncodeToString(sum[:]), kind)}, true
}
