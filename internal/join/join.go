// Package join is the join string: the one line that an operator hands to a client's administrator, and all that
// a new agent needs to know to enroll. It holds a secret and is to be treated as one. The package does no I/O; it
// neither redeems a join string nor judges whether it expired, which is the server's to say.
package join

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/wolkvox/backup/internal/ledger"
)

// prefix names the form and its version.
const prefix = "wvx1."

const (
	checksumBytes   = 4
	maxAddressBytes = 255
	maxStringBytes  = 1024
)

// ErrMistyped says that a text is no join string as a server made it: a character was changed, lost or added.
var ErrMistyped = errors.New("the join string is mistyped or incomplete: copy it again, whole")

// Secret is the one-time secret of a join string. It is not shown where values are formatted or logged.
type Secret [32]byte

// NewSecret returns 32 random bytes.
func NewSecret() Secret {
	var s Secret
	rand.Read(s[:]) // never fails, see crypto/rand
	return s
}

// Hash returns the SHA-256 of the secret, which is all that a server keeps of it.
func (s Secret) Hash() [sha256.Size]byte { return sha256.Sum256(s[:]) }

// String hides the secret.
func (s Secret) String() string { return "(secret)" }

// GoString hides the secret.
func (s Secret) GoString() string { return "(secret)" }

// LogValue hides the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue("(secret)") }

// Join is what a join string says. Values compare with == where ExpireTime is in UTC.
type Join struct {
	Server     string            // the address that the agent calls, HOST:PORT
	Pin        [sha256.Size]byte // of the server's authority: SHA-256 of its SubjectPublicKeyInfo
	Secret     Secret            // redeemed once
	Origin     ledger.Origin     // of the log of the destination that the agent shall serve
	ExpireTime time.Time         // UTC, whole seconds
}

// CheckAddress reports why s is no address HOST:PORT that an agent can call, nil if it is one.
func CheckAddress(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("the server's address %.300q is not HOST:PORT: %w", s, err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || strconv.FormatUint(number, 10) != port {
		return fmt.Errorf("the port of the server's address %.300q is not a number from 1 to 65535", s)
	}
	outside := func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:", r)
	}
	if host == "" || len(s) > maxAddressBytes || strings.ContainsFunc(host, outside) || net.JoinHostPort(host, port) != s {
		return fmt.Errorf("the host of the server's address %.300q is neither a DNS name nor an IP address", s)
	}
	return nil
}

// Format returns the join string: "wvx1." and, in base64url without padding (RFC 4648 §5), the pin, the secret, the
// time of expiry (seconds since 1970, 8 bytes, big-endian), the length of the server's address in one byte, the
// address, the origin, and the first 4 bytes of the SHA-256 of all that goes before, "wvx1." included.
func (j Join) Format() (string, error) {
	if err := CheckAddress(j.Server); err != nil {
		return "", fmt.Errorf("make a join string: %w", err)
	}
	if _, err := ledger.ParseOrigin(string(j.Origin)); err != nil {
		return "", fmt.Errorf("make a join string: %w", err)
	}
	if seconds := j.ExpireTime.Unix(); seconds < 0 || !j.ExpireTime.Equal(time.Unix(seconds, 0)) {
		return "", fmt.Errorf("make a join string: its end %v is not in whole seconds after 1970", j.ExpireTime)
	}
	b := []byte(prefix)
	b = append(b, j.Pin[:]...)
	b = append(b, j.Secret[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(j.ExpireTime.Unix()))
	b = append(b, byte(len(j.Server)))
	b = append(b, j.Server...)
	b = append(b, j.Origin...)
	sum := sha256.Sum256(b)
	b = append(b, sum[:checksumBytes]...)
	return prefix + base64.RawURLEncoding.EncodeToString(b[len(prefix):]), nil
}

// Parse reads a join string; of what is not exactly one it returns [ErrMistyped]. It does not look at the time: a
// join string that expired is parsed like any other.
func Parse(s string) (Join, error) {
	text, ok := strings.CutPrefix(s, prefix)
	if !ok || len(s) > maxStringBytes {
		return Join{}, ErrMistyped
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < checksumBytes {
		return Join{}, ErrMistyped
	}
	body, checksum := raw[:len(raw)-checksumBytes], raw[len(raw)-checksumBytes:]
	sum := sha256.Sum256(append([]byte(prefix), body...))
	if !bytes.Equal(sum[:checksumBytes], checksum) {
		return Join{}, ErrMistyped
	}
	j, ok := parseBody(body)
	if !ok {
		return Join{}, ErrMistyped
	}
	if again, err := j.Format(); err != nil || again != s {
		return Join{}, ErrMistyped
	}
	return j, nil
}

func parseBody(b []byte) (Join, bool) {
	var j Join
	const fixed = len(j.Pin) + len(j.Secret) + 8 + 1
	if len(b) < fixed {
		return Join{}, false
	}
	b = b[copy(j.Pin[:], b):]
	b = b[copy(j.Secret[:], b):]
	j.ExpireTime = time.Unix(int64(binary.BigEndian.Uint64(b)), 0).UTC()
	size := int(b[8])
	b = b[9:]
	if len(b) < size {
		return Join{}, false
	}
	j.Server, j.Origin = string(b[:size]), ledger.Origin(b[size:])
	return j, true
}
