package control

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/fetch"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

// maxListed is how many recordings one message lists.
const maxListed = 1000

// ListExpired streams what is not tried any more.
func (s *Service) ListExpired(request *backupv1.ListExpiredRequest, stream grpc.ServerStreamingServer[backupv1.ListExpiredResponse]) error {
	chosen, err := s.chosen(request.GetDestination())
	if err != nil {
		return err
	}
	for _, d := range chosen {
		if request.GetCurrent() {
			if err := d.Night.Learn(stream.Context()); err != nil {
				return err
			}
		}
		if err := d.listExpired(stream); err != nil {
			return err
		}
	}
	return nil
}

func (d Destination) listExpired(stream grpc.ServerStreamingServer[backupv1.ListExpiredResponse]) error {
	var manifests []ledger.Manifest
	d.Log.View(func(log *ledger.Log) { manifests = append(manifests, log.Manifests...) })
	closed, err := closedTimes(d.Log)
	if err != nil {
		return err
	}
	page := &backupv1.ListExpiredResponse{Destination: d.Name, Origin: string(d.Log.Origin())}
	for _, m := range manifests {
		items, err := d.Log.Items(m.Number, backup.Expired)
		if err != nil {
			return err
		}
		if items.IsEmpty() {
			continue
		}
		kept, err := sourceKept(d.Log, m)
		if err != nil {
			return err
		}
		faults, err := d.Log.Faults(m.Number)
		if err != nil {
			return err
		}
		index := items.Ranges()[0].First
		for line, err := range d.Log.Lines(m.Number, index) {
			if err == nil {
				err = stream.Context().Err()
			}
			if err != nil {
				return err
			}
			if items.Contains(index) {
				item := wire.Line(m.Number, index, line, backup.Expired)
				item.LastFault = faultOf(faults, index)
				page.Items = append(page.Items, &backupv1.ExpiredItem{Item: item, Night: m.Night.String(), ClosedTime: timestamp(closed[m.Number]), SourceKeptTime: timestamp(kept)})
			}
			if len(page.Items) == maxListed {
				if err := stream.Send(page); err != nil {
					return err
				}
				page.Items = nil
			}
			if index++; index > items.Max() {
				break
			}
		}
	}
	if len(page.Items) == 0 {
		return nil
	}
	return stream.Send(page)
}

func faultOf(faults []store.ItemsFault, index int64) *backupv1.Fault {
	for _, f := range faults {
		if f.Items.Contains(index) {
			return wire.Fault(f.Fault)
		}
	}
	return nil
}

// closedTimes returns when each manifest was closed last.
func closedTimes(log *store.Ledger) (map[int64]time.Time, error) {
	closed := make(map[int64]time.Time)
	size, _ := log.Position()
	for leaf, err := range log.Entries(0, size) {
		if err != nil {
			return nil, err
		}
		if !bytes.HasPrefix(leaf, []byte("wolkvox-backup entry closed ")) {
			continue
		}
		entry, err := ledger.ParseEntry(leaf)
		if err != nil {
			return nil, err
		}
		if body, ok := entry.Body.(ledger.Closed); ok {
			closed[body.Manifest] = entry.Time
		}
	}
	return closed, nil
}

// sourceKept returns until when wolkvox promised to keep a manifest's recordings; zero where it did not.
func sourceKept(log *store.Ledger, m ledger.Manifest) (time.Time, error) {
	leaf, err := log.Entry(m.SealedAt)
	if err != nil {
		return time.Time{}, err
	}
	entry, err := ledger.ParseEntry(leaf)
	if err != nil {
		return time.Time{}, err
	}
	sealed, ok := entry.Body.(ledger.Sealed)
	if !ok {
		return time.Time{}, fmt.Errorf("entry %d does not seal manifest %d", m.SealedAt, m.Number)
	}
	return sealed.SourceKeptUntil, nil
}

// ReadExpired streams the contents of expired recordings from the server.
func (s *Service) ReadExpired(request *backupv1.ReadExpiredRequest, stream grpc.ServerStreamingServer[backupv1.ReadExpiredResponse]) error {
	if err := s.checkAtWork(); err != nil {
		return err
	}
	d, err := s.destination(request.GetDestination())
	if err != nil {
		return err
	}
	items, err := wire.ParseIndexes(request.GetIndexes())
	if err != nil || items.IsEmpty() {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadIndexes, "the recordings wanted: none, or %v", err)
	}
	var sealed bool
	d.Log.View(func(log *ledger.Log) { _, sealed = log.Manifest(request.GetManifest()) })
	if !sealed {
		return wire.Error(codes.NotFound, wire.ReasonNoManifest, "%s has no manifest %d", d.Name, request.GetManifest())
	}
	expired, err := d.Log.Items(request.GetManifest(), backup.Expired)
	if err != nil {
		return err
	}
	var sent error
	err = d.Night.ReadContents(stream.Context(), request.GetManifest(), items.Intersect(expired),
		func(item fetch.Item) fetch.File { return &passedOn{stream: stream, item: item, sum: sha256.New()} },
		func(outcome fetch.Outcome) {
			if problem := d.words().notRead(outcome); problem != "" && sent == nil {
				sent = stream.Send(&backupv1.ReadExpiredResponse{Index: outcome.Item.Index, Problem: problem})
			}
		})
	return errors.Join(err, sent)
}

// passedOn passes a file on to whoever asked for it.
type passedOn struct {
	stream grpc.ServerStreamingServer[backupv1.ReadExpiredResponse]
	item   fetch.Item
	sum    hash.Hash
	offset int64
}

// passedBytes is how much one message carries.
const passedBytes = 256 << 10

// Write implements fetch.File.
func (f *passedOn) Write(data []byte) (int, error) {
	if f.offset+int64(len(data)) > f.item.Digest.SizeBytes {
		return 0, backup.ErrDigest
	}
	for written := 0; written < len(data); {
		piece := data[written:min(len(data), written+passedBytes)]
		if err := f.stream.Send(&backupv1.ReadExpiredResponse{Index: f.item.Index, Data: piece}); err != nil {
			return written, err
		}
		f.sum.Write(piece)
		written += len(piece)
		f.offset += int64(len(piece))
	}
	return len(data), nil
}

// Offset implements fetch.File.
func (f *passedOn) Offset() int64 { return f.offset }

// Commit implements fetch.File.
func (f *passedOn) Commit() error {
	if f.offset != f.item.Digest.SizeBytes || [sha256.Size]byte(f.sum.Sum(nil)) != f.item.Digest.SHA256 {
		return backup.ErrDigest
	}
	return f.stream.Send(&backupv1.ReadExpiredResponse{Index: f.item.Index, Last: true})
}

// Drop implements fetch.File.
func (f *passedOn) Drop() error { return nil }
