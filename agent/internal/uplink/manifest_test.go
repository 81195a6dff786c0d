package uplink

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

type manifestStream = grpc.ServerStreamingServer[backupv1.ReadManifestResponse]

// TestManifestResumed goes on, after a stream broke and in a new process too, with the line after those that are durable.
func TestManifestResumed(t *testing.T) {
	t.Parallel()
	h := newHistory(t, "")
	const items = 20000 // several chunks
	h.seal("recordings/of/a/long/name/", items)
	server, log := serveLog(h), newLedger(t)
	var mu sync.Mutex
	var starts []int64
	server.manifest = func(m *backupv1.ReadManifestRequest, stream manifestStream) error {
		mu.Lock()
		starts = append(starts, m.GetStartIndex())
		attempt := len(starts)
		mu.Unlock()
		at := m.GetStartIndex()
		for piece := range h.log.RawLines(1, at) {
			if at > m.GetStartIndex()+items/2 && attempt < 3 {
				return status.Error(codes.Unavailable, "the line broke")
			}
			lines := int64(bytes.Count(piece, []byte("\n")))
			if err := stream.Send(&backupv1.ReadManifestResponse{StartIndex: at, Lines: piece, Last: at+lines == items}); err != nil {
				return err
			}
			at += lines
		}
		return nil
	}
	s := start(t, server, log)
	h.isLike(log)
	mu.Lock()
	defer mu.Unlock()
	if len(starts) < 2 || starts[0] != 0 || starts[1] == 0 || starts[len(starts)-1] <= starts[0] {
		t.Errorf("lines were asked for from %v, want the second time to go on where the first was cut", starts)
	}
	if number, _ := s.Number(); number != 7 {
		t.Errorf("session %d", number)
	}
}

// TestOtherManifest gets over lines that an earlier attempt brought from a history that is no more, as when a server was
// put back and seals anew.
func TestOtherManifest(t *testing.T) {
	t.Parallel()
	for name, leftover := range map[string]int{"fewer lines": 2, "as many": 5, "more": 9} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, log := newHistory(t, ""), newLedger(t)
			h.seal("m", 5)
			gone := newHistory(t, "gone")
			gone.seal("z", leftover)
			writer, err := log.StageManifest(1)
			check(t, err)
			for line := range bytes.Lines(gone.lines(1, 0)) {
				check(t, writer.Add(bytes.TrimSuffix(line, []byte("\n"))))
			}
			_, _, _, err = writer.Commit()
			check(t, err)
			server := serveLog(h)
			server.manifest = func(m *backupv1.ReadManifestRequest, stream manifestStream) error {
				if m.GetStartIndex() > 5 {
					return wire.Error(codes.InvalidArgument, wire.ReasonBadIndexes, "the manifest has 5 lines")
				}
				return stream.Send(&backupv1.ReadManifestResponse{StartIndex: m.GetStartIndex(), Lines: h.lines(1, m.GetStartIndex()), Last: true})
			}
			start(t, server, log)
			h.isLike(log)
		})
	}
}

// TestRefusedManifests keeps no entry of a batch whose lines do not come as the contract says.
func TestRefusedManifests(t *testing.T) {
	t.Parallel()
	h := newHistory(t, "")
	h.seal("a", 3)
	whole := h.lines(1, 0)
	for name, test := range map[string]struct {
		send  func(manifestStream) error
		words string
	}{
		"wrong index": {func(s manifestStream) error {
			return s.Send(&backupv1.ReadManifestResponse{StartIndex: 1, Lines: whole, Last: true})
		}, "line 0 is next"},
		"no end": {func(s manifestStream) error { return s.Send(&backupv1.ReadManifestResponse{Lines: whole}) }, "before it was complete"},
		"half a line": {func(s manifestStream) error {
			return s.Send(&backupv1.ReadManifestResponse{Lines: whole[:len(whole)-1]})
		}, "does not end"},
		"too few": {func(s manifestStream) error {
			return s.Send(&backupv1.ReadManifestResponse{Lines: whole[:bytes.IndexByte(whole, '\n')+1], Last: true})
		}, "not in the store"},
		"out of order": {func(s manifestStream) error {
			second := bytes.IndexByte(whole, '\n') + 1
			return s.Send(&backupv1.ReadManifestResponse{Lines: append(bytes.Clone(whole[second:]), whole[:second]...), Last: true})
		}, "refused as"},
		"too many": {func(s manifestStream) error {
			return s.Send(&backupv1.ReadManifestResponse{Lines: append(bytes.Clone(whole), whole...), Last: true})
		}, "more lines than"},
		"nothing at all": {func(s manifestStream) error { return s.Send(&backupv1.ReadManifestResponse{}) }, "no lines"},
		"not sealed":     {func(manifestStream) error { return status.Error(codes.NotFound, "manifest 1 is not sealed") }, "manifest 1 is not sealed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, log := serveLog(h), newLedger(t)
			server.manifest = func(_ *backupv1.ReadManifestRequest, stream manifestStream) error { return test.send(stream) }
			err := newSession(serve(t, server), log).watch(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.words) {
				t.Errorf("the watch ends with %v, want %q", err, test.words)
			}
			isEmpty(t, log)
		})
	}
}

// TestManifestWithoutRoom stops in the middle of lines when the agent's own volume has become full.
func TestManifestWithoutRoom(t *testing.T) {
	t.Parallel()
	h, log := newHistory(t, ""), newLedger(t)
	h.seal("a", 3)
	full := errors.New("full")
	looked := 0
	s := newSession(serve(t, serveLog(h)), log)
	s.room = func() error {
		if looked++; looked > 1 {
			return full
		}
		return nil
	}
	if err := s.watch(t.Context()); !errors.Is(err, full) {
		t.Errorf("the watch ends with %v, want %v", err, full)
	}
	isEmpty(t, log)
}
