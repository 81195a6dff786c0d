package azblobdest

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// expiryWarning is how long before a signature expires somebody is told.
const expiryWarning = 14 * 24 * time.Hour

// Facts implements dest.Reporter.
func (h *handle) Facts(ctx context.Context) []dest.Fact {
	o := h.azblob.options
	who := "with an account key of " + o.Account
	switch {
	case o.SAS != nil:
		who = "with a shared access signature"
	case o.Identity:
		who = "as an identity of Microsoft Entra"
	}
	place := fmt.Sprintf("%s, %s", h.azblob.place(), who)
	if o.Tier != "" {
		place += ", access tier " + string(o.Tier)
	}
	facts := []dest.Fact{{Subject: dest.SubjectPlace, Text: place}}
	if !strings.HasPrefix(o.Endpoint, "https://") {
		facts = append(facts, dest.Fact{Subject: dest.SubjectPlace, Text: "the line to the service is not encrypted: use https", Warning: true})
	}
	facts = append(facts, h.checksumFact(ctx))
	if h.azblob.immutable.Load() {
		facts = append(facts, dest.Fact{Subject: dest.SubjectRename, Text: "the container keeps blobs unchanged: the agent's own files take a new name each time they change"})
	}
	if expiry, ok := h.expiry(); ok {
		left := time.Until(expiry)
		facts = append(facts, dest.Fact{
			Subject: dest.SubjectPlace, Warning: left < expiryWarning,
			Text: fmt.Sprintf("the shared access signature expires at %s: put a new one in its place before", expiry.UTC().Format(time.RFC3339)),
		})
	}
	return facts
}

func (h *handle) checksumFact(ctx context.Context) dest.Fact {
	fact := dest.Fact{Subject: dest.SubjectChecksum}
	switch {
	case h.azblob.options.Readback:
		fact.Text = "everything is read back, as configured"
	case h.md5IsChecked(ctx):
		fact.Text = fmt.Sprintf("the service refuses a wrong MD5; files above %d MiB are read back", h.azblob.options.PartBytes>>20)
	default:
		fact.Text, fact.Warning = "the service has not refused a wrong MD5, so everything is read back: that takes longer and costs traffic", true
	}
	return fact
}

// expiry is when the signature in use expires, where it says so itself (and not a policy stored at the container).
func (h *handle) expiry() (time.Time, bool) {
	if h.azblob.options.SAS == nil {
		return time.Time{}, false
	}
	sas, err := h.azblob.options.SAS()
	if err != nil {
		return time.Time{}, false
	}
	values, err := url.ParseQuery(strings.TrimPrefix(sas, "?"))
	if err != nil {
		return time.Time{}, false
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z", time.DateOnly} {
		if at, err := time.Parse(layout, values.Get("se")); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}
