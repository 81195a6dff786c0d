package night

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
)

func (p *peer) WatchLedger(req *backupv1.WatchLedgerRequest, stream grpc.ServerStreamingServer[backupv1.WatchLedgerResponse]) error {
	size, root, err := wire.ParsePosition(req.GetPosition())
	if err != nil {
		return err
	}
	if ours, err := p.log.RootAt(size); err != nil || size > 0 && ours != root {
		return wire.Error(codes.FailedPrecondition, wire.ReasonOfferWanted, "the head of size %d is unknown", size)
	}
	if kept := req.GetKeptHead(); len(kept) > 0 {
		head, _, err := ledger.ParseHead(kept)
		if err != nil {
			return err
		}
		if ours, err := p.log.RootAt(head.Size); err != nil || ours != head.Root {
			return wire.Error(codes.FailedPrecondition, wire.ReasonOfferWanted, "the kept head of size %d is unknown", head.Size)
		}
	}
	session, err := p.log.Session([16]byte(req.GetProcessId()))
	if err != nil {
		return err
	}
	now, _ := p.log.Position()
	opened := &backupv1.SessionOpened{SessionNumber: session, ServerTime: p.time(), Size: now}
	if err := stream.Send(&backupv1.WatchLedgerResponse{Event: &backupv1.WatchLedgerResponse_Opened{Opened: opened}}); err != nil {
		return err
	}
	for {
		changed := p.log.Changed()
		now, root := p.log.Position()
		if now > size {
			batch := &backupv1.EntryBatch{AfterSequence: size}
			for leaf, err := range p.log.Entries(size, now) {
				if err != nil {
					return err
				}
				batch.Entries = append(batch.Entries, leaf)
			}
			if batch.Head, err = ledger.SignHead(ledger.Head{Origin: testOrigin, Size: now, Root: root}, p.key); err != nil {
				return err
			}
			if err := stream.Send(&backupv1.WatchLedgerResponse{Event: &backupv1.WatchLedgerResponse_Batch{Batch: batch}}); err != nil {
				return err
			}
			size = now
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

func (p *peer) ReadManifest(req *backupv1.ReadManifestRequest, stream grpc.ServerStreamingServer[backupv1.ReadManifestResponse]) error {
	var items int64
	p.log.View(func(log *ledger.Log) { m, _ := log.Manifest(req.GetManifest()); items = m.Items })
	at := req.GetStartIndex()
	for lines, err := range p.log.RawLines(req.GetManifest(), at) {
		if err != nil {
			return err
		}
		if err := stream.Send(&backupv1.ReadManifestResponse{StartIndex: at, Lines: lines}); err != nil {
			return err
		}
		for _, c := range lines {
			if c == '\n' {
				at++
			}
		}
	}
	return stream.Send(&backupv1.ReadManifestResponse{StartIndex: at, Last: at == items})
}

func (p *peer) SubmitReceipts(_ context.Context, req *backupv1.SubmitReceiptsRequest) (*backupv1.SubmitReceiptsResponse, error) {
	response := &backupv1.SubmitReceiptsResponse{ServerTime: p.time()}
	verdict := backupv1.Verdict_VERDICT_OK
	for _, receipt := range req.GetReceipts() {
		if verdict == backupv1.Verdict_VERDICT_OK {
			verdict = p.submit(receipt)
		}
		response.Verdicts = append(response.Verdicts, verdict)
	}
	return response, nil
}

func (p *peer) submit(receipt []byte) backupv1.Verdict {
	err := p.log.Append(receipt)
	if err == nil {
		return backupv1.Verdict_VERDICT_OK
	}
	size, _ := p.log.Position()
	for leaf, err := range p.log.Entries(0, size) {
		if err == nil && string(leaf) == string(receipt) {
			return backupv1.Verdict_VERDICT_OK
		}
	}
	entry, parseErr := ledger.ParseEntry(receipt)
	refused, known := errors.AsType[*ledger.RefusedError](err)
	if parseErr != nil || !known {
		p.violation("a receipt was refused: %v", err)
		return backupv1.Verdict_VERDICT_BAD_ROOT
	}
	body, _ := ledger.ReceiptOf(entry.Body)
	var last int64
	p.log.View(func(log *ledger.Log) { last = log.Chains[log.AgentKey].Number })
	switch {
	case refused.Reason == ledger.ReasonKey:
		return backupv1.Verdict_VERDICT_NOT_ASSIGNED
	case refused.Reason == ledger.ReasonChain && body.Number > last+1:
		return backupv1.Verdict_VERDICT_GAP
	case refused.Reason == ledger.ReasonChain:
		return backupv1.Verdict_VERDICT_FORK
	}
	return backupv1.Verdict_VERDICT_BAD_ROOT
}

func (p *peer) FetchContents(req *backupv1.FetchContentsRequest, stream grpc.ServerStreamingServer[backupv1.FetchContentsResponse]) error {
	set, err := wire.ParseIndexes(req.GetIndexes())
	if err != nil {
		return err
	}
	offset := req.GetReadOffsetBytes()
	for index := range set.All() {
		state, err := p.log.StateOf(req.GetManifest(), index)
		if err != nil {
			return err
		}
		if state == backup.Confirmed {
			p.violation("item %d/%d is fetched though it is confirmed", req.GetManifest(), index)
		}
		line, err := p.log.Line(req.GetManifest(), index)
		if err != nil {
			return err
		}
		p.mu.Lock()
		data, ok := p.contents[line.Item.Path]
		if p.spoil != nil {
			data = p.spoil(index, data)
		}
		p.served++
		p.mu.Unlock()
		segment := &backupv1.ContentSegment{Index: index, OffsetBytes: offset, Last: true}
		if ok {
			segment.Data = data[offset:]
		} else {
			segment.Unavailable = backupv1.Unavailability_UNAVAILABILITY_SOURCE_UNREADABLE
		}
		offset = 0
		if err := stream.Send(&backupv1.FetchContentsResponse{Segments: []*backupv1.ContentSegment{segment}}); err != nil {
			return err
		}
	}
	return stream.Send(&backupv1.FetchContentsResponse{Complete: true})
}

func (p *peer) Heartbeat(_ context.Context, req *backupv1.HeartbeatRequest) (*backupv1.HeartbeatResponse, error) {
	response := &backupv1.HeartbeatResponse{ServerTime: p.time()}
	for _, d := range req.GetDestinations() {
		if head := d.GetAgreedHead(); len(head) > 0 {
			if err := p.log.PutAgreed(head); err != nil {
				p.violation("the agreed head is refused: %v", err)
			}
		}
		response.Destinations = append(response.Destinations, &backupv1.DestinationOrder{Origin: d.GetOrigin(), Status: backupv1.AssignmentStatus_ASSIGNMENT_STATUS_ASSIGNED})
	}
	return response, nil
}

func (p *peer) ReportFaults(_ context.Context, req *backupv1.ReportFaultsRequest) (*backupv1.ReportFaultsResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reported = append(p.reported, req.GetFaults()...)
	return &backupv1.ReportFaultsResponse{}, nil
}
