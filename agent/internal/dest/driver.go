package dest

import (
	"context"
	"io"
	"iter"

	"github.com/wolkvox/backup"
)

// Opener opens one handle on a place. It returns an error that is [ErrUnreachable] where the place cannot be
// reached. It is safe for concurrent use; handles are independent of each other.
type Opener interface {
	Open(ctx context.Context) (Driver, error)
}

// Driver is one opened handle on a place. Its methods are safe for concurrent use. Names are portable paths
// (backup.CheckPath), checked by the caller, with slashes on every system.
type Driver interface {
	// Put stores size bytes of r under name if the precondition holds. Nil means complete, durable and visible;
	// any other error means that the name is as it was before, and no unfinished file is visible under it.
	// A precondition that does not hold is [ErrConflict]. An error of r is returned as it is (wrapped), and a
	// stream of another length than size is an error.
	Put(ctx context.Context, name string, r io.Reader, size int64, pre Precondition) error

	// Open opens a file for reading what is stored. It returns fs.ErrNotExist only where the name is truly
	// absent: a place that went away, or refuses to be read, is any other error. Whatever is not a regular file
	// is [ErrConflict], and is not opened; so is a name below one. The reader may implement [CachePasser].
	Open(ctx context.Context, name string) (io.ReadCloser, error)

	// Close releases the handle. Stages that were not discarded are left for the next process to sweep.
	Close() error
}

// Precondition says what must be under a name for [Driver.Put] to store there. The zero value is [Absent].
type Precondition struct{ replaces *backup.Digest }

// Absent holds where nothing is under the name.
var Absent Precondition

// Replaces holds where a regular file with this digest is under the name.
func Replaces(known backup.Digest) Precondition { return Precondition{replaces: &known} }

// Replaced returns the digest that must be there, and false where nothing may be there.
func (p Precondition) Replaced() (backup.Digest, bool) {
	if p.replaces == nil {
		return backup.Digest{}, false
	}
	return *p.replaces, true
}

// CachePasser is implemented by readers that know whether they pass the caches of this machine.
type CachePasser interface {
	// PassesCache reports whether every byte is read from the device or the server, not from a cache of this
	// machine's operating system.
	PassesCache() bool
}

// Stager is a driver that writes files out of sight and makes them visible by renaming without replacing.
type Stager interface {
	// NewStage makes an empty staging area that no other call, process or earlier run uses.
	NewStage(ctx context.Context) (Stage, error)
	// SweepStaging deletes what earlier processes left in staging; areas of this process's opener are kept.
	SweepStaging(ctx context.Context) error
}

// Stage is one staging area, on the handle that made it. Create and the files it returns may be used from
// several goroutines at once, also while the other methods run; each file by one goroutine. The other methods
// are called from one goroutine.
type Stage interface {
	// Create begins an empty file; key is one file name of lower-case letters, digits and '-'. Space for
	// sizeBytes may be reserved; it is not the file's size.
	Create(ctx context.Context, key string, sizeBytes int64) (StagedFile, error)
	// Sync makes the contents of all files closed before the call durable. After an error none of them can be
	// relied upon.
	Sync(ctx context.Context) error
	// Open reads a file that was synced, as far as possible from the device; see [CachePasser].
	Open(ctx context.Context, key string) (io.ReadCloser, error)
	// Publish renames synced files to their names, making folders as needed and never replacing anything. The
	// errors are in the order of moves: nil, fs.ErrExist where the name is taken, [ErrConflict] where a file or a
	// link out of the place stands where a folder is needed, or another error. It does not make the names durable.
	Publish(ctx context.Context, moves []Move) []error
	// SyncNames makes durable all names that Publish made since the last call, and the folders that lead there.
	SyncNames(ctx context.Context) error
	// Remove deletes one staged file that is closed.
	Remove(key string) error
	// Discard deletes the area and what is left in it. Files not yet closed must be discarded before.
	Discard() error
}

// Checker is a stage that lies elsewhere than what it publishes, as on the agent's own disk: reading it back proves nothing
// about the destination, so what it published is compared there afterwards.
type Checker interface {
	// Check compares published files with the staged ones, in the order of moves. It may run at the same time as SyncNames,
	// unlike the other methods of a stage. The error of Check itself says that nothing is known of any of them.
	Check(ctx context.Context, moves []Move) ([]Checked, error)
}

// Uploader is a stage of a place that cannot rename, such as an object store: a file goes to its own name, only if that is
// free, and becomes visible there whole and at once, or not at all. Sync waits for the uploads of all files closed before;
// Publish returns how each of them ended, fs.ErrExist where the name was taken. Create and Open are not used.
type Uploader interface {
	Checker
	// Upload begins the file that shall be visible under name; key as for Create. Nothing is visible before its Close,
	// which is called only when all bytes came and have the digest want. Close need not wait for the upload: its outcome is
	// that of Publish. ctx counts for this call alone: what is on its way goes on until it ends or the stage is discarded, and
	// Discard waits until it has ended. Discard leaves nothing behind.
	Upload(ctx context.Context, key, name string, want backup.Digest) (StagedFile, error)
}

// Checked is the outcome of one comparison: nil, [ErrReadBack] where what is stored differs, or another error.
type Checked struct {
	Method backup.Method
	Err    error
}

// Hasher is a driver that hashes many files at once, where opening one after the other would be slow.
type Hasher interface {
	// HashAll returns the SHA-256 and size of what is stored under names, in their order, with the errors that
	// [Driver.Open] would give. The error of HashAll itself says that nothing is known of any of them.
	HashAll(ctx context.Context, names []string) ([]Found, error)
}

// Glancer is a driver that can tell most of what is absent at much less cost than by asking for each name.
type Glancer interface {
	// Glance reports of each of names whether it seems to be absent; false says nothing. It is a hint: nothing may be called
	// missing by it, and what is put in its place is put only if the name is free.
	Glance(ctx context.Context, names []string) (absent []bool, err error)
}

// Rereader is a [Hasher] that may tell what the place itself computed, without reading.
type Rereader interface {
	Hasher
	// TellsDigests reports whether HashAll asks for what the place computed, now, instead of reading all.
	TellsDigests(ctx context.Context) bool
	// ReadAll is HashAll that reads every byte.
	ReadAll(ctx context.Context, names []string) ([]Found, error)
}

// StagedFile is a file being staged.
type StagedFile interface {
	io.Writer
	// Close ends writing. A nil error says that all bytes were taken; that they are stored and durable is for the next
	// Sync to say. After an error the whole stage is unknown.
	Close() error
	// Discard closes and deletes the file. It is called instead of Close, never after it.
	Discard() error
}

// Move names a staged file and the name under which it shall be visible.
type Move struct{ Key, Name string }

// MaxOwnBytes is the most that an own file may hold.
const MaxOwnBytes = 1 << 20

// Keeper is a driver that keeps small files of the agent's own, of up to [MaxOwnBytes]. Their names are relative to the folder
// [backup.OwnPrefix], and may lie in folders below it, which are made as needed. Every driver that a [Store] is built on has this
// ability.
type Keeper interface {
	// ReadOwn returns the contents of an own file, fs.ErrNotExist only where it is truly absent.
	ReadOwn(ctx context.Context, name string) ([]byte, error)
	// WriteOwn replaces an own file: afterwards, also after a crash, it holds the old or the new contents whole,
	// and after a nil error the new ones, durably.
	WriteOwn(ctx context.Context, name string, data []byte) error
	// RemoveOwn deletes an own file; one that is absent is no error.
	RemoveOwn(ctx context.Context, name string) error
}

// Mover is a driver that can move a visible file away.
type Mover interface {
	// MoveAside renames the regular file name to the own name to (relative as for [Keeper]), durably and without replacing: fs.ErrExist
	// where to is taken, fs.ErrNotExist where name is truly absent, [ErrConflict] where it is not a regular file.
	MoveAside(ctx context.Context, name, to string) error
}

// Settler is a driver where a visible file that this process did not write may not be durable yet.
type Settler interface {
	// Settle makes the contents and the names of those of names that are present durable. Absent ones, and what
	// is not a regular file, are passed over.
	Settle(ctx context.Context, names []string) error
}

// File is what a listing tells of one visible file.
type File struct {
	Name      string // with slashes; not checked: it is what somebody called it
	SizeBytes int64
	Regular   bool // false for links, devices and the like
}

// Lister is a driver that can list the visible files.
type Lister interface {
	// List yields every visible file once, own files left out, in no particular order. An error ends it: what
	// was not yielded before it is not known to be absent.
	List(ctx context.Context) iter.Seq2[File, error]
}

// Space is what a destination can still take.
type Space struct {
	FreeBytes  int64 // available to this user, quotas counted where the system tells
	FreeInodes int64 // -1 where the place has no such limit or does not tell
	TotalBytes int64
}

// Spacer is a driver that knows how much space is left.
type Spacer interface {
	Space(ctx context.Context) (Space, error)
}

// Subjects of a [Fact].
const (
	SubjectPlace   = "place"    // where it is and as whom: the user that the share sees, the server's version
	SubjectHostKey = "host-key" // which key proved that it is the server
	SubjectProgram = "program"  // a program that is used, and its version
	SubjectQuota   = "quota"    // what this user may still store
	SubjectSync    = "sync"     // how what is written is made durable
	SubjectRename  = "rename"   // how a name is taken without replacing

	SubjectChecksum = "checksum" // whether what the place says of its contents can be believed
)

// Fact is what a driver learnt about its place and a person may want to know, in a sentence: what it is and, for a warning,
// what to do. It holds no secrets.
type Fact struct {
	Subject string // one of the Subject constants
	Text    string
	Warning bool // it works, and somebody should look at it
}

// Reporter is a driver that tells people more than whether it works.
type Reporter interface {
	// Facts returns what was learnt of the place. What cannot be learnt now is left out; it waits no longer than ctx.
	Facts(ctx context.Context) []Fact
}
