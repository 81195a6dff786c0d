package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// Report is what [Ledger.Verify] found.
type Report struct {
	Origin    ledger.Origin
	Size      int64 // entries that were folded
	Root      tlog.Hash
	Agreed    ledger.Head // the agreed head held; zero where there is none
	Manifests int64
	Items     int64
	Counts    ledger.Counts // of all manifests, as folded
	Problems  []string      // what is not as it should be, for people; none if all is well
}

// Verify folds the ledger from nothing by package ledger alone: it checks every signature and rule, every line and root
// of every manifest, every stored hash and the heads held, and compares the result with the stored states. What it finds
// wrong is in the report; the error says that it could not be finished. Changes may go on meanwhile: it looks at the
// ledger as it was when called.
func (l *Ledger) Verify(ctx context.Context) (Report, error) {
	v := &verifier{
		ctx: ctx, l: l, fold: ledger.NewFold(),
		report:     Report{Origin: l.origin, Root: ledger.EmptyRoot()},
		serverKeys: map[ledger.Verifier]bool{}, agentKeys: map[ledger.Verifier]bool{},
	}
	err := l.db.view(v.run)
	l.db.harm(v.harm)
	if err != nil {
		err = fmt.Errorf("verify the ledger %s: %w", l.origin, err)
	}
	return v.report, err
}

// verifier is one run of Verify.
type verifier struct {
	ctx                   context.Context
	l                     *Ledger
	tx                    *badger.Txn
	fold                  *ledger.Fold
	report                Report
	serverKeys, agentKeys map[ledger.Verifier]bool // that were ever current
	harm                  error                    // an [ErrDamaged]: the first problem that is the store's
}

// problem takes down what is not as it was written.
func (v *verifier) problem(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	v.report.Problems = append(v.report.Problems, text)
	if v.harm == nil {
		v.harm = damaged(v.l.origin, "%s", text)
	}
}

func (v *verifier) run(tx *badger.Txn) error {
	v.tx = tx
	var r logRecord
	if _, err := get(tx, v.l.id.key(tableLog), &r); err != nil {
		v.problem("%v", err)
		return nil
	}
	if err := v.entries(r.Size); err != nil {
		return err
	}
	v.report.Size, v.report.Root = v.fold.Size, v.fold.Tree.Root()
	v.report.Manifests = int64(len(v.fold.Manifests))
	v.report.Counts = v.fold.Total()
	v.report.Items = v.report.Counts.Sum()
	if r.Size > 0 && !equalJSON(r, newLogRecord(&v.fold.Log, v.report.Root)) {
		v.problem("the stored state of the log differs from the fold of its %d entries", r.Size)
	}
	for _, m := range v.fold.Manifests {
		if err := v.lines(m); err != nil {
			return err
		}
		v.states(m)
	}
	v.heads()
	return nil
}

// entries folds the entries and checks the stored hashes. It stops at the first that is not right.
func (v *verifier) entries(size int64) error {
	stored := &hashReader{tx: v.tx, id: v.l.id}
	for i := range size {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		leaf, err := v.l.entry(v.tx, i)
		if err != nil {
			v.problem("entry %d: %v", i, err)
			return nil
		}
		e, alarms, err := v.fold.Append(leaf)
		if err == nil && e.Origin != v.l.origin {
			err = fmt.Errorf("it is of the log %s", e.Origin)
		}
		if err != nil {
			v.problem("entry %d: %v", i, err)
			return nil
		}
		for _, a := range alarms {
			// The log itself says so: no harm of the store's.
			v.report.Problems = append(v.report.Problems, fmt.Sprintf("entry %d: the counts of manifest %d are %v, folded %v", a.Entry, a.Manifest, a.Said, a.Folded))
		}
		v.serverKeys[v.fold.ServerKey], v.agentKeys[v.fold.AgentKey] = true, true
		want, err := tlog.StoredHashesForRecordHash(i, ledger.LineHash(leaf), stored)
		if err == nil {
			var have []tlog.Hash
			if have, err = readHashes(v.tx, v.l.id, i); err == nil && !slices.Equal(have, want) {
				err = errors.New("they are others")
			}
		}
		if err != nil {
			v.problem("the hashes stored with entry %d: %v", i, err)
		}
	}
	if leaf, err := read(v.tx, v.l.id.key(tableEntries, size)); err != nil || leaf != nil {
		v.problem("there is something after the last of the %d entries", size)
	}
	return nil
}

// lines checks the lines of a sealed manifest.
func (v *verifier) lines(m ledger.Manifest) error {
	checker := ledger.NewManifestChecker()
	erased := v.fold.States(m.Number)[backup.Forgotten]
	for checker.Items() < m.Items {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		lines, err := read(v.tx, v.l.id.key(tableChunks, m.Number, checker.Items()))
		if err != nil || lines == nil {
			v.problem("manifest %d: the lines from %d on are missing: %v", m.Number, checker.Items(), err)
			return nil
		}
		for text := range bytes.Lines(lines) {
			line, err := checker.Add(withoutLF(text))
			if err != nil {
				v.problem("manifest %d: %v", m.Number, err)
				return nil
			}
			if i := checker.Items() - 1; line.Forgotten && !erased.Contains(i) {
				v.problem("manifest %d: line %d is erased, but was not forgotten", m.Number, i)
			}
		}
	}
	if err := checker.Check(m); err != nil {
		v.problem("%v", err)
	}
	return nil
}

// states compares what is stored of a manifest's states with the fold.
func (v *verifier) states(m ledger.Manifest) {
	var r manifestRecord
	found, err := get(v.tx, v.l.id.key(tableManifest, m.Number), &r)
	if err != nil || !found || !equalJSON(r, manifestRecord{sealedRecord(m), v.fold.Counts(m.Number)}) {
		v.problem("manifest %d: its record differs from the fold", m.Number)
	}
	st, err := readStates(v.tx, v.l.id, m.Number, m.Items)
	if err != nil {
		v.problem("%v", err)
		return
	}
	for s, want := range v.fold.States(m.Number) {
		if !setOf(st[s]).Equal(want) {
			v.problem("manifest %d: the stored set of %s items differs from the fold", m.Number, backup.State(s))
		}
	}
}

// heads checks the heads held. They may be signed by keys that were replaced since.
func (v *verifier) heads() {
	if note, err := read(v.tx, v.l.id.key(tableHead)); err != nil {
		v.problem("%v", err)
	} else if note != nil {
		v.head("the head", note, func(server ledger.Verifier) error {
			_, err := ledger.OpenHead(note, server)
			return err
		})
	}
	note, err := read(v.tx, v.l.id.key(tableAgreed))
	if err != nil {
		v.problem("%v", err)
	}
	if note == nil {
		return
	}
	v.report.Agreed = v.head("the agreed head", note, func(server ledger.Verifier) error {
		for agent := range v.agentKeys {
			if _, _, err := ledger.OpenAgreedHead(note, server, agent); err == nil {
				return nil
			}
		}
		return errors.New("none of the agents' keys cosigned it")
	})
	if v.report.Agreed.Size > v.report.Size {
		v.problem("the agreed head names %d entries, there are %d", v.report.Agreed.Size, v.report.Size)
	}
}

// head checks a head by any of the server's keys, and its root where its entries are here.
func (v *verifier) head(what string, note []byte, open func(server ledger.Verifier) error) ledger.Head {
	var errs []error
	for server := range maps.Keys(v.serverKeys) {
		errs = append(errs, open(server))
	}
	if !slices.Contains(errs, nil) {
		v.problem("%s: %v", what, errors.Join(errs...))
	}
	h, _, err := ledger.ParseHead(note)
	if err != nil || h.Size > v.report.Size {
		return h
	}
	root, err := (&hashReader{tx: v.tx, id: v.l.id}).root(h.Size)
	if err != nil || root != h.Root || h.Origin != v.l.origin {
		v.problem("%s: its root at size %d is not the ledger's: %v", what, h.Size, err)
	}
	return h
}

// equalJSON compares two records as they are written, so that equal instants are equal.
func equalJSON(a, b any) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}
