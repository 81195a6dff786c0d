package uplink

import (
	"context"
	"fmt"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// Verdict is the server's answer to one receipt. The numbers equal those of the protocol.
type Verdict uint8

// The verdicts.
const (
	VerdictOK          Verdict = 1
	VerdictGap         Verdict = 2 // its number is beyond the next
	VerdictFork        Verdict = 3 // the log has another receipt in its place: this agent went back in time
	VerdictNotAssigned Verdict = 4 // its key is not the one last assigned
	VerdictBadRoot     Verdict = 5 // it names a manifest, root or index that the log does not have
)

// String returns the name that people see.
func (v Verdict) String() string { return backupv1.Verdict_name[int32(v)] }

// maxSubmitBytes keeps a call well below the limit of SubmitReceipts.
const maxSubmitBytes = 512 << 10

// Submit sends the receipts that wait, oldest first, and returns the first verdict that is not OK together with
// the receipts, from the one that met it on. An OK takes nothing out of the outbox: that happens when
// the receipt comes back in the log.
func (s *Session) Submit(ctx context.Context) (Verdict, [][]byte, error) {
	waiting, err := s.log.Outbox()
	if err != nil {
		return 0, nil, err
	}
	for len(waiting) > 0 {
		count, sizeBytes := 0, 0
		for count < len(waiting) && (count == 0 || sizeBytes+len(waiting[count]) <= maxSubmitBytes) {
			sizeBytes += len(waiting[count])
			count++
		}
		verdicts, err := s.submit(ctx, waiting[:count])
		if err != nil {
			return 0, nil, err
		}
		for i, verdict := range verdicts {
			if verdict != VerdictOK {
				return verdict, waiting[i:], nil
			}
		}
		waiting = waiting[count:]
	}
	return VerdictOK, nil, nil
}

func (s *Session) submit(ctx context.Context, receipts [][]byte) ([]Verdict, error) {
	number, ok := s.Number()
	if !ok {
		return nil, fmt.Errorf("submit receipts: %w", errNoSession)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, err := s.client.ledger.SubmitReceipts(ctx, &backupv1.SubmitReceiptsRequest{
		Origin: string(s.log.Origin()), SessionNumber: number, Receipts: receipts,
	})
	if err != nil {
		return nil, fmt.Errorf("submit receipts: %w", s.meant(err, number))
	}
	if len(response.GetVerdicts()) != len(receipts) {
		return nil, fmt.Errorf("submit receipts: %d verdicts for %d receipts", len(response.GetVerdicts()), len(receipts))
	}
	verdicts := make([]Verdict, len(receipts))
	for i, verdict := range response.GetVerdicts() {
		if _, known := backupv1.Verdict_name[int32(verdict)]; !known || verdict == backupv1.Verdict_VERDICT_UNSPECIFIED {
			return nil, fmt.Errorf("submit receipts: unknown verdict %d", verdict)
		}
		verdicts[i] = Verdict(verdict)
	}
	return verdicts, nil
}
