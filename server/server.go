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

	"github.com/wolkvox/backup/internal/ballast"
	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/adminlog"
	"github.com/wolkvox/backup/server/internal/adminrpc"
	"github.com/wolkvox/backup/server/internal/authority"
	"github.com/wolkvox/backup/server/internal/catalogrpc"
	"github.com/wolkvox/backup/server/internal/config"
	"github.com/wolkvox/backup/server/internal/contentrpc"
	"github.com/wolkvox/backup/server/internal/enroll"
	"github.com/wolkvox/backup/server/internal/expiring"
	"github.com/wolkvox/backup/server/internal/heartbeatrpc"
	"github.com/wolkvox/backup/server/internal/ledgerrpc"
	"github.com/wolkvox/backup/server/internal/limits"
	"github.com/wolkvox/backup/server/internal/localact"
	"github.com/wolkvox/backup/server/internal/metrics"
	"github.com/wolkvox/backup/server/internal/outage"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/rpc"
	"github.com/wolkvox/backup/server/internal/sealer"
	"github.com/wolkvox/backup/server/internal/sequencer"
	"github.com/wolkvox/backup/server/internal/sources"
	"github.com/wolkvox/backup/server/internal/storagerpc"
)

// What lies in the state directory.
const (
	identityDir    = authority.DirName // the authority and the server's certificate, with their keys
	registryDir    = "registry"        // see package registry
	ledgersDir     = "ledgers"         // see package store
	evidenceDir    = "evidence"        // see package evidence
	witnessesDir   = "witnesses"       // see package witnesses
	offersDir      = "offers"          // what agents hand in of a log, while it is taken in
	credentialFile = "operator.pem"    // the first operator's credential
	addressFile    = "address"         // while the server runs: HOST:PORT at which it can be called from this machine's network
	alertsFile     = "alerts.json"     // who was told of what, and what waits to be delivered; see package alerts
	metricsFile    = "metrics"         // while the server runs and shows metrics: HOST:PORT at which it does
)

// Run serves until ctx ends, and then stops within seconds and returns nil. It wants [Init] to have been there.
func Run(ctx context.Context, c config.Config, log *slog.Logger) (err error) {
	if err := checkFinished(c.StateDir); err != nil {
		return err
	}
	ca, err := authority.Load(c)
	if err != nil {
		return err
	}
	certificate, err := newCertificateKeeper(ca.Authority, filepath.Join(c.StateDir, identityDir), c.Names, log, time.Now())
	if err != nil {
		return err
	}
	if err := stateRoom(c)(); err != nil {
		return err
	}
	reg, err := openRegistry(c.StateDir, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reg.Close()) }()
	reg.Room = stateRoom(c)
	acts := &localact.Taker{StateDir: c.StateDir, Registry: reg, Logger: log}
	if err := openAdminLog(ctx, reg, acts, log); err != nil {
		return err
	}
	db, sequencers, err := openLedgers(ctx, c, reg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	guard, err := newGuard(reg, enroll.NewAdmission(reg, sequencers.Serves, clones{sequencers, log}, log), log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w; is another server running, and may this user take the port?", err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port

	opener := &sources.Opener{}
	defer func() { err = errors.Join(err, opener.Close()) }()
	seals := sealer.New(reg, sequencers, sealer.Options{Logger: log, Sources: opener})
	heartbeats := heartbeatrpc.New(sequencers, reg, seals, log)
	outages := &outage.Outages{Registry: reg, Sequencers: sequencers, Logger: log}
	contents := contentrpc.New(sequencers, reg, seals, contentOptions(c.Limits, opener, log))
	stored, err := openStorage(c, reg, log)
	if err != nil {
		return err
	}
	people, err := openEntrance(c, reg, sequencers, contents, stored, log)
	if err != nil {
		return err
	}
	defer people.close()
	bounds := limits.New(limits.Options{Connections: c.Limits.Connections, ConnectionsPerAddress: c.Limits.ConnectionsPerAddress, Logger: log})
	calls := metrics.NewCalls()
	cosigners := newWitnesses(c, sequencers, log)
	server := rpc.NewServer(ca.ServerCredentials(certificate.current, time.Now), bounds, guard, calls, &adminlog.Recorder{Log: reg, Logger: log}, rpc.Services{
		Admin: &adminrpc.Service{
			Registry: reg, Sequencers: sequencers, Sealer: seals, Hearer: heartbeats,
			Authority: ca.Certificate(), Certificate: certificate.current().Leaf, Address: c.ServerAddress(port), Logger: log,
			StateFiles: func(each func(path string, data []byte) error) error { return stateFiles(c.StateDir, each) },
			Issuer:     ca.Authority, Revoker: guard, LocalActs: acts, Outages: outages, Sources: opener,
			Door: people.keeper(), Witnessed: cosigners.Witnessed,
		},
		Content:    contents,
		Enrollment: enroll.New(reg, ca.Authority, assigner{sequencers}, log),
		Heartbeat:  heartbeats,
		Ledger:     ledgerrpc.New(sequencers, log),
		Catalog:    &catalogrpc.Service{Registry: reg, Sequencers: sequencers, Logger: log},
		Storage:    storagerpc.New(stored, sequencers, reg, contents, log),
	})

	certificateEnds := func() map[string]time.Time {
		return map[string]time.Time{"server": certificate.current().Leaf.NotAfter, "authority": ca.Certificate().NotAfter, "intermediate": ca.Issuer().NotAfter}
	}
	shown, err := listenForMetrics(c, log, calls, metrics.NewDoor(func() metrics.DoorCounts { return metrics.DoorCounts(people.stats()) }), metrics.NewCollector(metrics.State{
		Sequencers: sequencers, Registry: reg, Limits: bounds, Heard: heartbeats.Heard, Logger: log,
		Directories: map[string]string{"ledgers": filepath.Join(c.StateDir, ledgersDir), "registry": filepath.Join(c.StateDir, registryDir)},
		Served: func(origin ledger.Origin) (files, sizeBytes int64) {
			served := contents.Served(origin)
			return served.Files, served.Bytes
		},
		CertificateEnds: certificateEnds,
	}))
	if err != nil {
		return err
	}
	defer shown.close()
	alarmed, err := openAlerts(c, expiring.Reader{Registry: reg, Sequencers: sequencers, Heard: heartbeats.Heard}, certificateEnds, log)
	if err != nil {
		return err
	}

	address := net.JoinHostPort(c.Names[0], strconv.Itoa(port))
	addressPath := filepath.Join(c.StateDir, addressFile)
	if err := durable.WriteFile(addressPath, []byte(address+"\n"), 0o644); err != nil {
		return fmt.Errorf("write the server's address: %w", err)
	}
	defer os.Remove(addressPath)
	log.LogAttrs(ctx, slog.LevelInfo, "listening", slog.String("address", address), slog.String("listen", listener.Addr().String()))

	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return db.Run(running) })
	group.Go(func() error { ballast.Keep(running, c.StateDir, int64(*c.StateReserve), log); return nil })
	group.Go(func() error { return watchBackups(running, reg, log) })
	group.Go(func() error { return watchDamage(running, c.StateDir, db, sequencers, log) })
	group.Go(func() error { certificate.run(running); return nil })
	group.Go(func() error { return seals.Run(running) })
	group.Go(func() error { return heartbeats.Run(running) })
	group.Go(func() error { return outages.Run(running) })
	group.Go(func() error { return cosigners.Run(running) })
	group.Go(func() error { return alarmed.Run(running) })
	group.Go(func() error { return server.Serve(running, listener) })
	group.Go(func() error { return shown.serve(running) })
	group.Go(func() error { return people.serve(running, log) })
	err = group.Wait()
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		log.LogAttrs(ctx, slog.LevelInfo, "stopped", slog.Any("cause", err))
		return nil
	}
	return err
}

func contentOptions(l config.Limits, opener *sources.Opener, log *slog.Logger) contentrpc.Options {
	options := contentrpc.Options{MaxStreams: l.Streams, MaxStreamsPerAgent: l.StreamsPerAgent, MaxTimesPerNight: l.TimesPerNight, Sources: opener, Logger: log}
	if l.BytesPerSecond != nil {
		options.BytesPerSecond = int64(*l.BytesPerSecond)
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
func (a assigner) Assign(ctx context.Context, origin ledger.Origin, request ledger.Request, replaces string) (ledger.Verifier, error) {
	seq, ok := a.sequencers.Of(origin)
	if !ok {
		return "", fmt.Errorf("the log %s is not open", origin)
	}
	at := time.Now()
	err := seq.Assign(ctx, request, replaces, at)
	if assigned, ok := errors.AsType[*sequencer.AssignedError](err); ok {
		return "", &registry.AssignedError{Tenant: origin.Tenant(), Destination: origin.Destination(), Agent: assigned.Agent}
	}
	if errors.Is(err, sequencer.ErrRetired) {
		return "", &registry.EndedError{Tenant: origin.Tenant(), Destination: origin.Destination(), At: at}
	}
	return seq.FirstServerKey(), err
}
