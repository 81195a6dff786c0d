package wire

import (
	"fmt"
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ReasonHeader is the metadata in which the caller of AdminService says why: printable text, other than ASCII as encoded
// words (RFC 2047 §2), because gRPC's metadata are ASCII.
const ReasonHeader = "wolkvox-reason"

// MaxReasonBytes is how long a reason may be, in UTF-8.
const MaxReasonBytes = 500

// FormatReason returns a reason as the value of the header. The error says why it cannot be one.
func FormatReason(reason string) (string, error) {
	reason = strings.TrimSpace(reason)
	if err := checkReason(reason); err != nil {
		return "", err
	}
	return mime.QEncoding.Encode("utf-8", reason), nil
}

// ParseReason is the inverse of [FormatReason]. Plain text stands for itself.
func ParseReason(header string) (string, error) {
	reason, err := new(mime.WordDecoder).DecodeHeader(header)
	if err != nil {
		return "", fmt.Errorf("read the reason: %w", err)
	}
	reason = strings.TrimSpace(reason)
	return reason, checkReason(reason)
}

func checkReason(reason string) error {
	if len(reason) > MaxReasonBytes {
		return fmt.Errorf("the reason has %d bytes, more than %d", len(reason), MaxReasonBytes)
	}
	if !utf8.ValidString(reason) {
		return fmt.Errorf("the reason is not in UTF-8")
	}
	for _, r := range reason {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("the reason has the character %U, which cannot be printed", r)
		}
	}
	return nil
}

// TimeZoneHeader is the metadata in which AgentService.GetStatus names the tenant's time zone, an IANA name, where the agent
// knows it: by that clock a person's dates are meant.
const TimeZoneHeader = "wolkvox-time-zone"
