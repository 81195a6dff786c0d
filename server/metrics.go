package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/server/internal/config"
	"github.com/wolkvox/backup/server/internal/metrics"
)

// shown is where a server shows its metrics; nil where it shows none.
type shown struct {
	listener net.Listener
	handler  http.Handler
	path     string // of the file that says where
	log      *slog.Logger
}

// listenForMetrics listens where the configuration says, nil where it says nothing.
func listenForMetrics(c config.Config, log *slog.Logger, parts ...prometheus.Collector) (*shown, error) {
	if c.MetricsListen == "" {
		return nil, nil
	}
	handler, err := metrics.Handler(log, parts...)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", c.MetricsListen)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics: %w; is another program at this port?", err)
	}
	s := &shown{listener, handler, filepath.Join(c.StateDir, metricsFile), log}
	if err := durable.WriteFile(s.path, []byte(listener.Addr().String()+"\n"), 0o644); err != nil {
		s.close()
		return nil, fmt.Errorf("write the address of the metrics: %w", err)
	}
	return s, nil
}

func (s *shown) close() {
	if s != nil {
		s.listener.Close()
		os.Remove(s.path)
	}
}

// serve shows metrics until ctx ends, whose cause it returns.
func (s *shown) serve(ctx context.Context) error {
	if s == nil {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "showing metrics", slog.String("listen", s.listener.Addr().String()))
	return metrics.Serve(ctx, s.listener, s.handler, s.log)
}
