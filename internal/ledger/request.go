package ledger

import "bytes"

// Request is an agent's signed wish to serve a log. It stands verbatim in the assigned that grants it.
type Request struct {
	Origin   Origin
	AgentKey Verifier
	Note     []byte // the exact bytes of the signed note
}

// SignRequest makes the request of the agent with this key to serve the log o.
func SignRequest(o Origin, key *SigningKey) (Request, error) {
	text := requestText(o, key.Verifier())
	return ParseRequest(key.appendSignature(append(bytes.Clone(text), '\n'), text))
}

// ParseRequest reads a request and verifies its signature. The error is a [*RefusedError] with LIMIT, TEXT or SIGNATURE.
func ParseRequest(b []byte) (Request, error) {
	if len(b) > MaxEntryBytes {
		return Request{}, refuse(ReasonLimit, "the request has %d bytes, more than an entry can hold", len(b))
	}
	r, n, refused := parseRequest(bytes.Clone(b))
	if refused != nil {
		return Request{}, refused
	}
	if refused := r.checkSignature(n); refused != nil {
		return Request{}, refused
	}
	return r, nil
}

func requestText(o Origin, key Verifier) []byte {
	b := append([]byte(requestPrefix), '\n')
	return appendField(appendField(b, "origin", string(o)), "agent-key", string(key))
}

// parseRequest checks the form only.
func parseRequest(b []byte) (Request, note, *RefusedError) {
	n, refused := parseNote(b)
	if refused != nil {
		return Request{}, note{}, refused
	}
	f := &fields{rest: string(n.text)}
	if line := f.line(); line != requestPrefix {
		f.fail("%.80q stands where %s was expected", line, requestPrefix)
	}
	r := Request{f.origin("origin"), f.verifier("agent-key"), b}
	f.end()
	if origin, _, err := ParseAgentKeyName(r.AgentKey.Name()); err != nil || origin != r.Origin {
		f.fail("agent-key has the name %.200q, which is not an agent's for this log", r.AgentKey.Name())
	}
	return r, n, f.refused
}

func (r Request) checkSignature(n note) *RefusedError {
	if len(n.signatures) != 1 || !n.signatures[0].isBy(r.AgentKey) || !n.signatures[0].verifies(r.AgentKey, n.text) {
		return refuse(ReasonSignature, "the request has not exactly one valid signature, by its agent-key")
	}
	return nil
}
