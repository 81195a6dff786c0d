package sequencer

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// Verdict answers one receipt. The numbers equal those of the protocol.
type Verdict uint8

// The verdicts.
const (
	OK          Verdict = 1 // it is in the log
	Gap         Verdict = 2 // its number is beyond the next
	Fork        Verdict = 3 // the log has other bytes under its number, or another receipt before it
	NotAssigned Verdict = 4 // its key is not the one last assigned
	BadRoot     Verdict = 5 // it names a manifest, a root or an index that the log does not have
)

// ErrReceipt says that something is no receipt of this log at all: not canonical, not signed as it says, of another log, or
// an entry of the server. Such bytes get no verdict.
var ErrReceipt = errors.New("not a receipt of this log")

// SubmitReceipts appends receipts, given as their exact bytes, in their order, and returns a verdict for each. Those after
// the first whose verdict is not OK are not looked at and share it. An error says that nothing is known of any: it wraps
// [ErrReceipt], [ErrSuperseded], [ErrNoSession] or [ErrRecovering], or is the store's.
func (s *Sequencer) SubmitReceipts(ctx context.Context, session int64, receipts [][]byte) ([]Verdict, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.CheckSession(session); err != nil {
		return nil, err
	}
	if err := s.mayWrite(); err != nil {
		return nil, err
	}
	var state *ledger.Log
	s.log.View(func(log *ledger.Log) { state = log.Clone() })
	known := s.newKnown(state)
	verdicts := make([]Verdict, len(receipts))
	var fresh [][]byte
	for i, leaf := range receipts {
		verdict, isFresh, err := judge(state, known, leaf)
		if err != nil {
			return nil, fmt.Errorf("receipt %d of %d for %s: %w", i+1, len(receipts), s.Origin(), err)
		}
		if verdicts[i] = verdict; verdict != OK {
			for j := range verdicts[i:] {
				verdicts[i+j] = verdict
			}
			break
		}
		if isFresh {
			fresh = append(fresh, leaf)
		}
	}
	return verdicts, s.appendReceipts(ctx, fresh)
}

// appendReceipts appends in as few transactions as the store takes.
func (s *Sequencer) appendReceipts(ctx context.Context, leaves [][]byte) error {
	for len(leaves) > 0 {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		n, sizeBytes := 1, len(leaves[0])
		for n < len(leaves) && sizeBytes+len(leaves[n]) <= store.MaxAppendBytes {
			sizeBytes += len(leaves[n])
			n++
		}
		if err := s.log.Append(leaves[:n]...); err != nil {
			return err
		}
		leaves = leaves[n:]
	}
	return nil
}

// judge gives the verdict on one receipt in a state of the log, and applies it to that state where it is to be appended.
func judge(state *ledger.Log, known *knownReceipts, leaf []byte) (verdict Verdict, fresh bool, err error) {
	e, err := state.Check(leaf)
	if err == nil {
		receipt, ok := ledger.ReceiptOf(e.Body)
		if !ok {
			return 0, false, fmt.Errorf("%w: it is %s", ErrReceipt, e.Body.Kind())
		}
		state.Apply(leaf, e)
		known.leaves[receipt.Number] = leaf
		return OK, true, nil
	}
	refused, ok := errors.AsType[*ledger.RefusedError](err)
	if !ok {
		return 0, false, err
	}
	switch refused.Reason {
	case ledger.ReasonKey, ledger.ReasonRetired:
		return NotAssigned, false, nil
	case ledger.ReasonManifest, ledger.ReasonRoot, ledger.ReasonIndex:
		return BadRoot, false, nil
	case ledger.ReasonChain:
		verdict, err = known.verdict(state.Chains[state.AgentKey].Number, leaf)
		return verdict, false, err
	}
	return 0, false, fmt.Errorf("%w: %w", ErrReceipt, err)
}

// knownReceipts finds the receipts of the agent's current key that the log holds, from the last one backwards as far as
// they are asked for: what is sent again is nearly always what was sent last.
type knownReceipts struct {
	log    *store.Ledger
	key    ledger.Verifier
	before int64            // entries from here on were looked at
	leaves map[int64][]byte // by number
}

// lookedAtOnce is how many entries are read at once.
const lookedAtOnce = 256

func (s *Sequencer) newKnown(state *ledger.Log) *knownReceipts {
	return &knownReceipts{log: s.log, key: state.AgentKey, before: state.Size, leaves: map[int64][]byte{}}
}

// verdict judges a receipt that does not continue the chain, whose last receipt has the number last.
func (k *knownReceipts) verdict(last int64, leaf []byte) (Verdict, error) {
	e, err := ledger.ParseEntry(leaf)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	receipt, _ := ledger.ReceiptOf(e.Body)
	switch {
	case receipt.Number > last+1:
		return Gap, nil
	case receipt.Number == last+1:
		return Fork, nil
	}
	if err := k.find(receipt.Number); err != nil {
		return 0, err
	}
	if bytes.Equal(k.leaves[receipt.Number], leaf) {
		return OK, nil
	}
	return Fork, nil
}

// find looks back through the log until it has the receipt of this number.
func (k *knownReceipts) find(number int64) error {
	for k.leaves[number] == nil && k.before > 0 {
		until := k.before
		k.before = max(0, until-lookedAtOnce)
		for leaf, err := range k.log.Entries(k.before, until) {
			if err != nil {
				return err
			}
			e, err := ledger.ParseEntry(leaf)
			if err != nil {
				return fmt.Errorf("read an entry of %s: %w", k.log.Origin(), err)
			}
			if receipt, ok := ledger.ReceiptOf(e.Body); ok && signedBy(leaf, k.key) {
				k.leaves[receipt.Number] = leaf
			}
		}
	}
	return nil
}

// signedBy reports whether the last signature line of a note that was verified names the key.
func signedBy(note []byte, key ledger.Verifier) bool {
	line := note[bytes.LastIndexByte(note[:len(note)-1], '\n')+1 : len(note)-1]
	name, signature, _ := strings.Cut(strings.TrimPrefix(string(line), "— "), " ")
	blob, err := base64.StdEncoding.DecodeString(signature)
	return err == nil && len(blob) > 4 && strings.HasPrefix(string(key), name+"+"+hex.EncodeToString(blob[:4])+"+")
}
