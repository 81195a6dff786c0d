package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"
)

// WitnessKey is the text form of the public key of a witness, NAME+ID+KEY with the type byte of cosignatures (C2SP
// tlog-cosignature v1; proto/README.md, section 1.9). [ParseWitnessKey] and [SigningKey.WitnessKey] give valid ones.
type WitnessKey string

// ParseWitnessKey reads the key of a witness. The error is a [*RefusedError] with TEXT.
func ParseWitnessKey(s string) (WitnessKey, error) {
	k := WitnessKey(s)
	if public := k.publicKey(); public == nil || !isKeyName(k.Name()) || newWitnessKey(k.Name(), public) != k {
		return "", refuse(ReasonText, "%.300q is no key of a witness of the form NAME+ID+KEY, with the type byte of cosignatures", s)
	}
	return k, nil
}

func newWitnessKey(name string, public ed25519.PublicKey) WitnessKey {
	id := keyID(name, algorithmCosigned, public)
	return WitnessKey(name + "+" + hex.EncodeToString(id[:]) + "+" + base64.StdEncoding.EncodeToString(append([]byte{algorithmCosigned}, public...)))
}

// Name returns the name of the witness.
func (k WitnessKey) Name() string {
	name, _, _ := strings.Cut(string(k), "+")
	return name
}

func (k WitnessKey) publicKey() ed25519.PublicKey {
	_, rest, _ := strings.Cut(string(k), "+")
	_, key, _ := strings.Cut(rest, "+")
	b, ok := readBase64(key)
	if !ok || len(b) != 1+ed25519.PublicKeySize || b[0] != algorithmCosigned {
		return nil
	}
	return b[1:]
}

// WitnessKey returns the public half as that of a witness.
func (k *SigningKey) WitnessKey() WitnessKey { return newWitnessKey(k.name, k.verifier.PublicKey()) }

// CosignAsWitness returns the signature line, with its LF, of a witness over a checkpoint's text. at is cut to whole seconds of
// the years 1970 to 9999. That the checkpoint extends all that the witness signed before is for the caller to have proved.
func (k *SigningKey) CosignAsWitness(text []byte, at time.Time) []byte {
	return k.appendCosignature(nil, text, at)
}

// OpenWitnessed verifies one signature line of a witness, with its LF, over a checkpoint's text, and returns the time that it
// names. The error is a [*RefusedError] with TEXT, KEY or SIGNATURE.
func OpenWitnessed(line, text []byte, key WitnessKey) (time.Time, error) {
	content, ok := strings.CutSuffix(string(line), "\n")
	s, ok2 := parseSignature(content)
	at, ok3 := s.cosignedAt()
	switch public := key.publicKey(); {
	case !ok || !ok2:
		return time.Time{}, refuse(ReasonText, "%.300q is no signature line", line)
	case public == nil || s.name != key.Name() || s.id != keyID(s.name, algorithmCosigned, public):
		return time.Time{}, refuse(ReasonKey, "the cosignature is by %s+%x, not by %s", s.name, s.id, key)
	case !ok3 || !ed25519.Verify(public, cosigned(text, at.Unix()), s.blob[8:]):
		return time.Time{}, refuse(ReasonSignature, "the cosignature by %s is not valid", key)
	}
	return at, nil
}
