package wire

import (
	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/proof"
	"github.com/wolkvox/backup/internal/store"
)

// maxFoundPerMessage is how many recordings one message carries.
const maxFoundPerMessage = 1000

// ParseRecordingQuery reads which recordings are looked for. The error is a status with BAD_REQUEST.
func ParseRecordingQuery(m *backupv1.RecordingQuery) (q proof.Query, err error) {
	q = proof.Query{Name: m.GetName(), Interaction: m.GetInteraction()}
	if m.GetNight() != "" {
		if q.Night, err = backup.ParseDate(m.GetNight()); err != nil {
			return proof.Query{}, Error(codes.InvalidArgument, ReasonBadRequest, "the night: %v", err)
		}
	}
	switch {
	case q == proof.Query{}:
		return proof.Query{}, Error(codes.InvalidArgument, ReasonBadRequest, "nothing is looked for: give a part of the name, the interaction or the night")
	case len(q.Name) > ledger.MaxSourcePathBytes || len(q.Interaction) > ledger.MaxInteractionBytes:
		return proof.Query{}, Error(codes.InvalidArgument, ReasonBadRequest, "no recording has a path of more than %d bytes or an interaction of more than %d", ledger.MaxSourcePathBytes, ledger.MaxInteractionBytes)
	}
	return q, nil
}

// FoundPager gathers recordings into messages, which Send takes.
type FoundPager struct {
	Send  func([]*backupv1.FoundRecording) error
	found []*backupv1.FoundRecording
}

// Add adds a recording of a destination.
func (p *FoundPager) Add(destination string, log *store.Ledger, f proof.Found) error {
	m := &backupv1.FoundRecording{Destination: destination, Item: FoundItem(f)}
	log.View(func(l *ledger.Log) {
		if sealed, ok := l.Manifest(f.Manifest); ok {
			m.Night = sealed.Night.String()
		}
	})
	if f.State == backup.Pending || f.State == backup.Expired {
		faults, err := log.Faults(f.Manifest)
		if err != nil {
			return err
		}
		for _, fault := range faults {
			if fault.Items.Contains(f.Index) {
				m.Item.LastFault = Fault(fault.Fault)
				break
			}
		}
	}
	if p.found = append(p.found, m); len(p.found) < maxFoundPerMessage {
		return nil
	}
	return p.Flush()
}

// Flush sends what is gathered.
func (p *FoundPager) Flush() error {
	found := p.found
	if p.found = nil; len(found) == 0 {
		return nil
	}
	return p.Send(found)
}
