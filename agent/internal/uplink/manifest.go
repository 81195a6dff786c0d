package uplink

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

// readManifest brings the lines of manifest n into the store, going on where an earlier attempt was cut. Lines that do
// not follow those that are there, or are more than items, are of another history: then all of them are dropped, and the next
// attempt begins anew.
func (s *Session) readManifest(ctx context.Context, n, items int64) error {
	writer, err := s.log.ResumeManifest(n)
	if err == nil {
		err = s.readLines(ctx, n, items, writer)
		writer.Abort() // what is durable stays, for the next attempt
	}
	_, refused := errors.AsType[*ledger.RefusedError](err)
	if refused || errors.Is(err, errMoreLines) || wire.Reason(err) == wire.ReasonBadIndexes { // it has fewer lines
		return errors.Join(err, s.log.DropStaged(n))
	}
	return err
}

// errMoreLines says that a server sends lines beyond those that its sealed announces.
var errMoreLines = errors.New("the server sent more lines than the manifest has")

func (s *Session) readLines(ctx context.Context, n, items int64, writer *store.ManifestWriter) error {
	number, _ := s.Number()
	stream, err := openStream(ctx, s.client.ledger.ReadManifest, &backupv1.ReadManifestRequest{
		Origin: string(s.log.Origin()), SessionNumber: number, Manifest: n, StartIndex: writer.Len(),
	})
	if err != nil {
		return err
	}
	defer stream.close()
	for {
		message, err := stream.next(stallTimeout)
		if err != nil {
			return err
		}
		if err := s.room(); err != nil {
			return err
		}
		if message.GetStartIndex() != writer.Len() {
			return fmt.Errorf("the server sent line %d, line %d is next", message.GetStartIndex(), writer.Len())
		}
		if len(message.GetLines()) == 0 && !message.GetLast() {
			return errors.New("the server sent no lines, and does not say that they end")
		}
		for line := range bytes.Lines(message.GetLines()) {
			text, whole := bytes.CutSuffix(line, []byte("\n"))
			if !whole {
				return errors.New("the server sent a line that does not end")
			}
			if writer.Len() >= items {
				return errMoreLines
			}
			if err := writer.Add(text); err != nil {
				return err
			}
		}
		if message.GetLast() {
			_, _, _, err := writer.Commit()
			return err
		}
	}
}
