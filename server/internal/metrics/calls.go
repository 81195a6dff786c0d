package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// Calls takes down how calls end. It is a [prometheus.Collector]; its methods may be called concurrently. Its labels are
// the methods that a server has and the codes of gRPC, whatever callers send.
type Calls struct {
	unary   *prometheus.HistogramVec
	streams *prometheus.CounterVec
	open    *prometheus.GaugeVec
}

// NewCalls returns calls of which none were made yet.
func NewCalls() *Calls {
	return &Calls{
		unary: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "wolkvox_call_seconds", Help: "How long calls with one answer took, by method and gRPC code.",
			Buckets: []float64{0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 30},
		}, []string{"method", "code"}),
		streams: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wolkvox_streams_total", Help: "Calls with answers of many messages that ended, by method and gRPC code.",
		}, []string{"method", "code"}),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "wolkvox_open_streams", Help: "Calls with answers of many messages that are open, by method.",
		}, []string{"method"}),
	}
}

// Unary is the interceptor of unary methods.
func (c *Calls) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	began := time.Now()
	res, err := handler(ctx, req)
	c.unary.WithLabelValues(info.FullMethod, status.Code(err).String()).Observe(time.Since(began).Seconds())
	return res, err
}

// Stream is the interceptor of streaming methods.
func (c *Calls) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	open := c.open.WithLabelValues(info.FullMethod)
	open.Inc()
	defer open.Dec()
	err := handler(srv, stream)
	c.streams.WithLabelValues(info.FullMethod, status.Code(err).String()).Inc()
	return err
}

// Describe implements [prometheus.Collector].
func (c *Calls) Describe(descriptions chan<- *prometheus.Desc) {
	c.unary.Describe(descriptions)
	c.streams.Describe(descriptions)
	c.open.Describe(descriptions)
}

// Collect implements [prometheus.Collector].
func (c *Calls) Collect(samples chan<- prometheus.Metric) {
	c.unary.Collect(samples)
	c.streams.Collect(samples)
	c.open.Collect(samples)
}
