// Package rsyncdest is the driver for a module of an rsync daemon, or a folder that rsync reaches over SSH. It follows the
// contract of package dest by running the rsync program: every operation is a process. It runs on Linux; anywhere else Open
// says so. It retries nothing but a connection that the daemon refuses because it has too many, and does not know how much space is
// left: rsync cannot tell.
//
// # Life of a batch
//
// rsync has no stage and publish. What is received gathers in a spool on the agent's own disk, is read back there, and then
// goes to the place by one process, or some where the files are many, which puts only what is absent (--ignore-existing). The
// receiving rsync writes each file below .wolkvox/staging, syncs it (--fsync, from rsync 3.2.4 on) and renames it, so that a
// file is visible whole or not at all. A second process compares what is stored with the spool (see [Options.Readback]); what differs is moved aside by a
// further one.
//
// rsync syncs files, not folders. After files were published, and after each own file, one small file more is written and
// synced: file systems that log their changes in order have made the names before it durable by then.
//
// Modification times are not sent: those of the spool say nothing, and no comparison looks at them.
//
// # What rsync cannot do
//
// BUG(rsyncdest): rsync looks whether a name is taken before it sends the file, and then renames over whatever has the name.
// What another program puts there in between is replaced. Whoever shares a folder with the agent loses nothing that was there
// before the batch.
package rsyncdest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// DefaultReserveBytes is what the spool leaves free on its volume where [Options] do not say.
const DefaultReserveBytes = 256 << 20

// Options say where the place is and how it is reached.
type Options struct {
	Address string // the daemon's host:port; empty with SSH
	Module  string
	User    string
	// Password returns the daemon's password; it is called for each Open. Nil where the module asks for none.
	Password func() (string, error)
	// SSH reaches Folder by rsync over SSH instead of a daemon.
	SSH *SSH
	// Folder is below the module; with SSH absolute, or relative to where the login leads.
	Folder string
	// Readback pulls everything back that was published, and compares its SHA-256 here. Otherwise the peer computes a
	// checksum over what it stored: SHA-1, or MD5 where one side has no SHA-1.
	Readback bool
	// Program is the rsync program; found in PATH where empty.
	Program string
	// Spool is a folder of this machine, made where it is absent. What lies below it is deleted by the next process.
	Spool string
	// ReserveBytes stay free on the spool's volume; [DefaultReserveBytes] where 0.
	ReserveBytes int64
}

// SSH is a login at an SSH server.
type SSH struct {
	Address string // host:port
	User    string
	// HostKey is the server's public key as in an authorized_keys file. A fingerprint is refused: the ssh program takes none.
	HostKey string
	// Key returns the private key, not encrypted; it is called for each Open.
	Key func() ([]byte, error)
}

// Rsync opens handles on one place. There is one Rsync for a place in a process. It is safe for concurrent use.
type Rsync struct {
	options Options
	label   string // of the place, for people
	process string // names this process's folders, in the spool and at the place
	spool   string // of this place and process
	folders atomic.Int64

	writes   atomic.Int64 // of own files: each counts when it begins and when it has ended
	noFsync  atomic.Bool  // the receiving rsync knows or allows no --fsync
	noSHA1   atomic.Bool  // one side has no SHA-1
	running  atomic.Int64 // processes
	crowded  atomic.Bool  // the daemon takes fewer connections at a time than were tried
	afterPut func()       // called between publishing and comparing, by tests; may be nil
}

// New returns an opener for a place. It touches nothing.
func New(o Options) *Rsync {
	var id [8]byte
	rand.Read(id[:]) // never fails (crypto/rand)
	r := &Rsync{options: o, process: hex.EncodeToString(id[:])}
	if o.ReserveBytes == 0 {
		r.options.ReserveBytes = DefaultReserveBytes
	}
	if o.SSH != nil {
		r.label = o.SSH.User + "@" + o.SSH.Address + ":" + o.Folder
	} else {
		r.label = "rsync://" + o.Address + "/" + path.Join(o.Module, o.Folder)
	}
	place := sha256.Sum256([]byte(r.label)) // several places may share a spool
	r.spool = filepath.Join(o.Spool, hex.EncodeToString(place[:8]), r.process)
	return r
}

// handle is one opened place: the files that its processes need, and over SSH the connection.
type handle struct {
	rsync  *Rsync
	dir    string   // working folder of its processes
	base   string   // the place as rsync's argument, ending in a slash
	pullAt string   // what files are pulled from, as rsync's argument
	below  string   // the place below pullAt, empty or ending in a slash
	remote []string // options that reach it
	env    []string // with the daemon's password

	connection *connection // over SSH
	kept       kept
}

// Open proves that the place can be reached and read. Every error but that of ctx is dest.ErrUnreachable.
func (r *Rsync) Open(ctx context.Context) (dest.Driver, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	h, err := r.open(ctx)
	if err == nil {
		if err = h.reach(ctx); err == nil {
			return h, nil
		}
		err = errors.Join(err, h.Close())
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if errors.Is(err, dest.ErrUnreachable) {
		return nil, err
	}
	return nil, &dest.UnreachableError{Place: r.label, Cause: err}
}

// reach proves that the place can be read, by its own files where it has any.
func (h *handle) reach(ctx context.Context) error {
	if known, err := h.readKept(ctx); known || err != nil {
		return err
	}
	found, err := h.look(ctx, []string{backup.OwnPrefix})
	if err == nil && !errors.Is(found[0].err, dest.ErrConflict) && !errors.Is(found[0].err, os.ErrNotExist) {
		err = found[0].err // it is no folder, nor is it absent
	}
	return err
}

// open prepares what the processes of a handle need.
func (r *Rsync) open(ctx context.Context) (*handle, error) {
	if runtime.GOOS == "windows" {
		return nil, &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeUnsupported, Cause: errors.New(
			"rsync destinations need an agent on Linux; give this agent an SMB share (smb) or an SFTP folder (sftp)")}
	}
	if _, err := r.program(); err != nil {
		return nil, err
	}
	dir, err := r.makeFolder("h")
	if err != nil {
		return nil, err
	}
	h := &handle{rsync: r, dir: dir, env: []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "HOME=" + dir}}
	if r.options.SSH != nil {
		err = h.prepareSSH(ctx, r.options.SSH)
	} else {
		err = h.prepareDaemon()
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// program returns the path of the rsync program.
func (r *Rsync) program() (string, error) {
	name := r.options.Program
	if name == "" {
		name = "rsync"
	}
	return lookProgram(name)
}

// lookProgram finds a program; what is not there is no absent file of the place.
func lookProgram(name string) (string, error) {
	found, err := exec.LookPath(name)
	if err != nil {
		return "", &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeProgram, Cause: fmt.Errorf(
			"the program %s cannot be run (%v); install it, or say where it is", name, err)}
	}
	return found, nil
}

// prepareDaemon sets up how the daemon's module is reached. The user goes the way of the password: it needs no quoting there.
func (h *handle) prepareDaemon() error {
	o := &h.rsync.options
	h.base = "rsync://" + o.Address + "/" + path.Join(o.Module, o.Folder) + "/"
	// Where a daemon does not chroot, rsync 3.5.0 finds nothing that --files-from names below a folder of its module, and calls
	// it vanished; so files are pulled from the module.
	h.pullAt = "rsync://" + o.Address + "/" + o.Module + "/"
	if o.Folder != "" {
		h.below = o.Folder + "/"
	}
	// Without TCP_NODELAY each process waits some 40 ms for an acknowledgement that the other side delays.
	h.remote = []string{"--sockopts=TCP_NODELAY", "--contimeout=" + strconv.Itoa(connectSeconds), "--no-motd"}
	h.env = append(h.env, "USER="+o.User)
	if o.Password == nil {
		return nil
	}
	password, err := o.Password()
	if err != nil {
		return &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeSecret, Cause: hideAbsence(err)}
	}
	h.env = append(h.env, "RSYNC_PASSWORD="+password)
	return nil
}

// Close ends the connection and deletes what the handle needed on this machine.
func (h *handle) Close() error {
	h.connection.close()
	return os.RemoveAll(h.dir)
}
