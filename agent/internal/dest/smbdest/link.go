package smbdest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// link is one connection with a session on it, of whichever library.
type link struct {
	smb    *SMB
	conn   *watchedConn
	ctx    context.Context // ends with the connection; its cause says why
	end    context.CancelCauseFunc
	logoff func(context.Context) error
	busy   sync.RWMutex // read-locked by every call
}

// connect dials and lets setup make a session; setup returns what ends the session.
func (s *SMB) connect(ctx context.Context, setup func(context.Context, net.Conn) (func(context.Context) error, error)) (*link, error) {
	caller := ctx
	silent := &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeServerSilent, Cause: fmt.Errorf("no session within %v", setupLimit)}
	ctx, cancel := context.WithTimeoutCause(ctx, setupLimit, silent)
	defer cancel()
	why := func(err error) error {
		switch {
		case caller.Err() != nil:
			return context.Cause(caller)
		case ctx.Err() != nil:
			return s.unreachable(silent)
		}
		return err
	}
	tcp, err := new(net.Dialer).DialContext(ctx, "tcp", s.options.Address)
	if err != nil {
		return nil, why(s.unreachable(err))
	}
	l := &link{smb: s, conn: &watchedConn{Conn: tcp}}
	l.ctx, l.end = context.WithCancelCause(context.Background())
	l.conn.failed = func(err error) { l.sever(s.unreachable(lost(err))) }
	if l.logoff, err = setup(ctx, l.conn); err != nil {
		err = why(l.explainSetup(err))
		l.sever(err)
		return nil, err
	}
	if l.conn.guest.Load() {
		err := s.unreachable(&dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeAuth, Cause: fmt.Errorf("the server does not know "+
			"the user %q and let it in as a guest, which is refused: correct the user or the domain, or have the server's administrator "+
			"turn guests off", s.options.User)})
		l.sever(err)
		return nil, err
	}
	return l, nil
}

// lost returns why a connection can no longer be read.
func lost(err error) error {
	if errors.Is(err, errMessage) {
		return &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeWrongProtocol, Cause: err}
	}
	return fmt.Errorf("the connection was lost: %w", err)
}

// explainSetup is [link.explain] while there is no session yet: every status says that the place cannot be reached.
func (l *link) explainSetup(err error) error {
	if status := l.conn.refused.Load(); status != 0 && !hasStatus(err) {
		return l.smb.unreachable(newStatus(status, err))
	}
	err = l.explain(err)
	if errors.Is(err, dest.ErrUnreachable) {
		return err
	}
	return l.smb.unreachable(err)
}

// sever cuts the connection at once, for the first cause that is given. Calls that wait for an answer fail.
func (l *link) sever(cause error) {
	l.end(cause)
	l.conn.Close()
}

// close ends the session in good manners where nothing is under way, and cuts the connection.
func (l *link) close() {
	if l.ctx.Err() == nil && l.busy.TryLock() {
		ctx, cancel := context.WithTimeout(l.ctx, farewell)
		l.logoff(ctx) // whatever it answers, the connection is cut
		cancel()
		defer l.busy.Unlock()
	}
	l.sever(fmt.Errorf("the handle is closed: %w", fs.ErrClosed))
}

// do calls the server, when ctx has not ended.
func (l *link) do(ctx context.Context, call func() error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return l.run(ctx, call)
}

// run calls the server. When ctx ends, the call has a grace left, and then the connection is cut.
func (l *link) run(ctx context.Context, call func() error) error {
	l.busy.RLock()
	defer l.busy.RUnlock()
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	defer l.watch(ctx, l.smb.silence)()
	err := l.explain(call())
	if err != nil && ctx.Err() != nil && l.ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// watch cuts the connection when limit has passed, or a grace after ctx has ended, unless stop is called before.
func (l *link) watch(ctx context.Context, limit time.Duration) (stop func()) {
	var ended atomic.Bool
	timer := time.AfterFunc(limit, func() {
		if ended.Load() {
			return
		}
		why := fmt.Errorf("the server has not answered for %v", limit)
		if ctx.Err() != nil {
			why = fmt.Errorf("the server did not answer while a call was given up (%w)", context.Cause(ctx))
		}
		l.sever(l.smb.unreachable(&dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeServerSilent, Cause: why}))
	})
	forget := context.AfterFunc(ctx, func() { timer.Reset(l.smb.grace) })
	return func() {
		ended.Store(true)
		forget()
		timer.Stop()
	}
}
