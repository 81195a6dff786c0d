package wolkvoxdest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// sendTries is how often a small file is sent that the server does not take at the moment.
const sendTries = 5

// header is the first message of a file.
func (h *handle) header(name string, want backup.Digest, pre dest.Precondition) *backupv1.PutFileRequest {
	m := &backupv1.PutFileRequest{Tenant: h.tenant(), Destination: h.place(), Name: name, Digest: digestOf(want)}
	if known, replaces := pre.Replaced(); replaces {
		m.Replaces = digestOf(known)
	}
	return m
}

// sendSmall sends a file that is one message, again where the server asks to come back.
func (h *handle) sendSmall(ctx context.Context, m *backupv1.PutFileRequest) error {
	for try := 1; ; try++ {
		err := h.sendOnce(ctx, m)
		after, later := wire.RetryAfter(err)
		if !later || try == sendTries {
			return ended(ctx, answered("store a file", err))
		}
		timer := time.NewTimer(after)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

func (h *handle) sendOnce(ctx context.Context, m *backupv1.PutFileRequest) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := h.storage.client.PutFile(inner)
	if err != nil {
		return err
	}
	if err := stream.Send(m); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	_, err = stream.CloseAndRecv() // an EOF of Send means that the answer says why
	return err
}

// sending is a file of several messages on its way. It is used by one goroutine.
type sending struct {
	stream grpc.ClientStreamingClient[backupv1.PutFileRequest, backupv1.PutFileResponse]
	cancel context.CancelFunc
	next   *backupv1.PutFileRequest // the message that is being filled
	closed bool                     // the server has answered; what it said comes with the end
}

func (h *handle) begin(ctx context.Context, header *backupv1.PutFileRequest) (*sending, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := h.storage.client.PutFile(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	return &sending{stream: stream, cancel: cancel, next: header}, nil
}

func (s *sending) write(p []byte) error {
	for len(p) > 0 {
		n := min(pieceBytes-len(s.next.Data), len(p))
		s.next.Data = append(s.next.Data, p[:n]...)
		p = p[n:]
		if len(s.next.Data) < pieceBytes {
			return nil
		}
		if err := s.flush(); err != nil {
			return err
		}
	}
	return nil
}

func (s *sending) flush() error {
	if s.closed {
		return nil
	}
	err := s.stream.Send(s.next)
	s.next = &backupv1.PutFileRequest{Data: s.next.Data[:0]}
	if errors.Is(err, io.EOF) {
		s.closed = true
		return nil
	}
	return err
}

// end sends the last message and returns what the server says of the file.
func (s *sending) end() error {
	defer s.cancel()
	if err := s.flush(); err != nil {
		return err
	}
	_, err := s.stream.CloseAndRecv()
	return err
}

// Put implements dest.Driver. The service wants the digest first: without one that is known, as [dest.Place] hands over, a file
// is one message.
func (h *handle) Put(ctx context.Context, name string, r io.Reader, size int64, pre dest.Precondition) error {
	if known, ok := r.(dest.Digested); ok && size > pieceBytes {
		return h.putLarge(ctx, name, known, size, pre)
	}
	content, err := io.ReadAll(io.LimitReader(r, min(size, pieceBytes)+1))
	if err != nil {
		return err
	}
	if int64(len(content)) != size {
		return fmt.Errorf("the stream does not have %d bytes but %d or more; without a digest no more than %d can be stored", size, len(content), pieceBytes)
	}
	want, err := dest.Sum(ctx, bytes.NewReader(content))
	if err != nil {
		return err
	}
	header := h.header(name, want, pre)
	header.Data = content
	return h.sendSmall(ctx, header)
}

func (h *handle) putLarge(ctx context.Context, name string, r dest.Digested, size int64, pre dest.Precondition) error {
	s, err := h.begin(ctx, h.header(name, r.Digest(), pre))
	if err != nil {
		return ended(ctx, answered("store a file", err))
	}
	defer s.cancel()
	buffer := make([]byte, 128<<10)
	for rest := size; rest > 0; {
		n, err := r.Read(buffer[:min(rest, int64(len(buffer)))])
		if writeErr := s.write(buffer[:n]); writeErr != nil {
			return ended(ctx, answered("store a file", writeErr))
		}
		if rest -= int64(n); rest > 0 && err != nil {
			return fmt.Errorf("read the file to be stored: %w", err)
		}
	}
	return ended(ctx, answered("store a file", s.end()))
}
