package ledger

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Head is the size and root of a log: what the server signs in a checkpoint, and both sides in an agreed head
// (proto/README.md, section 1.5). Heads of the same log are comparable with ==.
type Head struct {
	Origin Origin
	Size   int64 // at least 1
	Root   tlog.Hash
}

func (h Head) appendText(b []byte) []byte {
	b = append(append(b, h.Origin...), '\n')
	b = append(appendDecimal(b, h.Size), '\n')
	return append(base64.StdEncoding.AppendEncode(b, h.Root[:]), '\n')
}

func parseHeadText(text []byte) (Head, *RefusedError) {
	f := &fields{rest: string(text)}
	origin, err := ParseOrigin(f.line())
	if err != nil {
		f.fail("the first line is no origin")
	}
	size, ok := readDecimal(f.line())
	root, ok2 := readBase64(f.line())
	f.end()
	h := Head{Origin: origin, Size: size}
	if !ok || size < 1 || !ok2 || copy(h.Root[:], root) != len(h.Root) || !bytes.Equal(h.appendText(nil), text) {
		f.fail("the text is not that of a checkpoint: origin, size of at least 1 and root")
	}
	return h, f.refused
}

// SignHead returns the checkpoint of h, signed by the server's key of the log.
func SignHead(h Head, key *SigningKey) ([]byte, error) {
	text := h.appendText(nil)
	if _, refused := parseHeadText(text); refused != nil {
		return nil, fmt.Errorf("sign a head: %w", refused)
	}
	if key.name != string(h.Origin) {
		return nil, fmt.Errorf("sign a head: the key %s is not the server's key of the log %s", key, h.Origin)
	}
	return key.appendSignature(append(bytes.Clone(text), '\n'), text), nil
}

// ParseHead reads a head, agreed or not, and checks its form only: whoever trusts it must open it. The error is a
// [*RefusedError] with TEXT.
func ParseHead(b []byte) (h Head, agreed bool, err error) {
	h, n, refused := parseHead(b)
	if refused != nil {
		return Head{}, false, refused
	}
	return h, len(n.signatures) == 2, nil
}

func parseHead(b []byte) (Head, note, *RefusedError) {
	n, refused := parseNote(b)
	if refused != nil {
		return Head{}, note{}, refused
	}
	h, refused := parseHeadText(n.text)
	if refused != nil {
		return Head{}, note{}, refused
	}
	server := n.signatures[0]
	if server.name != string(h.Origin) || len(server.blob) != ed25519.SignatureSize || len(n.signatures) > 2 {
		return Head{}, note{}, refuse(ReasonText, "the signatures are not those of a head")
	}
	if len(n.signatures) == 2 {
		agent := n.signatures[1]
		origin, _, err := ParseAgentKeyName(agent.name)
		if _, ok := agent.cosignedAt(); err != nil || origin != h.Origin || !ok {
			return Head{}, note{}, refuse(ReasonText, "the second signature is not an agent's cosignature")
		}
	}
	return h, n, nil
}

// OpenHead verifies a head with exactly one signature, the server's. The error is a [*RefusedError] with TEXT, KEY or
// SIGNATURE.
func OpenHead(b []byte, server Verifier) (Head, error) {
	h, n, refused := parseHead(b)
	if refused == nil {
		refused = checkHead(n, server, 1)
	}
	if refused != nil {
		return Head{}, refused
	}
	return h, nil
}

// OpenAgreedHead verifies a head with exactly two signatures, the server's and the agent's cosignature, and returns
// the time that the latter names. The error is a [*RefusedError] with TEXT, KEY or SIGNATURE.
func OpenAgreedHead(b []byte, server, agent Verifier) (Head, time.Time, error) {
	h, n, refused := parseHead(b)
	if refused == nil {
		refused = checkHead(n, server, 2)
	}
	if refused != nil {
		return Head{}, time.Time{}, refused
	}
	cosignature := n.signatures[1]
	if !cosignature.isCosignatureBy(agent) {
		return Head{}, time.Time{}, refuse(ReasonKey, "the head is cosigned by %s+%x, not by %s", cosignature.name, cosignature.id, agent)
	}
	if !cosignature.cosigns(agent, n.text) {
		return Head{}, time.Time{}, refuse(ReasonSignature, "the cosignature by %s is not valid", agent)
	}
	at, _ := cosignature.cosignedAt()
	return h, at, nil
}

func checkHead(n note, server Verifier, signatures int) *RefusedError {
	if s := n.signatures[0]; !s.isBy(server) {
		return refuse(ReasonKey, "the head is signed by %s+%x, not by %s", s.name, s.id, server)
	}
	if len(n.signatures) != signatures {
		return refuse(ReasonSignature, "the head has %d signatures instead of %d", len(n.signatures), signatures)
	}
	if !n.signatures[0].verifies(server, n.text) {
		return refuse(ReasonSignature, "the signature by %s is not valid", server)
	}
	return nil
}

// Cosign verifies a head with the server's signature alone and returns the agreed head: the same bytes and the
// agent's cosignature. at is the server's time as last heard, cut to whole seconds. That the head extends what the
// agent cosigned before is for the caller to have proved.
func Cosign(head []byte, server Verifier, agent *SigningKey, at time.Time) ([]byte, error) {
	h, n, refused := parseHead(head)
	if refused == nil {
		refused = checkHead(n, server, 1)
	}
	if refused != nil {
		return nil, fmt.Errorf("cosign a head: %w", refused)
	}
	if origin, _, err := ParseAgentKeyName(agent.name); err != nil || origin != h.Origin {
		return nil, fmt.Errorf("cosign a head: the key %s is not an agent's key for the log %s", agent, h.Origin)
	}
	at = at.Truncate(time.Second)
	if !isTime(at) {
		return nil, fmt.Errorf("cosign a head: the time %s is not in the years 1970 to 9999", at)
	}
	return agent.appendCosignature(bytes.Clone(head), n.text, at), nil
}
