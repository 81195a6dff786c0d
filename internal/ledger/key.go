package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Type bytes of C2SP signed-note: what a key's ID is computed with.
const (
	algorithmEd25519  = 0x01
	algorithmCosigned = 0x04 // C2SP tlog-cosignature v1
)

// SigningKey is an Ed25519 private key together with its name in signed notes: the log's origin, or
// [Origin.AgentKeyName].
type SigningKey struct {
	name     string
	private  ed25519.PrivateKey
	verifier Verifier
}

// NewSigningKey returns the key with this name. private has ed25519.PrivateKeySize bytes and is copied.
func NewSigningKey(name string, private ed25519.PrivateKey) (*SigningKey, error) {
	if !isKeyName(name) {
		return nil, fmt.Errorf("make a signing key: %.200q cannot be the name of a key", name)
	}
	if len(private) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("make the signing key %s: the private key has %d bytes instead of %d", name, len(private), ed25519.PrivateKeySize)
	}
	public := private.Public().(ed25519.PublicKey)
	return &SigningKey{name, bytes.Clone(private), newVerifier(name, public)}, nil
}

// Verifier returns the public half.
func (k *SigningKey) Verifier() Verifier { return k.verifier }

// String returns the name; the private key is never printed.
func (k *SigningKey) String() string { return k.name }

// appendSignature writes the signature line of this key over text.
func (k *SigningKey) appendSignature(b, text []byte) []byte {
	id := keyID(k.name, algorithmEd25519, k.verifier.PublicKey())
	return appendSignatureLine(b, k.name, append(id[:], ed25519.Sign(k.private, text)...))
}

// appendCosignature writes the signature line of this key over a checkpoint's text (C2SP tlog-cosignature v1).
func (k *SigningKey) appendCosignature(b, text []byte, at time.Time) []byte {
	id := keyID(k.name, algorithmCosigned, k.verifier.PublicKey())
	blob := binary.BigEndian.AppendUint64(id[:], uint64(at.Unix()))
	return appendSignatureLine(b, k.name, append(blob, ed25519.Sign(k.private, cosigned(text, at.Unix()))...))
}

// cosigned returns the bytes that a cosignature signs.
func cosigned(text []byte, seconds int64) []byte {
	return append(append(appendDecimal([]byte("cosignature/v1\ntime "), seconds), '\n'), text...)
}

func appendSignatureLine(b []byte, name string, blob []byte) []byte {
	b = append(b, signaturePrefix...)
	b = append(append(b, name...), ' ')
	return append(base64.StdEncoding.AppendEncode(b, blob), '\n')
}

// Verifier is the text form of a public key, NAME+ID+KEY (proto/README.md, section 1.2). [ParseVerifier] and
// [SigningKey.Verifier] give valid ones; of any other string the methods return zero values.
type Verifier string

func newVerifier(name string, public ed25519.PublicKey) Verifier {
	id := keyID(name, algorithmEd25519, public)
	key := base64.StdEncoding.EncodeToString(append([]byte{algorithmEd25519}, public...))
	return Verifier(name + "+" + hex.EncodeToString(id[:]) + "+" + key)
}

// ParseVerifier reads a verifier, whatever its name. The error is a [*RefusedError] with TEXT.
func ParseVerifier(s string) (Verifier, error) {
	v := Verifier(s)
	if public := v.PublicKey(); public == nil || !isKeyName(v.Name()) || newVerifier(v.Name(), public) != v {
		return "", refuse(ReasonText, "%.300q is no verifier of the form NAME+ID+KEY", s)
	}
	return v, nil
}

// Name returns the key's name.
func (v Verifier) Name() string {
	name, _, _ := strings.Cut(string(v), "+")
	return name
}

// PublicKey returns a new copy of the public key, nil where v is not valid.
func (v Verifier) PublicKey() ed25519.PublicKey {
	_, rest, _ := strings.Cut(string(v), "+")
	_, key, _ := strings.Cut(rest, "+")
	b, ok := readBase64(key)
	if !ok || len(b) != 1+ed25519.PublicKeySize || b[0] != algorithmEd25519 {
		return nil
	}
	return b[1:]
}

// Fingerprint returns the SHA-256 of the verifier's bytes in lower-case hexadecimal: what people compare and write
// down.
func (v Verifier) Fingerprint() string {
	sum := sha256.Sum256([]byte(v))
	return hex.EncodeToString(sum[:])
}

func keyID(name string, algorithm byte, public ed25519.PublicKey) (id [4]byte) {
	b := make([]byte, 0, 256)
	b = append(append(b, name...), '\n', algorithm)
	sum := sha256.Sum256(append(b, public...))
	copy(id[:], sum[:])
	return id
}

// isKeyName reports whether s can be the NAME of a key.
func isKeyName(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e || s[i] == '+' {
			return false
		}
	}
	return s != ""
}
