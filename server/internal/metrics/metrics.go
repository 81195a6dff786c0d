// Package metrics shows a server's condition to Prometheus: what stands in its logs and its registry, read when it is asked
// for, and how its calls end. There is nothing of single recordings in it. It changes nothing and raises no alarms; rules
// for those are in docs/operations.md.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Path is where the metrics are served.
const Path = "/metrics"

const (
	// scrapesAtOnce is how many are answered at once; more are told to come back.
	scrapesAtOnce = 2
	// requestTimeout bounds a request and its answer.
	requestTimeout = 30 * time.Second
	// stopTimeout is how long an answer may take to end once the server is being stopped.
	stopTimeout = 2 * time.Second
)

// Handler returns the handler that answers with what the collectors say, and with what the process takes of its machine.
func Handler(logger *slog.Logger, parts ...prometheus.Collector) (http.Handler, error) {
	registry := prometheus.NewRegistry()
	parts = append(parts, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, part := range parts {
		if err := registry.Register(part); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+Path, promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn), MaxRequestsInFlight: scrapesAtOnce, Timeout: requestTimeout,
	}))
	return mux, nil
}

// Serve answers at the listener, over plain HTTP, until ctx ends, whose cause it then returns.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, logger *slog.Logger) error {
	server := &http.Server{
		Handler: handler, ReadTimeout: requestTimeout, WriteTimeout: 2 * requestTimeout, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 8 << 10,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(stopped)
		ending, done := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer done()
		if server.Shutdown(ending) != nil {
			server.Close()
		}
	})
	err := server.Serve(listener)
	if cancel() {
		return fmt.Errorf("serve metrics: %w", err)
	}
	<-stopped
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return context.Cause(ctx)
}
