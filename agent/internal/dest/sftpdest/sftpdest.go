// Package sftpdest is the driver for a folder of an SSH server, by SFTP (protocol version 3,
// draft-ietf-secsh-filexfer-02). It follows the contract of package dest. It needs no extension of the server, and uses
// those of OpenSSH (openssh-portable, file PROTOCOL) where they are offered:
//
//   - fsync@openssh.com makes files durable, and folders where the server opens them like files, as OpenSSH does. Without
//     it the protocol has nothing that makes anything durable: what a server without it has acknowledged may be lost when
//     its power fails. The handle's Facts method tells.
//   - hardlink@openssh.com publishes: a link never replaces. Without it, or where the server's file system has no links,
//     files are published by plain rename, on servers that were seen to refuse a name that is taken; the draft wants
//     that, not all do it, and those that do not are refused.
//   - posix-rename@openssh.com replaces the agent's own files. Without it the new one waits under another name, where
//     it is found, while the old one is removed.
//   - statvfs@openssh.com tells the space, and what is behind the status SSH_FX_FAILURE, which says nothing.
//
// What is read back is read over a new handle, but may come from the server's cache: the protocol has no way past it.
//
// The server's host key is pinned; no key is ever learnt. A link of the place is followed only where the server resolves
// it and it stays inside. The protocol names files by paths, so somebody else who exchanges a folder for a link between
// the look and the deed is not noticed.
package sftpdest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// Options say which folder of which server, and who the agent is there. Secrets are functions, called whenever a
// connection is made, so that a changed one is used for the next.
type Options struct {
	Address string // host:port
	User    string
	// HostKey is the server's public key as in an authorized_keys file ("ssh-ed25519 AAAA..."), or its fingerprint
	// ("SHA256:...").
	HostKey       string
	Password      func() (string, error) // nil where there is none
	Key           func() ([]byte, error) // a private key as ssh-keygen writes it; nil where there is none
	KeyPassphrase func() (string, error) // nil where Key is not encrypted
	Folder        string                 // absolute, or relative to where the login leads
}

// timing is how long a server is waited for.
type timing struct {
	login     time.Duration // for a connection and the login, each
	keepalive time.Duration // between requests that a living line answers
	dead      time.Duration // without a byte from the server, the line is dead
	stalled   time.Duration // without an answer to any request, the server's SFTP is
	grace     time.Duration // for a request on its way when its context ends
	cleanup   time.Duration // for removing what is not needed
}

// SFTP opens handles on one folder. There is one SFTP for a folder in a process: handles of the same SFTP spare each
// other's staging when they sweep. It is safe for concurrent use.
type SFTP struct {
	options Options
	pin     pin
	place   string // for people
	process string // the name of this process's staging folder
	timing  timing
	stages  atomic.Int64             // how many were made
	chunks  sync.Pool                // of *[]byte with room for chunkBytes
	learnt  atomic.Pointer[[]string] // the host key algorithms that led to the pinned key
}

// New returns an opener. The error says what is wrong with the host key; nothing is connected to.
func New(options Options) (*SFTP, error) {
	pin, err := parsePin(options.HostKey)
	if err != nil {
		return nil, err
	}
	var id [8]byte
	rand.Read(id[:]) // never fails (crypto/rand)
	s := &SFTP{
		options: options,
		pin:     pin,
		place:   "sftp://" + options.User + "@" + options.Address + "/" + strings.TrimPrefix(options.Folder, "/"),
		process: hex.EncodeToString(id[:]),
		timing: timing{
			login: 30 * time.Second, keepalive: 15 * time.Second, dead: 50 * time.Second, stalled: 15 * time.Minute,
			grace: 3 * time.Second, cleanup: time.Minute,
		},
	}
	s.chunks.New = func() any { b := make([]byte, 0, chunkBytes); return &b }
	return s, nil
}

// Open connects, logs in and opens a handle on the folder. Where that fails for any reason it is dest.ErrUnreachable: a
// missing folder may be a file system that is not mounted at the server. A key or a login that is refused is there as a
// dest.CodeError.
func (s *SFTP) Open(ctx context.Context) (dest.Driver, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	h, err := s.open(ctx)
	if ctx.Err() != nil {
		if err == nil {
			h.Close()
		}
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, s.unreachable(err)
	}
	return h, nil
}

func (s *SFTP) open(ctx context.Context) (*handle, error) {
	line, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	h := &handle{
		sftp: s, line: line, dirs: make(map[string]struct{}), slots: make(chan struct{}, writesAtOnce),
	}
	if err := h.start(ctx); err != nil {
		h.line.close()
		return nil, err
	}
	return h, nil
}

// start begins SFTP on the line and finds the folder.
func (h *handle) start(ctx context.Context) error {
	defer h.begin(ctx)()
	var err error
	if h.client, err = sftp.NewClient(h.line.client); err != nil {
		if !h.line.answers() { // the library's error says of a line that broke meanwhile what it says of a server that refuses
			return h.line.lose(err)
		}
		return &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeUnsupported,
			Cause: fmt.Errorf("the server offers %s no SFTP: %w", h.sftp.options.User, err)}
	}
	folder := h.sftp.options.Folder
	root, err := h.client.RealPath(folder)
	if err != nil {
		return h.explain(ctx, "find the folder "+folder, err)
	}
	info, err := h.client.Stat(root)
	if err != nil {
		return h.explain(ctx, "look at the folder "+root, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", root)
	}
	h.root = strings.TrimSuffix(root, "/")
	_, err = h.client.Lstat(h.abs(ownDir))
	if err != nil && !isStatus(err, fxNoSuchFile) {
		return h.explain(ctx, "look at "+ownDir, err)
	}
	h.ownSeen = err == nil
	return nil
}

func (s *SFTP) unreachable(cause error) error {
	return &dest.UnreachableError{Place: s.place, Cause: cause}
}
