package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/acts"
	"github.com/wolkvox/backup/agent/internal/night"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// What one import may send.
const (
	maxOffers    = 8192
	maxNameBytes = 4096
	// maxSilence is how long a command that is asked for something may send nothing: no night begins meanwhile.
	maxSilence = 2 * time.Minute
)

// ImportFiles takes files that a person has, where they are recordings that are missing.
func (s *Service) ImportFiles(stream grpc.BidiStreamingServer[backupv1.ImportFilesRequest, backupv1.ImportFilesResponse]) error {
	if err := s.checkAtWork(); err != nil {
		return err
	}
	i := &importing{stream: stream, requests: make(chan *backupv1.ImportFilesRequest), ended: make(chan error, 1)}
	go i.receive()
	begin, err := i.next()
	if err != nil {
		return err
	}
	if begin.GetBegin() == nil {
		return wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "import: the first message is no beginning")
	}
	if i.d, err = s.only(begin.GetBegin().GetDestination()); err != nil {
		return err
	}
	if i.acts, err = s.acts(stream.Context(), i.d, acts.Import, "", begin.GetBegin().GetPerson()); err != nil {
		return err
	}
	if err := i.d.Night.Learn(stream.Context()); err != nil {
		return err
	}
	for {
		err := i.group()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// importing is one call of ImportFiles.
type importing struct {
	stream   grpc.BidiStreamingServer[backupv1.ImportFilesRequest, backupv1.ImportFilesResponse]
	requests chan *backupv1.ImportFilesRequest
	ended    chan error // why nothing more comes
	d        Destination
	acts     night.Acts
	files    map[night.ItemID]int // which file of the group each wanted item is
}

// receive passes on what the command says, until it says no more.
func (i *importing) receive() {
	for {
		request, err := i.stream.Recv()
		if err != nil {
			i.ended <- err
			close(i.requests)
			return
		}
		select {
		case i.requests <- request:
		case <-i.stream.Context().Done():
			return
		}
	}
}

// next returns what the command says next; io.EOF where it says no more.
func (i *importing) next() (*backupv1.ImportFilesRequest, error) {
	select {
	case request, ok := <-i.requests:
		if !ok {
			err := <-i.ended
			i.ended <- err
			return nil, err
		}
		return request, nil
	case <-i.stream.Context().Done():
		return nil, context.Cause(i.stream.Context())
	}
}

// soon is next for when the command was asked for something.
func (i *importing) soon(ctx context.Context) (*backupv1.ImportFilesRequest, error) {
	timeout := time.NewTimer(maxSilence)
	defer timeout.Stop()
	select {
	case request, ok := <-i.requests:
		if !ok {
			err := <-i.ended
			i.ended <- err
			return nil, fmt.Errorf("import: the command ended in the middle of a file: %w", err)
		}
		return request, nil
	case <-timeout.C:
		return nil, errors.New(i.d.words().silent())
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// group takes in one group of files.
func (i *importing) group() error {
	offers, err := i.offers()
	if err != nil {
		return err
	}
	matches, err := i.d.Night.Match(offers)
	if err != nil {
		return fmt.Errorf("look for what was offered to %s: %w", i.d.Name, err)
	}
	var chosen night.Chosen
	chosen, i.files = night.Wanted(matches)
	var done night.ByHand
	if len(chosen) > 0 {
		if done, err = i.d.Night.Import(i.stream.Context(), chosen, i.read, i.acts); err != nil {
			return err
		}
	}
	for file := range matches {
		if err := i.answer(offers, matches, file, done); err != nil {
			return err
		}
	}
	end := &backupv1.ImportGroupEnd{ConfirmedCount: done.Confirmed.Len()}
	if done.Err != nil {
		end.Problem = text(done.Err)
	}
	if end.Agreed, err = agreed(i.d.Log); err != nil {
		return err
	}
	return i.stream.Send(&backupv1.ImportFilesResponse{Step: &backupv1.ImportFilesResponse_End{End: end}})
}

// offers returns the files of the next group; io.EOF where none follows.
func (i *importing) offers() (offers []night.Offer, err error) {
	bad := func(format string, args ...any) ([]night.Offer, error) {
		return nil, wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "import: "+format, args...)
	}
	for {
		request, err := i.next()
		if errors.Is(err, io.EOF) && len(offers) > 0 {
			return bad("the command ended in the middle of a group")
		}
		if err != nil {
			return nil, err
		}
		step := request.GetOffers()
		if step == nil {
			return bad("something else than an offer came")
		}
		for _, file := range step.GetFiles() {
			digest, err := wire.ParseDigest(file.GetSha256(), file.GetSizeBytes())
			if err != nil {
				return bad("the digest of %.200q: %v", file.GetName(), err)
			}
			if len(file.GetName()) > maxNameBytes {
				return bad("the name %.200q… has %d bytes", file.GetName(), len(file.GetName()))
			}
			offers = append(offers, night.Offer{Name: file.GetName(), Digest: digest})
		}
		if len(offers) > maxOffers {
			return bad("a group of more than %d files", maxOffers)
		}
		if step.GetComplete() {
			return offers, nil
		}
	}
}

// read asks the command for the contents of an item.
func (i *importing) read(ctx context.Context, item night.ItemID, w io.Writer) error {
	err := i.stream.Send(&backupv1.ImportFilesResponse{Step: &backupv1.ImportFilesResponse_Wanted{Wanted: int64(i.files[item])}})
	if err != nil {
		return err
	}
	var failed error // to write it; what still comes of it is passed over
	for {
		request, err := i.soon(ctx)
		if err != nil {
			return err
		}
		piece := request.GetPiece()
		if piece == nil {
			return errors.New("import: something else than a piece of a file came")
		}
		if problem := piece.GetProblem(); problem != "" {
			return fmt.Errorf("%w: %s", night.ErrFile, problem)
		}
		if failed == nil {
			_, failed = w.Write(piece.GetData())
			if failed != nil && !errors.Is(failed, backup.ErrDigest) {
				return failed
			}
		}
		if piece.GetLast() {
			return failed
		}
	}
}

// answer says what became of a file.
func (i *importing) answer(offers []night.Offer, matches []night.Match, file int, done night.ByHand) error {
	w, m := i.d.words(), matches[file]
	result := &backupv1.ImportResult{File: int64(file)}
	if m.First >= 0 {
		result.Message = w.same(offers[m.First].Name)
		m = matches[m.First]
	}
	result.Paths = m.Paths
	switch {
	case len(m.Wanted) > 0:
		result.Outcome = backupv1.ImportOutcome_IMPORT_OUTCOME_CONFIRMED
		for _, id := range m.Wanted {
			if done.Confirmed[id.Manifest].Contains(id.Index) {
				continue
			}
			signed := i.d.Log.OutboxDelivered(id.Manifest).Contains(id.Index)
			result.Outcome, result.Message = backupv1.ImportOutcome_IMPORT_OUTCOME_FAILED, w.notTaken(id, done, signed)
			break
		}
	case m.State == backup.Confirmed:
		result.Outcome = backupv1.ImportOutcome_IMPORT_OUTCOME_CONFIRMED_BEFORE
		if result.Message == "" {
			result.Message = w.before(m)
		}
	default:
		result.Outcome, result.Message = backupv1.ImportOutcome_IMPORT_OUTCOME_REFUSED, w.refusal(m)
	}
	return i.stream.Send(&backupv1.ImportFilesResponse{Step: &backupv1.ImportFilesResponse_Result{Result: result}})
}
