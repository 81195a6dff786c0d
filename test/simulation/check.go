package simulation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// tail says how much of a log was looked at.
type tail struct {
	size int64
	root string
}

// isOwn reports whether a name at a destination is one of the agent's own files.
func isOwn(name string) bool { return strings.HasPrefix(name, backup.OwnPrefix) }

// check looks at everything that must hold at any time. All processes wait.
func (w *world) check() error {
	w.checkForked()
	for _, d := range w.destinations {
		log, err := w.server.Ledger(d.origin)
		if err != nil {
			return err
		}
		if err := w.checkEntries(d, log); err != nil {
			return err
		}
		files := d.place.Files()
		if err := w.checkConfirmed(d, log, files, d.harmed); err != nil {
			return err
		}
		w.checkVisible(d, files)
		if err := w.checkKept(d, log, files[backup.OwnPrefix+"/head"]); err != nil {
			return err
		}
		w.noteAgreed(d, log.Agreed())
		for _, m := range w.machines {
			own, err := m.Ledger(d.origin)
			if err != nil {
				return err
			}
			w.noteAgreed(d, own.Agreed())
			if err := checkSum(w, "an agent's log", own); err != nil {
				return err
			}
		}
		if err := checkSum(w, "the server's log", log); err != nil {
			return err
		}
		if err := w.noteDecided(d); err != nil {
			return err
		}
	}
	return nil
}

// checkSum makes sure that what was announced is the sum over all states.
func checkSum(w *world, whose string, log *store.Ledger) error {
	var announced int64
	log.View(func(l *ledger.Log) {
		for _, m := range l.Manifests {
			announced += m.Items
		}
	})
	total, err := log.Total()
	if total.Sum() != announced {
		w.violate("%s: the states of items do not add up to what was sealed", whose)
	}
	return err
}

// checkEntries looks at the entries that the server's log has since the last time.
func (w *world) checkEntries(d *destination, log *store.Ledger) error {
	size, _ := log.Position()
	if root, err := log.RootAt(min(d.read.size, size)); err != nil {
		return err
	} else if size < d.read.size || d.read.size > 0 && fmt.Sprint(root) != d.read.root {
		d.read = tail{}
	}
	var bodies []ledger.Entry
	for leaf, err := range log.Entries(d.read.size, size) {
		if err != nil {
			return err
		}
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			return err
		}
		bodies = append(bodies, e)
	}
	for _, e := range bodies {
		if err := w.checkEntry(d, log, e); err != nil {
			return err
		}
	}
	root, err := log.RootAt(size)
	d.read = tail{size, fmt.Sprint(root)}
	return err
}

func (w *world) checkEntry(d *destination, log *store.Ledger, e ledger.Entry) error {
	w.saw(e.Body.Kind().String())
	switch body := e.Body.(type) {
	case ledger.Delivered:
		for index := range body.Indexes.All() {
			if known := d.decided[item{body.Manifest, index, body.Root}]; known != nil && !known.known.IsZero() && e.Time.After(known.known.Add(2*time.Second)) && (!w.storesBack || !w.serverBack) {
				w.violate("a recording that a person had declined or given up was signed for again")
			}
		}
	case ledger.Sealed:
		for line, err := range log.Lines(body.Manifest, 0) {
			if err != nil {
				return err
			}
			if d.known[line.Item.Path] == nil {
				d.known[line.Item.Path] = map[backup.Digest]bool{}
			}
			d.known[line.Item.Path][line.Item.Digest] = true
		}
	case ledger.Lost:
		for index := range body.Indexes.All() {
			line, err := log.Line(body.Manifest, index)
			if err != nil {
				return err
			}
			if !d.harmed[line.Item.Path] {
				w.violate("lost was signed for what nobody touched at the destination")
			}
		}
	case ledger.Withdrawn:
		for index := range body.Indexes.All() {
			line, err := log.Line(body.Manifest, index)
			if err != nil {
				return err
			}
			source := line.Item.Path
			if line.Item.SourcePath != "" {
				source = line.Item.SourcePath
			}
			if !w.source.Touched(source) {
				w.violate("an item was withdrawn whose source nobody touched")
			}
		}
	}
	return nil
}

// checkConfirmed makes sure that what the server's log calls confirmed is at the destination, but for what was harmed.
func (w *world) checkConfirmed(d *destination, log *store.Ledger, files map[string][]byte, harmed map[string]bool) error {
	return eachItem(log, backup.Confirmed, func(item backup.Item) {
		if data, ok := files[item.Path]; !harmed[item.Path] && (!ok || digestOf(data) != item.Digest) {
			w.violate("confirmed but not at the destination")
		}
	})
}

// eachItem calls f for the items of a log that are in a state.
func eachItem(log *store.Ledger, state backup.State, f func(item backup.Item)) error {
	var manifests int64
	log.View(func(l *ledger.Log) { manifests = int64(len(l.Manifests)) })
	for n := int64(1); n <= manifests; n++ {
		items, err := log.Items(n, state)
		if err != nil {
			return err
		}
		for index := range items.All() {
			line, err := log.Line(n, index)
			if err != nil {
				return err
			}
			f(line.Item)
		}
	}
	return nil
}

// checkVisible makes sure that nothing unfinished is visible, nothing of somebody else's was touched, and nothing was
// written into the folder that is no share.
func (w *world) checkVisible(d *destination, files map[string][]byte) {
	for name, data := range files {
		if _, foreign := d.foreign[name]; foreign || isOwn(name) || d.harmed[name] {
			continue
		}
		if !d.known[name][digestOf(data)] {
			w.violate("an unfinished or wrong file is visible at the destination")
		}
	}
	for name, data := range d.foreign {
		if string(files[name]) != string(data) {
			w.violate("a file of somebody else's was touched")
		}
	}
	if len(d.place.FolderFiles()) > 0 {
		w.violate("something was written into the folder where the share is not mounted")
	}
}

// noteAgreed remembers a head that was agreed.
func (w *world) noteAgreed(d *destination, note []byte) {
	if len(note) == 0 {
		return
	}
	if head, _, err := ledger.ParseHead(note); err == nil {
		d.agreed[head] = true
	}
}

// checkFold folds a log from nothing and compares.
func (w *world) checkFold(ctx context.Context, whose string, log *store.Ledger) error {
	report, err := log.Verify(ctx)
	for _, problem := range report.Problems {
		w.violate("%s: %s", whose, problem)
	}
	return err
}

// checkKept makes sure that the head kept at the destination is agreed with the agent that the log assigns at its size.
func (w *world) checkKept(d *destination, log *store.Ledger, note []byte) error {
	if len(note) == 0 || string(note) == d.kept {
		return nil
	}
	head, _, err := ledger.ParseHead(note)
	if err != nil {
		return err
	}
	if root, err := log.RootAt(head.Size); errors.Is(err, store.ErrNotFound) || err == nil && root != head.Root {
		return nil // of a history that the server does not have now
	} else if err != nil {
		return err
	}
	server, agent, err := keysAt(log, head.Size)
	if err != nil {
		return err
	}
	if _, _, err := ledger.OpenAgreedHead(note, server, agent); err != nil {
		w.violate("the head kept at the destination is not agreed with the agent that serves it (%v)", err)
	}
	d.kept = string(note)
	return nil
}

// keysAt returns the keys of the server and of the agent assigned as of the first size entries of a log.
func keysAt(log *store.Ledger, size int64) (server, agent ledger.Verifier, err error) {
	for leaf, err := range log.Entries(0, size) {
		if err != nil {
			return server, agent, err
		}
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			return server, agent, err
		}
		switch body := e.Body.(type) {
		case ledger.Genesis:
			server = body.ServerKey
		case ledger.Rekeyed:
			server = body.NewKey
		case ledger.Assigned:
			agent = body.Request.AgentKey
		}
	}
	return server, agent, nil
}
