package server

import (
	"context"
	"crypto/tls"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/wolkvox/backup/internal/identity"
)

const (
	// checkCertificateEvery is how often the server looks whether its certificate wants renewal.
	checkCertificateEvery = time.Hour
	// warnEvery is how often it says that the authority does.
	warnEvery = 24 * time.Hour
)

// certificateKeeper holds the certificate that the server shows, renews it while the server runs, and says when the
// authority wants rotation, which is for a person to do.
type certificateKeeper struct {
	authority *identity.Authority
	dir       string
	hosts     []string
	log       *slog.Logger
	shown     atomic.Pointer[tls.Certificate]
	warned    time.Time // by the goroutine that runs; zero for never
}

// newCertificateKeeper returns the keeper with a certificate that is good at the instant at.
func newCertificateKeeper(authority *identity.Authority, dir string, hosts []string, log *slog.Logger, at time.Time) (*certificateKeeper, error) {
	k := &certificateKeeper{authority: authority, dir: dir, hosts: hosts, log: log}
	return k, k.check(context.Background(), at)
}

// current returns the certificate to show. It may be called concurrently.
func (k *certificateKeeper) current() tls.Certificate { return *k.shown.Load() }

// run renews the certificate whenever that is due, until ctx ends.
func (k *certificateKeeper) run(ctx context.Context) {
	tick := time.NewTicker(checkCertificateEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := k.check(ctx, time.Now()); err != nil {
			k.log.LogAttrs(ctx, slog.LevelError, "server's certificate not renewed", slog.Time("end", k.current().Leaf.NotAfter), slog.Any("error", err))
		}
	}
}

// check renews the certificate where that is due at the instant at. After an error the one before is still shown.
func (k *certificateKeeper) check(ctx context.Context, at time.Time) error {
	if k.authority.RenewalIsDue(at) && at.Sub(k.warned) >= warnEvery {
		k.warned = at
		k.log.LogAttrs(ctx, slog.LevelWarn, "the authority wants rotation: run wolkvox-server authority rotate and start the server again",
			slog.Time("end", k.authority.Issuer().NotAfter))
	}
	certificate, err := k.authority.ServerCertificate(k.dir, k.hosts, at)
	if err != nil {
		return err
	}
	k.shown.Store(&certificate)
	return nil
}
