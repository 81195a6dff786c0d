package ledger

import (
	"bytes"
	"fmt"

	"github.com/wolkvox/backup"
)

// Sign returns the leaf of e: its text with the signatures of the keys, in their order: for rekeyed the old key
// and the new one, otherwise a single key. The same entry and keys give the same bytes. What [ParseEntry] would
// refuse, and keys that the entry's kind does not allow, are errors; a refused text is a [*RefusedError].
func Sign(e Entry, keys ...*SigningKey) ([]byte, error) {
	if e.Body == nil {
		return nil, refuse(ReasonText, "the entry has no body")
	}
	kind := e.Body.Kind()
	text := e.appendText(nil)
	leaf := append(bytes.Clone(text), '\n')
	for _, key := range keys {
		leaf = key.appendSignature(leaf, text)
	}
	parsed, _, refused := parseEntry(leaf)
	if refused == nil {
		refused = checkWritten(e.Body, parsed.Body)
	}
	if refused != nil {
		return nil, fmt.Errorf("sign %s: %w", kind, refused)
	}
	if err := checkSigners(parsed, keys); err != nil {
		return nil, fmt.Errorf("sign %s: %w", kind, err)
	}
	if assigned, ok := parsed.Body.(Assigned); ok {
		if refused := assigned.checkRequest(); refused != nil {
			return nil, fmt.Errorf("sign %s: %w", kind, refused)
		}
	}
	return leaf, nil
}

// checkWritten refuses a body that holds what its text does not say.
func checkWritten(body, written Body) *RefusedError {
	switch b := body.(type) {
	case Assigned:
		if w := written.(Assigned).Request; b.Request.Origin != w.Origin || b.Request.AgentKey != w.AgentKey {
			return refuse(ReasonText, "the request's fields are not those of its note")
		}
	case Closed:
		if b.Counts[0] != 0 || b.Counts[backup.Pending] != 0 {
			return refuse(ReasonText, "closed leaves nothing pending, but counts %d pending", b.Counts[backup.Pending])
		}
	}
	return nil
}

// checkSigners says whether e may be signed by these keys, in any log.
func checkSigners(e Entry, keys []*SigningKey) error {
	want := []Verifier{""}
	switch b := e.Body.(type) {
	case Genesis:
		want = []Verifier{b.ServerKey}
	case Rekeyed:
		want = []Verifier{b.OldKey, b.NewKey}
	}
	if len(keys) != len(want) {
		return fmt.Errorf("%d keys sign where %d must", len(keys), len(want))
	}
	for i, key := range keys {
		if want[i] != "" && key.verifier != want[i] {
			return fmt.Errorf("the key %s is not the one that the entry names", key)
		}
		if e.Body.Kind().IsReceipt() {
			if origin, _, err := ParseAgentKeyName(key.name); err != nil || origin != e.Origin {
				return fmt.Errorf("the key %s is not an agent's key for the log %s", key, e.Origin)
			}
		} else if key.name != string(e.Origin) {
			return fmt.Errorf("the key %s is not the server's key of the log %s", key, e.Origin)
		}
	}
	return nil
}

func (a Assigned) checkRequest() *RefusedError {
	r, n, refused := parseRequest(a.Request.Note)
	if refused != nil {
		return refused
	}
	return r.checkSignature(n)
}
