package proof

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// Made is a proof and what it shows.
type Made struct {
	Text                                []byte // of the proof
	Proven                              ledger.Proven
	ServerFingerprint, AgentFingerprint string // of the genesis key, and of the agent's key that cosigned the head
}

// Make proves the recording at an index of a manifest up to the last agreed head, and checks the proof before it returns
// it. [ErrNotProvable] where no agreed head has its sealing yet, or its line was erased. It reads the manifest's lines and the
// log's entries once, a piece at a time.
func Make(ctx context.Context, log *store.Ledger, lines Lines, number, index int64) (Made, error) {
	made, err := makeProof(ctx, log, lines, number, index)
	if err != nil {
		return Made{}, fmt.Errorf("prove %d/%d of %s: %w", number, index, log.Origin(), err)
	}
	return made, nil
}

func makeProof(ctx context.Context, log *store.Ledger, lines Lines, number, index int64) (Made, error) {
	m, ok := manifest(log, number)
	if !ok || index < 0 || index >= m.Items {
		return Made{}, ErrNoRecording
	}
	note := log.Agreed()
	if note == nil {
		return Made{}, fmt.Errorf("%w: both sides have not agreed on any head yet; try again after the next run", ErrNotProvable)
	}
	head, _, err := ledger.ParseHead(note)
	if err != nil {
		return Made{}, err
	}
	if m.SealedAt >= head.Size {
		return Made{}, fmt.Errorf("%w: it was sealed after the last agreed head, of %d entries; try again after the next run", ErrNotProvable, head.Size)
	}
	line, linePath, err := linePath(ctx, m, lines, index)
	if err != nil {
		return Made{}, err
	}
	p, err := ledger.NewProof(number, index, line, linePath, log.Entries(0, head.Size), log, note)
	if err != nil {
		return Made{}, err
	}
	made := Made{Text: p.Bytes()}
	if made.ServerFingerprint, made.AgentFingerprint, err = fingerprints(p); err != nil {
		return Made{}, err
	}
	made.Proven, err = p.Check(made.ServerFingerprint, made.AgentFingerprint)
	return made, err
}

// linePath returns the line at index and its audit path.
func linePath(ctx context.Context, m ledger.Manifest, lines Lines, index int64) (line []byte, hashes []tlog.Hash, err error) {
	auditPath := ledger.NewAuditPath(index, m.Items)
	at := int64(0)
	for piece, err := range lines(m.Number, 0) {
		if err := errors.Join(err, context.Cause(ctx)); err != nil {
			return nil, nil, err
		}
		for raw := range bytes.Lines(piece) {
			parsed, err := ledger.ParseManifestLine(bytes.TrimSuffix(raw, []byte{'\n'}))
			if err != nil {
				return nil, nil, fmt.Errorf("line %d: %w", at, err)
			}
			if at == index {
				if parsed.Forgotten {
					return nil, nil, fmt.Errorf("%w: its line was erased", ErrNotProvable)
				}
				line = bytes.Clone(parsed.Text)
			}
			auditPath.Add(parsed.Hash)
			at++
		}
	}
	hashes, ok := auditPath.Path()
	if !ok {
		return nil, nil, fmt.Errorf("manifest %d has only %d of %d lines", m.Number, at, m.Items)
	}
	return line, hashes, nil
}

// fingerprints returns those of the keys in a proof: the first one of the server, the last one of an agent.
func fingerprints(p *ledger.Proof) (server, agent string, err error) {
	for _, e := range p.Entries {
		entry, err := ledger.ParseEntry(e.Leaf)
		if err != nil {
			return "", "", err
		}
		switch body := entry.Body.(type) {
		case ledger.Genesis:
			server = body.ServerKey.Fingerprint()
		case ledger.Assigned:
			agent = body.Request.AgentKey.Fingerprint()
		}
	}
	return server, agent, nil
}
