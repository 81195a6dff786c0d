package sftpdest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pkg/sftp"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

const (
	ownDir     = backup.OwnPrefix
	stagingDir = backup.OwnPrefix + "/staging"

	// requestsAtOnce bounds the files for which requests of one kind are on their way: it hides the line's latency.
	requestsAtOnce = 32
	// chunkBytes is the payload of one request: what every server must take (filexfer-02 section 3).
	chunkBytes = 32 << 10
	// writesAtOnce bounds the chunks of all files that are written and not acknowledged: twice what servers let a channel
	// have under way.
	writesAtOnce = 128
	// sessions is how many SFTP sessions a handle writes and reads files with. OpenSSH's server works off a session's
	// requests one after the other, syncs too; a file system makes files durable that are synced at the same time for about
	// the price of one. OpenSSH lets a connection have 10.
	sessions = 8
	// manyFiles is from how many files on a stage has more than one session.
	manyFiles = 16
)

// The extensions that are used.
const (
	extFsync       = "fsync@openssh.com"
	extHardlink    = "hardlink@openssh.com"
	extPosixRename = "posix-rename@openssh.com"
	extStatVFS     = "statvfs@openssh.com"
)

// handle is one connection to the folder. A folder that is exchanged behind its back, as by unmounting, is found by what
// it lacks: staging, and with it what is to be published, and the marker.
type handle struct {
	sftp    *SFTP
	line    *line
	client  *sftp.Client
	root    string // the folder's absolute path, without a slash at its end
	ownSeen bool   // the folder for own files was there when the handle was opened

	slots   chan struct{}  // held by chunks that are being written
	closing sync.WaitGroup // closes of files that were read

	mu     sync.Mutex
	dirs   map[string]struct{} // folders that were seen to be folders inside the place
	making sync.Mutex          // held while folders are made

	widening sync.Mutex                     // held while sessions are begun
	files    atomic.Pointer[[]*sftp.Client] // sessions for files' contents, client among them; nil before there are others
	turn     atomic.Int64                   // whose turn it is among files

	probing sync.Mutex // guards keeps
	keeps   *bool      // whether plain rename refuses a name that is taken; nil before that was tried
}

// Close implements dest.Driver.
func (h *handle) Close() error {
	// Everything that counts was answered; an orderly end would only be one more thing to wait for.
	h.line.close()
	h.closing.Wait()
	return nil
}

func (h *handle) has(extension string) bool {
	version, ok := h.client.HasExtension(extension)
	switch extension {
	case extStatVFS:
		return ok && version == "2"
	default:
		return ok && version == "1"
	}
}

// widen begins further sessions, where that is of use. A server may refuse some.
func (h *handle) widen(ctx context.Context) {
	h.widening.Lock()
	defer h.widening.Unlock()
	if h.files.Load() != nil || !h.has(extFsync) {
		return
	}
	defer h.begin(ctx)()
	begun := make([]*sftp.Client, sessions)
	begun[0] = h.client
	var group sync.WaitGroup
	for i := range begun[1:] {
		group.Go(func() {
			if client, err := sftp.NewClient(h.line.client); err == nil {
				begun[1+i] = client
			}
		})
	}
	group.Wait()
	begun = slices.DeleteFunc(begun, func(c *sftp.Client) bool { return c == nil })
	h.files.Store(&begun)
}

// forFile returns the session for the next file's contents.
func (h *handle) forFile() *sftp.Client {
	files := h.files.Load()
	if files == nil {
		return h.client
	}
	return (*files)[int(h.turn.Add(1)%int64(len(*files)))]
}

// abs returns the server's path of a name below the place.
func (h *handle) abs(name string) string {
	if name == "." {
		return h.root + "/"
	}
	return h.root + "/" + name
}

// begin begins a request whose context is ctx.
func (h *handle) begin(ctx context.Context) (end func()) { return h.line.beginWithin(ctx) }

// do makes a request, unless ctx has ended, and gives its error a meaning; see [handle.explain].
func (h *handle) do(ctx context.Context, what, name string, request func() error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	end := h.begin(ctx)
	err := request()
	end()
	if err != nil {
		return h.explain(ctx, what+" "+name, err)
	}
	return nil
}

// lstat looks at what has the name, not following a link.
func (h *handle) lstat(ctx context.Context, name string) (info fs.FileInfo, err error) {
	err = h.do(ctx, "look at", name, func() error { info, err = h.client.Lstat(h.abs(name)); return err })
	return info, err
}

// remove deletes a file, or a folder that is empty.
func (h *handle) remove(ctx context.Context, name string) error {
	return h.do(ctx, "remove", name, func() error { return h.client.Remove(h.abs(name)) })
}

// Open implements dest.Driver.
func (h *handle) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	r, err := h.openFile(ctx, name)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// openFile opens a regular file. What is under the name is looked at first: opening a pipe may never end.
func (h *handle) openFile(ctx context.Context, name string) (*reader, error) {
	if err := h.look(ctx, parent(name)); err != nil {
		return nil, h.provenAbsent(ctx, name, err)
	}
	info, err := h.lstat(ctx, name)
	if err != nil {
		return nil, h.provenAbsent(ctx, name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, notRegular(name)
	}
	r, err := h.read(ctx, name, info.Size())
	if err != nil {
		return nil, h.provenAbsent(ctx, name, err)
	}
	return r, nil
}

func notRegular(name string) error {
	return fmt.Errorf("%w: %q is not a regular file", dest.ErrConflict, name)
}
