package serversim

import (
	"context"
	"log/slog"
	"time"

	"github.com/wolkvox/backup/internal/ledger"
)

const (
	closeEvery = time.Minute
	lookEvery  = 10 * time.Minute
)

// work closes what is due, looks for recordings to seal, and reads again what was found to differ, until ctx ends.
func (s *Server) work(ctx context.Context) {
	closing, looking := time.NewTicker(closeEvery), time.NewTicker(lookEvery)
	defer closing.Stop()
	defer looking.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-closing.C:
			s.close(ctx)
		case <-looking.C:
			s.lookAll(ctx)
		case c := <-s.checks:
			if err := s.check(ctx, c); err != nil {
				s.logger().LogAttrs(ctx, slog.LevelDebug, "not checked", slog.Any("error", err))
			}
		}
	}
}

func (s *Server) logger() *slog.Logger { return s.config.Logger }

func (s *Server) close(ctx context.Context) {
	uptime := time.Since(s.started)
	for _, seq := range s.set.All() {
		closed, err := seq.Close(ctx, time.Now(), uptime)
		if len(closed) > 0 && s.config.Closed != nil {
			s.config.Closed(seq.Origin(), closed, uptime)
		}
		if err != nil {
			s.logger().LogAttrs(ctx, slog.LevelDebug, "not closed", slog.Any("error", err))
		}
	}
}

// Look seals what is new at the source, for all destinations. It may be called while the server works.
func (s *Server) Look() {
	if s.Up() {
		s.lookAll(s.ctx)
	}
}

func (s *Server) lookAll(ctx context.Context) {
	s.sealing.Lock()
	defer s.sealing.Unlock()
	for _, seq := range s.set.All() {
		if err := s.look(ctx, seq); err != nil {
			s.logger().LogAttrs(ctx, slog.LevelDebug, "not sealed", slog.Any("error", err))
		}
	}
}

// RequestCheck implements what the heartbeat service tells of contents that did not have the sealed digest.
func (s *Server) RequestCheck(origin ledger.Origin, manifest int64, indexes ledger.Set) {
	select {
	case s.checks <- suspicion{origin, manifest, indexes}:
	default: // an agent that still wants it asks again
	}
}
