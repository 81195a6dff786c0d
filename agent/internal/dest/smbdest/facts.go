package smbdest

import (
	"context"
	"fmt"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// Facts implements dest.Reporter. All was learnt when the session was made: nothing is asked. Guests have no session.
func (h *handle) Facts(context.Context) []dest.Fact {
	o := h.smb.options
	account := "the server's own user " + o.User
	if o.Domain != "" {
		account = fmt.Sprintf("the user %s of the domain %s", o.User, o.Domain)
	}
	protection := "signed"
	if h.link.conn.encrypted.Load() {
		protection = "encrypted"
	}
	return []dest.Fact{
		{Subject: dest.SubjectPlace, Text: "the share takes the agent for " + account},
		{Subject: dest.SubjectPlace, Text: fmt.Sprintf("the connection is %s and %s", dialectName(h.link.conn.dialect.Load()), protection)},
	}
}

// dialectName is what people call a dialect (MS-SMB2 section 2.2.4).
func dialectName(dialect uint32) string {
	switch dialect {
	case 0x0202:
		return "SMB 2.0.2"
	case 0x0210:
		return "SMB 2.1"
	case 0x0300:
		return "SMB 3.0"
	case 0x0302:
		return "SMB 3.0.2"
	case 0x0311:
		return "SMB 3.1.1"
	}
	return fmt.Sprintf("SMB dialect %#x", dialect)
}
