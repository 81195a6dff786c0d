package wire

import (
	"fmt"
	"io"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// Night describes a sealed manifest and what became of it.
func Night(log *store.Ledger, m ledger.Manifest) (*backupv1.Night, error) {
	counts, err := log.Counts(m.Number)
	if err != nil {
		return nil, err
	}
	leaf, err := log.Entry(m.SealedAt)
	if err != nil {
		return nil, err
	}
	entry, err := ledger.ParseEntry(leaf)
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", m.SealedAt, err)
	}
	night := &backupv1.Night{
		Manifest: m.Number, Night: m.Night.String(), ItemCount: m.Items, SizeBytes: m.Bytes, Counts: Counts(counts),
		DeadlineTime: Time(m.Deadline), SealedTime: Time(entry.Time), Open: m.Open,
	}
	if sealed, ok := entry.Body.(ledger.Sealed); ok {
		night.InteractionCount = sealed.Interactions
		for _, u := range sealed.Unrecorded {
			night.Unrecorded = append(night.Unrecorded, &backupv1.UnrecordedCount{Reason: u.Reason, Count: u.Count})
		}
	}
	fault, ok, err := log.LastFault(m.Number)
	if err != nil {
		return nil, err
	}
	if ok {
		night.LastFault = Fault(fault)
	}
	return night, nil
}

// Fault describes why attempts failed.
func Fault(f store.Fault) *backupv1.Fault {
	return &backupv1.Fault{Class: f.Class, Party: f.Party, Code: f.Code, Message: f.Message, LastTime: Time(f.Last), AttemptCount: f.Attempts}
}

// LedgerReport describes what folding a ledger from nothing found.
func LedgerReport(r store.Report) *backupv1.LedgerReport {
	report := &backupv1.LedgerReport{
		Origin: string(r.Origin), Position: Position(r.Size, r.Root), ItemCount: r.Items, Counts: Counts(r.Counts), Problems: r.Problems,
	}
	if r.Agreed.Size > 0 {
		report.Agreed = Position(r.Agreed.Size, r.Agreed.Root)
	}
	return report
}

// HeadPosition returns the log's prefix that a head is of; its signatures are not checked.
func HeadPosition(note []byte) (*backupv1.LogPosition, error) {
	head, _, err := ledger.ParseHead(note)
	if err != nil {
		return nil, err
	}
	return Position(head.Size, head.Root), nil
}

// exportPieceBytes is the most data that one [backupv1.ExportedFile] carries.
const exportPieceBytes = 256 << 10

// ExportTo returns the function that [store.Ledger.Export] wants, passing each file on in pieces.
func ExportTo(send func(*backupv1.ExportedFile) error) func(path string) (io.WriteCloser, error) {
	return func(path string) (io.WriteCloser, error) { return &exportWriter{path: path, send: send}, nil }
}

// exportWriter sends what is written to it as pieces of one file.
type exportWriter struct {
	path    string
	send    func(*backupv1.ExportedFile) error
	pending []byte
	sent    bool
}

// Write keeps p until a piece is full.
func (w *exportWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), exportPieceBytes-len(w.pending))
		w.pending = append(w.pending, rest[:n]...)
		rest = rest[n:]
		if len(w.pending) == exportPieceBytes {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

// Close sends what is left, and an empty piece for an empty file.
func (w *exportWriter) Close() error {
	if len(w.pending) == 0 && w.sent {
		return nil
	}
	return w.flush()
}

func (w *exportWriter) flush() error {
	data := w.pending
	w.pending, w.sent = nil, true
	return w.send(&backupv1.ExportedFile{Path: w.path, Data: data})
}
