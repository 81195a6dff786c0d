package uplink

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// readManifest brings the lines of manifest n into the store, going on where an earlier attempt was cut.
func (s *Session) readManifest(ctx context.Context, n int64) error {
	writer, err := s.log.ResumeManifest(n)
	if err != nil {
		return err
	}
	defer writer.Abort() // what is durable stays, for the next attempt
	number, _ := s.Number()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.client.ledger.ReadManifest(ctx, &backupv1.ReadManifestRequest{
		Origin: string(s.log.Origin()), SessionNumber: number, Manifest: n, StartIndex: writer.Len(),
	})
	if err != nil {
		return sessionError(err)
	}
	for {
		message, err := stream.Recv()
		if err != nil {
			return sessionError(err)
		}
		if message.GetStartIndex() != writer.Len() {
			return fmt.Errorf("the server sent line %d, line %d is next", message.GetStartIndex(), writer.Len())
		}
		for line := range bytes.Lines(message.GetLines()) {
			text, whole := bytes.CutSuffix(line, []byte("\n"))
			if !whole {
				return errors.New("the server sent a line that does not end")
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
