package witness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Bounds of what one caller can take of the witness.
const (
	maxBodyBytes   = 64 << 10
	maxHeaderBytes = 16 << 10
	maxAtOnce      = 64
	callTimeout    = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	stopTimeout    = 5 * time.Second
)

// handler serves add-checkpoint.
type handler struct {
	witness *Witness
	logger  *slog.Logger
	slots   chan struct{}
}

// ServeHTTP implements [http.Handler] with the answers of tlog-witness.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many submissions at once", http.StatusServiceUnavailable)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		http.Error(w, fmt.Sprintf("the submission cannot be read, or has more than %d bytes", maxBodyBytes), http.StatusBadRequest)
		return
	}
	line, err := h.add(body, time.Now())
	h.answer(r.Context(), w, line, err)
}

func (h *handler) add(body []byte, at time.Time) ([]byte, error) {
	s, err := parseSubmission(body)
	if err != nil {
		return nil, err
	}
	return h.witness.Add(s, at)
}

func (h *handler) answer(ctx context.Context, w http.ResponseWriter, line []byte, err error) {
	var conflict *conflictError
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write(line) // a caller that is gone comes back, and gets it then
		return
	case errors.As(err, &conflict):
		w.Header().Set("Content-Type", "text/x.tlog.size")
		w.WriteHeader(http.StatusConflict)
		fmt.Fprintf(w, "%d\n", conflict.size)
	case errors.Is(err, errForm):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case errors.Is(err, errUnknownOrigin):
		http.Error(w, err.Error(), http.StatusNotFound)
	case errors.Is(err, errUnknownKey):
		http.Error(w, err.Error(), http.StatusForbidden)
	case errors.Is(err, errProof):
		http.Error(w, errProof.Error(), http.StatusUnprocessableEntity)
	default:
		h.logger.LogAttrs(ctx, slog.LevelError, "checkpoint not cosigned", slog.Any("error", err))
		http.Error(w, "the witness cannot keep what it signs; its log says why", http.StatusInternalServerError)
		return
	}
	h.logger.LogAttrs(ctx, slog.LevelInfo, "checkpoint refused", slog.Any("error", err))
}

// Serve answers at the listener until ctx ends, and closes it.
func (w *Witness) Serve(ctx context.Context, listener net.Listener, logger *slog.Logger) error {
	mux := http.NewServeMux()
	mux.Handle("POST /add-checkpoint", &handler{w, logger, make(chan struct{}, maxAtOnce)})
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: callTimeout, ReadTimeout: callTimeout, WriteTimeout: callTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if server.Shutdown(grace) == nil {
			stopped <- nil
			return
		}
		stopped <- server.Close() // of callers that never asked anything
	})
	err := server.Serve(listener)
	if stop() {
		return err
	}
	return <-stopped
}
