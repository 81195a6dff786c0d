package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	"github.com/wolkvox/backup/agent/internal/enroll"
	"github.com/wolkvox/backup/agent/internal/uplink"
)

const (
	// lookEvery is how often the agent looks whether its certificate wants renewal.
	lookEvery = 10 * time.Minute
	// renewEvery is the shortest time between two renewals: a certificate cannot outlive its issuer, and one that ends
	// soon for that reason is not renewed all the time.
	renewEvery = 24 * time.Hour
)

// dial prepares the connection that shows an identity.
func (a *Agent) dial(id *enroll.Identity) (*grpc.ClientConn, error) {
	config, err := id.TLSConfig(a.judged)
	if err != nil {
		return nil, err
	}
	return uplink.Dial(id.Server, a.options.Config.Proxy, config)
}

// who returns the identity in use.
func (a *Agent) who() *enroll.Identity {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.identity
}

// use changes the connection to an identity with another certificate.
func (a *Agent) use(id *enroll.Identity) error {
	conn, err := a.dial(id)
	if err != nil {
		return err
	}
	a.beating.Lock() // a heartbeat that is under way says nothing of the new certificate
	defer a.beating.Unlock()
	a.mu.Lock()
	a.identity, a.accepted = id, false
	a.mu.Unlock()
	return a.link.replace(conn)
}

// keepCertificate renews the agent's certificate at two thirds of its life, or when the server refuses it, until ctx ends.
func (a *Agent) keepCertificate(ctx context.Context) {
	retry := uplink.Backoff{Base: time.Minute, Max: time.Hour}
	var renewed time.Time
	refused := false
	for {
		var err error
		if refused || a.who().RenewalDue(a.judged()) && (renewed.IsZero() || time.Since(renewed) >= renewEvery) {
			if err = a.renew(ctx); ctx.Err() != nil {
				return
			}
			renewed = time.Now()
		}
		a.mu.Lock()
		a.renewal = err
		a.mu.Unlock()
		if err != nil {
			renewed = time.Time{}
			a.options.Logger.LogAttrs(ctx, slog.LevelWarn, "certificate not renewed", slog.Any("error", err))
			if retry.Wait(ctx, err) != nil {
				return
			}
			continue
		}
		retry.Reset()
		if refused = a.waitToLook(ctx); ctx.Err() != nil {
			return
		}
	}
}

// waitToLook waits until the certificate is to be looked at again, and reports whether that is because the server refused
// it.
func (a *Agent) waitToLook(ctx context.Context) (refused bool) {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	select {
	case refused = <-a.look:
		return refused
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// renew gets the next certificate, changes to it, and uses it once, which makes it the one in use at the server. Where the
// server refuses one that it never accepted, the agent goes back to the one before.
func (a *Agent) renew(ctx context.Context) error {
	next, err := enroll.Renew(ctx, a.options.Config.StateDir, a.who(), a.link, a.judged())
	if errors.Is(err, enroll.ErrRefused) {
		return errors.Join(err, a.goBack())
	}
	if err != nil {
		return err
	}
	if err := a.use(next); err != nil {
		return err
	}
	a.options.Logger.LogAttrs(ctx, slog.LevelInfo, "certificate renewed", slog.Time("end", next.Credential.Certificate.Leaf.NotAfter))
	if err := a.heartbeat(ctx); enroll.IsRefused(err) {
		return errors.Join(fmt.Errorf("the server refuses the certificate that it has just given: %w", err), a.goBack())
	}
	return nil // an unreachable server is heard of with the next heartbeat
}

// goBack changes to the certificate before, where there is one that the server accepted last.
func (a *Agent) goBack() error {
	previous, err := enroll.Previous(a.options.Config.StateDir, a.who())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return a.use(previous)
}

// noteRefusal has the certificate renewed if that is why a heartbeat failed.
func (a *Agent) noteRefusal(err error) {
	if !enroll.IsRefused(err) {
		return
	}
	a.lookNow(true)
}

// lookNow has the certificate looked at now.
func (a *Agent) lookNow(refused bool) {
	select {
	case a.look <- refused:
	default:
	}
}

// noteAccepted forgets the certificate before, once the server took a call with the one in use.
func (a *Agent) noteAccepted(ctx context.Context) {
	a.mu.Lock()
	done := a.accepted
	a.accepted = true
	a.mu.Unlock()
	if done {
		return
	}
	a.lookNow(false) // the server's time may be known only now
	if err := enroll.Accepted(a.options.Config.StateDir); err != nil {
		a.options.Logger.LogAttrs(ctx, slog.LevelWarn, "certificate of before not removed", slog.Any("error", err))
	}
}
