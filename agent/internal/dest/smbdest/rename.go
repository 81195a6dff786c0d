package smbdest

import (
	"context"
	"fmt"
	"net"

	plainsmb2 "github.com/hirochachacha/go-smb2"
)

// renamer is the session whose renames do not replace.
type renamer struct {
	link  *link
	share *plainsmb2.Share
}

// rename renames without replacing; a name that is taken is fs.ErrExist.
func (h *handle) rename(ctx context.Context, from, to string) error {
	r, err := h.openRenamer(ctx)
	if err != nil {
		return err
	}
	return r.link.do(ctx, func() error { return r.share.Rename(h.path(from), h.path(to)) })
}

// openRenamer returns the handle's second session, and makes it first where there is none. That is tried once for a handle,
// unless the caller gives up: a password that was changed meanwhile is not tried once for each file, which would lock the
// account.
func (h *handle) openRenamer(ctx context.Context) (*renamer, error) {
	h.renaming.Lock()
	defer h.renaming.Unlock()
	if h.renamer != nil || h.noRenamer != nil {
		return h.renamer, h.noRenamer
	}
	if h.link.ctx.Err() != nil {
		return nil, context.Cause(h.link.ctx)
	}
	s, r := h.smb, new(renamer)
	var err error
	r.link, err = s.connect(ctx, func(ctx context.Context, conn net.Conn) (func(context.Context) error, error) {
		dialer := plainsmb2.Dialer{
			Negotiator: plainsmb2.Negotiator{RequireMessageSigning: true},
			Initiator:  &plainsmb2.NTLMInitiator{User: s.options.User, Password: h.password, Domain: s.options.Domain},
		}
		session, err := dialer.DialContext(ctx, conn)
		if err != nil {
			return nil, fmt.Errorf("sign in as %q: %w", s.options.User, err)
		}
		if r.share, err = session.WithContext(ctx).Mount(s.unc()); err != nil {
			return nil, fmt.Errorf("open the share %q: %w", s.options.Share, err)
		}
		return func(ctx context.Context) error { return session.WithContext(ctx).Logoff() }, nil
	})
	if err != nil {
		if ctx.Err() == nil {
			h.noRenamer = err
		}
		return nil, err
	}
	r.share = r.share.WithContext(r.link.ctx)
	h.renamer = r
	return r, nil
}
