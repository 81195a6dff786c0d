package source

import (
	"context"
	"io"
)

// Driver is what differs between the kinds of sources: a directory, a server that speaks SFTP, a bucket. It is opened for
// one piece of work, may be called concurrently, and judges nothing: a [Tree] stands around it, which proves the source
// again before it says anything about what the driver's errors mean.
//
// Errors about a file wrap [fs.ErrNotExist] only where the source itself said so, [ErrNotRegular], or [ErrChanging]; any
// other error says nothing about the file. Names have passed [IsLocal].
type Driver interface {
	// String says where the source lies, for people, without secrets.
	String() string

	// Remedy says what people can do where the source cannot be reached.
	Remedy() string

	// List tells found of everything below the root. An error says that nothing is known about the source as a whole; what
	// could not be seen of one that answers is found.Problem's.
	List(ctx context.Context, found *Found) error

	// Open opens a regular file and says what it looked like no later than then. Reads end when ctx does.
	Open(ctx context.Context, sourcePath string) (File, Identity, error)

	// Look says what a regular file looks like now. It goes by the name, not by what is open.
	Look(ctx context.Context, sourcePath string) (Identity, error)

	// Create makes a file that does not exist yet, durably as far as the source can.
	Create(ctx context.Context, sourcePath string, contents []byte) error

	// Check reports why what is open is not any more what the source's name leads to, where that can be told otherwise than
	// by the proof.
	Check(ctx context.Context) error

	// Close gives back what the driver holds.
	Close() error
}

// File is an open file of a source. It may be read concurrently; reading it from its beginning, or from any offset, to its
// end is what it is made for.
type File interface {
	io.ReaderAt
	io.Closer
}
