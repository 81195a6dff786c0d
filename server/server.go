// Package server builds and runs the wolkvox side of the nightly copies: it makes the authority and the first operator's
// credential, and wires the parts of a running server together. What the parts do is in the packages below it.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/internal/adminrpc"
	"github.com/wolkvox/backup/server/internal/authz"
	"github.com/wolkvox/backup/server/internal/config"
	"github.com/wolkvox/backup/server/internal/contentrpc"
	"github.com/wolkvox/backup/server/internal/enroll"
	"github.com/wolkvox/backup/server/internal/evidence"
	"github.com/wolkvox/backup/server/internal/heartbeatrpc"
	"github.com/wolkvox/backup/server/internal/ledgerrpc"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/rpc"
	"github.com/wolkvox/backup/server/internal/sealer"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

// What lies in the state directory.
const (
	identityDir    = "identity"     // the authority and the server's certificate, with their keys
	registryDir    = "registry"     // see package registry
	ledgersDir     = "ledgers"      // see package store
	evidenceDir    = "evidence"     // see package evidence
	offersDir      = "offers"       // what agents hand in of a log, while it is taken in
	credentialFile = "operator.pem" // the first operator's credential
	addressFile    = "address"      // while the server runs: HOST:PORT at which it can be called from this machine's network
)

// Run serves until ctx ends, and then stops within seconds and returns nil. It wants [Init] to have been there.
func Run(ctx context.Context, c config.Config, log *slog.Logger) (err error) {
	authority, err := loadAuthority(c)
	if err != nil {
		return err
	}
	certificate, err := authority.ServerCertificate(filepath.Join(c.StateDir, identityDir), c.Names, time.Now())
	if err != nil {
		return err
	}
	reg, err := registry.Open(filepath.Join(c.StateDir, registryDir), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reg.Close()) }()
	db, err := store.Open(filepath.Join(c.StateDir, ledgersDir), store.Options{Logger: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	sequencers, err := sequencer.OpenSet(ctx, db, sequencer.Options{
		Registry: reg, Evidence: evidence.NewFolder(filepath.Join(c.StateDir, evidenceDir)),
		Dir: filepath.Join(c.StateDir, offersDir), Logger: log,
	}, time.Now())
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w; is another server running, and may this user take the port?", err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port

	seals := sealer.New(reg, sequencers, sealer.Options{Logger: log})
	heartbeats := heartbeatrpc.New(sequencers, reg, seals, log)
	server := rpc.NewServer(identity.ServerConfig(certificate, authority.Certificate(), time.Now), authz.Guard{Logger: log}, rpc.Services{
		Admin: &adminrpc.Service{
			Registry: reg, Sequencers: sequencers, Sealer: seals, Hearer: heartbeats,
			Authority: authority.Certificate(), Certificate: certificate.Leaf, Address: c.ServerAddress(port), Logger: log,
		},
		Content:    contentrpc.New(sequencers, reg, seals, contentOptions(c.Limits, log)),
		Enrollment: enroll.New(reg, authority, assigner{sequencers}, log),
		Heartbeat:  heartbeats,
		Ledger:     ledgerrpc.New(sequencers, log),
	})

	address := net.JoinHostPort(c.Names[0], strconv.Itoa(port))
	addressPath := filepath.Join(c.StateDir, addressFile)
	if err := durable.WriteFile(addressPath, []byte(address+"\n"), 0o644); err != nil {
		return fmt.Errorf("write the server's address: %w", err)
	}
	defer os.Remove(addressPath)
	log.LogAttrs(ctx, slog.LevelInfo, "listening", slog.String("address", address), slog.String("listen", listener.Addr().String()))

	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return db.Run(running) })
	group.Go(func() error { return seals.Run(running) })
	group.Go(func() error { return heartbeats.Run(running) })
	group.Go(func() error { return server.Serve(running, listener) })
	err = group.Wait()
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		log.LogAttrs(ctx, slog.LevelInfo, "stopped", slog.Any("cause", err))
		return nil
	}
	return err
}

func contentOptions(limits config.Limits, log *slog.Logger) contentrpc.Options {
	options := contentrpc.Options{MaxStreams: limits.Streams, MaxStreamsPerAgent: limits.StreamsPerAgent, Logger: log}
	if limits.BytesPerSecond != nil {
		options.BytesPerSecond = int64(*limits.BytesPerSecond)
	}
	options.OnServed = func(origin ledger.Origin, manifest, index, sizeBytes int64) {
		log.LogAttrs(context.Background(), slog.LevelDebug, "item served", slog.String("origin", string(origin)),
			slog.Int64("manifest", manifest), slog.Int64("index", index), slog.Int64("size_bytes", sizeBytes))
	}
	return options
}

// assigner appends what enrolling decided to the log that it is about.
type assigner struct{ sequencers *sequencer.Set }

// Assign implements [enroll.Assigner].
func (a assigner) Assign(ctx context.Context, origin ledger.Origin, request ledger.Request) error {
	seq, ok := a.sequencers.Of(origin)
	if !ok {
		return fmt.Errorf("the log %s is not open", origin)
	}
	return seq.Assign(ctx, request, time.Now())
}
