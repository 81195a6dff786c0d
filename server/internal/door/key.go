package door

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"
)

const (
	maxKeyText   = 8 << 10 // bytes of a line with a public key
	maxComment   = 100     // bytes
	minRSABits   = 3072    // NIST SP 800-57 part 1: 128 bits of strength
	maxRSABits   = 8192    // checking a signature by a longer one takes too long
	goodKeyTypes = "ssh-ed25519, ecdsa-sha2-nistp256, -nistp384 or -nistp521, or ssh-rsa of at least 3072 bits"
)

// Key is a public key that may be let in.
type Key struct {
	Fingerprint string // SHA256:…
	Text        string // as a line of an authorized_keys file, without options and comment
	Comment     string // of the line it was read from
}

// ParseKey reads a public key as `ssh-keygen` writes it: one line of an authorized_keys file. It refuses options, which
// would not be obeyed, and kinds of keys that are weak or not known.
func ParseKey(text string) (Key, error) {
	if len(text) > maxKeyText {
		return Key{}, fmt.Errorf("the key is longer than %d bytes", maxKeyText)
	}
	if strings.Contains(text, "PRIVATE KEY") {
		return Key{}, errors.New("this is a private key, which nobody but its owner may have: make a new pair, and give the file that ends in .pub")
	}
	public, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(text))
	switch {
	case err != nil:
		return Key{}, errors.New("this is no public key; give the one line that ssh-keygen writes into the file that ends in .pub")
	case len(bytes.TrimSpace(rest)) > 0:
		return Key{}, errors.New("there is more than one line; give one key at a time")
	case len(options) > 0:
		return Key{}, fmt.Errorf("the line has options (%.40q), which would not be obeyed: leave them out", strings.Join(options, ","))
	}
	if err := checkKey(public); err != nil {
		return Key{}, err
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
	return Key{Fingerprint: ssh.FingerprintSHA256(public), Text: line, Comment: comment}, nil
}

// checkKey refuses keys that are weak or of a kind that is not known. What is let in is judged by it too.
func checkKey(public ssh.PublicKey) error {
	switch public.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return nil
	case ssh.KeyAlgoRSA:
		key, ok := public.(ssh.CryptoPublicKey)
		if !ok {
			break
		}
		number, ok := key.CryptoPublicKey().(*rsa.PublicKey)
		if !ok {
			break
		}
		if bits := number.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("the key is RSA of %d bits; take %s", bits, goodKeyTypes)
		}
		return nil
	}
	return fmt.Errorf("keys of the kind %s are not let in; take %s", public.Type(), goodKeyTypes)
}

// CheckComment reports why a text cannot say whose a key is.
func CheckComment(comment string) error {
	if len(comment) > maxComment || !utf8.ValidString(comment) || strings.ContainsFunc(comment, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("the comment %.120q is not at most %d bytes of printable text", comment, maxComment)
	}
	return nil
}
