package ledger

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"strings"
	"time"
)

const signaturePrefix = "— "

// note is a signed note taken apart (proto/README.md, section 1.2). The parser of golang.org/x/mod/sumdb/note is too lax
// for it: it passes over unused base64 bits, doubled signatures and signatures by unknown keys.
type note struct {
	text       []byte // with its last LF
	signatures []signature
}

type signature struct {
	name string
	id   [4]byte
	blob []byte // what follows the ID, at least one byte
}

// parseNote checks the form of a note and nothing about its signatures' number or validity.
func parseNote(b []byte) (note, *RefusedError) {
	if !isText(b) {
		return note{}, refuse(ReasonText, "the note is not UTF-8 text in lines that end in LF")
	}
	split := bytes.LastIndex(b, []byte("\n\n"))
	if split < 0 || split+2 == len(b) {
		return note{}, refuse(ReasonText, "the note has no empty line with signatures after it")
	}
	n := note{text: b[:split+1]}
	for line := range strings.SplitSeq(string(b[split+2:len(b)-1]), "\n") {
		s, ok := parseSignature(line)
		if !ok {
			return note{}, refuse(ReasonText, "%.300q is no signature line", line)
		}
		n.signatures = append(n.signatures, s)
	}
	return n, nil
}

func parseSignature(line string) (signature, bool) {
	rest, ok := strings.CutPrefix(line, signaturePrefix)
	name, encoded, ok2 := strings.Cut(rest, " ")
	blob, ok3 := readBase64(encoded)
	if !ok || !ok2 || !ok3 || !isKeyName(name) || len(blob) < 5 {
		return signature{}, false
	}
	s := signature{name: name, blob: blob[4:]}
	copy(s.id[:], blob)
	return s, true
}

// isBy reports whether the signature names the key, as signing an entry or a head.
func (s *signature) isBy(key Verifier) bool {
	return s.name == key.Name() && s.id == keyID(s.name, algorithmEd25519, key.PublicKey())
}

func (s *signature) verifies(key Verifier, text []byte) bool {
	public := key.PublicKey()
	return public != nil && ed25519.Verify(public, text, s.blob)
}

// isCosignatureBy reports whether the signature names the key, as cosigning a head.
func (s *signature) isCosignatureBy(key Verifier) bool {
	return s.name == key.Name() && s.id == keyID(s.name, algorithmCosigned, key.PublicKey())
}

// cosignedAt returns the time in a cosignature; false where the signature has not the form of one.
func (s *signature) cosignedAt() (time.Time, bool) {
	if len(s.blob) != 8+ed25519.SignatureSize {
		return time.Time{}, false
	}
	seconds := binary.BigEndian.Uint64(s.blob)
	if seconds > MaxCosignedSeconds {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0).UTC(), true
}

func (s *signature) cosigns(key Verifier, text []byte) bool {
	public := key.PublicKey()
	at, ok := s.cosignedAt()
	return ok && public != nil && ed25519.Verify(public, cosigned(text, at.Unix()), s.blob[8:])
}
