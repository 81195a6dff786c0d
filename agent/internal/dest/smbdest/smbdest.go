// Package smbdest is the driver for a folder of an SMB 2 or 3 share that is not mounted. It follows the contract of package
// dest. It signs in with a user and a password (NTLMv2) and refuses to work as a guest; everything is signed, and
// encrypted where the server demands that. It does not speak SMB 1, Kerberos or DFS, and does not make the folder itself.
//
// A handle is one session. Publishing uses a second one, made when it is first needed, of another library: the maintained
// one (cloudsoda) always lets a rename replace, which is right for the agent's own files, and the one that it descends from
// (hirochachacha) never does, which is right for recordings. Sessions of both are watched on their way in (see wire.go),
// because neither tells a guest from a user.
//
// That a rename does not replace is as good as the server makes it. A Windows server does it in one step. Samba (4.17) looks
// and then renames, so of two clients that take the same name at the same instant both may be told that they have it; one
// agent serves a destination, and other programs have no reason for these names.
//
// A server that does not answer does not hold the agent up: when a context ends, a call that is under way gets some seconds
// more, and then the connection is cut and the handle is dead.
package smbdest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	smb2 "github.com/cloudsoda/go-smb2"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// How long the server may take. A NAS whose disks sleep needs half a minute to answer, and a flush of much that is not
// written yet may take minutes.
const (
	setupLimit = time.Minute     // for a session to be ready
	silence    = 5 * time.Minute // for an answer
	grace      = 3 * time.Second // for an answer after the context of the call has ended
	farewell   = 2 * time.Second // for the end of a session
)

// Options say where the share is and who the agent is there.
type Options struct {
	Address string // host:port
	Share   string
	Folder  string // below the share, a portable path; empty for the share itself
	User    string
	Domain  string // empty for the server's own users
	// Password is called for each handle, so that a changed password is used at the next one.
	Password func() (string, error)
}

// SMB opens handles on one folder of a share. There is one SMB for a folder in a process: handles of the same SMB spare
// each other's staging when they sweep. It is safe for concurrent use.
type SMB struct {
	options Options
	place   string // for a person
	root    string // the folder as the server names it
	process string // the name of this process's staging folder
	stages  atomic.Int64
	buffers sync.Pool // of *[]byte, bufferBytes long
	silence time.Duration
	grace   time.Duration
}

// New returns an opener for the folder, which need not be reachable yet.
func New(o Options) *SMB {
	var id [8]byte
	rand.Read(id[:]) // never fails (crypto/rand)
	root := strings.ReplaceAll(o.Folder, "/", `\`)
	s := &SMB{options: o, root: root, process: hex.EncodeToString(id[:]), silence: silence, grace: grace}
	s.place = strings.TrimSuffix(`\\`+o.Address+`\`+o.Share+`\`+root, `\`)
	s.buffers.New = func() any { b := make([]byte, bufferBytes); return &b }
	return s
}

// Open signs in and opens a handle on the folder. Where that fails for any reason it is dest.ErrUnreachable, with the
// server's status as a dest.CodeError: a missing share or folder may be a volume that is not mounted there.
func (s *SMB) Open(ctx context.Context) (dest.Driver, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	password, err := s.options.Password()
	if err != nil {
		return nil, s.unreachable(&dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeSecret, Cause: err})
	}
	h := &handle{smb: s, password: password}
	h.link, err = s.connect(ctx, func(ctx context.Context, conn net.Conn) (func(context.Context) error, error) {
		dialer := smb2.Dialer{
			Negotiator: smb2.Negotiator{RequireMessageSigning: true},
			Initiator:  &smb2.NTLMInitiator{User: s.options.User, Password: password, Domain: s.options.Domain},
		}
		session, err := dialer.DialConn(ctx, conn, s.options.Address)
		if err != nil {
			return nil, fmt.Errorf("sign in as %q: %w", s.options.User, err)
		}
		if h.share, err = session.WithContext(ctx).Mount(s.unc()); err != nil {
			return nil, fmt.Errorf("open the share %q: %w", s.options.Share, err)
		}
		return func(ctx context.Context) error { return session.WithContext(ctx).Logoff() }, nil
	})
	if err != nil {
		return nil, err
	}
	h.share = h.share.WithContext(h.link.ctx)
	if err := h.proveRoot(ctx); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// unc is the share's name on the wire, without the port.
func (s *SMB) unc() string {
	host, _, err := net.SplitHostPort(s.options.Address)
	if err != nil {
		host = s.options.Address
	}
	return `\\` + host + `\` + s.options.Share
}

func (s *SMB) unreachable(cause error) error {
	return &dest.UnreachableError{Place: s.place, Cause: cause}
}

// handle is one session.
type handle struct {
	smb      *SMB
	link     *link
	share    *smb2.Share
	password string

	renaming  sync.Mutex // held while the second session is made
	renamer   *renamer
	noRenamer error // why it cannot be made
}

// do calls the server, when ctx has not ended, and returns what its answer means.
func (h *handle) do(ctx context.Context, call func(share *smb2.Share) error) error {
	return h.link.do(ctx, func() error { return call(h.share) })
}

// Close implements dest.Driver.
func (h *handle) Close() error {
	h.renaming.Lock()
	defer h.renaming.Unlock()
	if h.renamer != nil {
		h.renamer.link.close()
	}
	h.link.close()
	return nil
}

// path returns a name as the server takes it.
func (h *handle) path(name string) string {
	name = strings.ReplaceAll(path.Clean(name), "/", `\`)
	switch {
	case name == ".":
		return h.smb.root
	case h.smb.root == "":
		return name
	}
	return h.smb.root + `\` + name
}

// Open implements dest.Driver.
func (h *handle) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := h.regular(ctx, name); err != nil {
		return nil, err
	}
	return h.read(ctx, name)
}

// read opens a file for reading, without looking at what it is.
func (h *handle) read(ctx context.Context, name string) (io.ReadCloser, error) {
	o := opened{ctx: ctx, handle: h}
	err := h.do(ctx, func(share *smb2.Share) (err error) { o.file, err = share.Open(h.path(name)); return err })
	if isMissing(err) {
		return nil, h.missing(ctx, name)
	}
	if err != nil {
		return nil, err
	}
	return newReader(o, name, &h.smb.buffers), nil
}

// regular returns nil where name is a regular file, and what [handle.Open] returns where it is not.
func (h *handle) regular(ctx context.Context, name string) error {
	kind, err := h.kind(ctx, name)
	switch {
	case isMissing(err):
		return h.missing(ctx, name)
	case err != nil:
		return err
	case kind != kindFile:
		return fmt.Errorf("%w: %q is not a regular file", dest.ErrConflict, name)
	}
	return nil
}

// fileKind is what has a name.
type fileKind uint8

const (
	kindFile fileKind = iota
	kindFolder
	kindLink
)

// kind looks at a name, not at what a link leads to. A link that the server itself follows (Samba's) is not seen.
func (h *handle) kind(ctx context.Context, name string) (fileKind, error) {
	var info fs.FileInfo
	err := h.do(ctx, func(share *smb2.Share) (err error) { info, err = share.Lstat(h.path(name)); return err })
	switch {
	case err != nil:
		return 0, err
	case info.Mode()&fs.ModeSymlink == 0 && info.IsDir():
		return kindFolder, nil
	case info.Mode()&fs.ModeSymlink == 0:
		return kindFile, nil
	}
	// A reparse point: a link, or a file whose contents a file system filter keeps elsewhere, such as a deduplicated one.
	err = h.do(ctx, func(share *smb2.Share) error { _, err := share.Readlink(h.path(name)); return err })
	if err == nil || info.IsDir() {
		return kindLink, nil
	}
	if isBroken(err) { // it is no symbolic link's
		return kindFile, nil
	}
	return 0, err
}
