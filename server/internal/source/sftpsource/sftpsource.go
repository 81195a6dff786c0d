// Package sftpsource reads recordings that lie on a server that speaks SFTP. One connection serves all work on a source; it
// is made when it is needed, and given up when it was not used for a while. A connection that is lost ends the work that
// used it: what is said about a file is always said by the connection over which the source was proved.
//
// It writes nothing but the marker, follows no symbolic links, and judges nothing: see [source.Driver].
package sftpsource

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/wolkvox/backup/server/internal/source"
)

// Config says where recordings lie and how to get there. It is comparable.
type Config struct {
	Address string // host:port
	User    string
	// Folder is where the recordings lie: absolute, or below the folder in which the server puts whoever logs in.
	Folder string
	// HostKey is the only key that is taken: "ssh-ed25519 AAAA...", or a fingerprint, "SHA256:...".
	HostKey string
	// The files with the secrets, which only the server's own user may read; they are read at every login. One of the first
	// two is given.
	KeyFile, PasswordFile, PassphraseFile string
}

// timing is how long things may take.
type timing struct {
	login     time.Duration // to connect and log in
	keepalive time.Duration // between two questions whether the server is there
	silent    time.Duration // a connection over which nothing came for so long is dead
	stalled   time.Duration // SFTP that answered nothing for so long, though asked, is dead
	idle      time.Duration // a connection that nobody used for so long is given up
	rest      time.Duration // after a failure, nothing is tried for so long
	refused   time.Duration // the same, where the server refuses to let us in: accounts are locked for less
}

var productTiming = timing{
	login: 20 * time.Second, keepalive: 15 * time.Second, silent: time.Minute, stalled: 2 * time.Minute,
	idle: 2 * time.Minute, rest: 10 * time.Second, refused: time.Minute,
}

// Host makes and keeps the connection to one source's server. Its methods may be called concurrently.
type Host struct {
	config Config
	pin    pin
	timing timing

	dialing chan struct{} // holds a token while somebody connects

	mu      sync.Mutex // guards what follows
	current *session   // nil where there is none
	failed  error      // what the last attempt to connect ended with; nil where it was well
	until   time.Time  // till when failed is all that is said
	closed  bool
}

// New returns a host, and connects to nothing. The error says what is wrong with the configuration.
func New(c Config) (*Host, error) { return newHost(c, productTiming) }

func newHost(c Config, t timing) (*Host, error) {
	switch {
	case c.User == "":
		return nil, errors.New("the user is missing")
	case (c.KeyFile == "") == (c.PasswordFile == ""):
		return nil, errors.New("either a file with a private key or one with a password is wanted")
	case c.PassphraseFile != "" && c.KeyFile == "":
		return nil, errors.New("there is a passphrase, and no private key")
	case c.Folder == "" || path.Clean(c.Folder) != c.Folder || c.Folder == ".." || strings.HasPrefix(c.Folder, "../"):
		return nil, fmt.Errorf("the folder %q is not a path in its shortest form", c.Folder)
	}
	if err := checkAddress(c.Address); err != nil {
		return nil, err
	}
	p, err := parsePin(c.HostKey)
	if err != nil {
		return nil, err
	}
	return &Host{config: c, pin: p, timing: t, dialing: make(chan struct{}, 1)}, nil
}

// Name says where the source lies: sftp://user@host:port/folder, or /~/folder for one below the login's.
func (h *Host) Name() string {
	folder := h.config.Folder
	if !path.IsAbs(folder) {
		folder = "/" + path.Join("~", folder)
	}
	return "sftp://" + h.config.User + "@" + h.config.Address + folder
}

// Remedy says what people can do where the host cannot be reached.
const Remedy = "see that the server answers there, that this user may log in and read, and that its folder is the one that was added"

// Open returns the source for one piece of work, over the connection that there is or a new one. The error wraps
// [source.ErrUnreachable], and [source.ErrRefused] where the server is another or does not let us in; or it is the
// context's. Where an attempt to connect has failed a moment ago, its error is returned.
func (h *Host) Open(ctx context.Context) (source.Driver, error) {
	s, fresh, err := h.session(ctx)
	if err == nil && !fresh && s.gone(ctx) {
		h.leave(s)
		s, _, err = h.session(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("open source %q: %w", h.Name(), context.Cause(ctx))
		}
		return nil, source.Unreachable(h.Name(), Remedy, err)
	}
	return &driver{host: h, session: s}, nil
}

// session returns a connection that is used once more, and whether it was made for that.
func (h *Host) session(ctx context.Context) (s *session, fresh bool, err error) {
	if s, err := h.known(); s != nil || err != nil {
		return s, false, err
	}
	select {
	case h.dialing <- struct{}{}:
		defer func() { <-h.dialing }()
	case <-ctx.Done():
		return nil, false, context.Cause(ctx)
	}
	if s, err := h.known(); s != nil || err != nil {
		return s, false, err // somebody else has connected meanwhile
	}
	s, err = h.connect(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil && h.closed:
		s.close()
		return nil, false, errClosed
	case err == nil:
		s.users = 1
		h.current, h.failed = s, nil
	case ctx.Err() == nil:
		h.failed, h.until = err, time.Now().Add(h.timing.rest)
		if errors.Is(err, source.ErrRefused) {
			h.until = time.Now().Add(h.timing.refused)
		}
	}
	return s, true, err
}

var errClosed = errors.New("the source is closed")

// known returns the connection that there is, used once more, or why none is to be made now.
func (h *Host) known() (*session, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errClosed
	}
	if h.current != nil && !h.current.ended() {
		h.current.users++
		return h.current, nil
	}
	if h.failed != nil && time.Now().Before(h.until) {
		return nil, h.failed
	}
	return nil, nil
}

// leave ends one use of a connection. The last one that leaves has it closed after a while.
func (h *Host) leave(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.users--
	if s.users > 0 {
		return
	}
	if s != h.current || h.closed || s.ended() {
		s.close()
		return
	}
	s.uses++
	uses := s.uses
	time.AfterFunc(h.timing.idle, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if s.users == 0 && s.uses == uses {
			s.close()
		}
	})
}

// Close closes the connection, if there is one, and waits for its end. What still uses it ends with an error.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	current := h.current
	h.mu.Unlock()
	if current != nil {
		current.close()
		current.group.Wait()
	}
	return nil
}
