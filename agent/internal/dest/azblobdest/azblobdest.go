// Package azblobdest is a container of Azure Blob Storage, or what lies below one prefix in it. Nothing is staged: a file is
// gathered in memory and put under its own name, only if that is free, and is visible whole and at once, or not at all. What
// fits into one part goes in one Put Blob whose MD5 the service checks; what is larger goes in blocks, each with its own
// MD5, is committed only if the SHA-256 of all that was sent is the wanted one, and is read back. The MD5 is believed only
// after the service has refused a wrong one.
//
// It makes no containers, deletes no recording, changes no retention, and classifies no faults: codes of the service are
// handed out as they came. Where the container keeps blobs unchanged, the agent's own files take new names.
package azblobdest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"golang.org/x/sync/semaphore"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// DefaultPartBytes is the size of a part where none is given.
const DefaultPartBytes = 8 << 20

// bufferBytes bounds what all uploads of one opener hold in memory, unless two parts are more.
const bufferBytes = 24 << 20

// MaxPartBytes is the largest part.
const MaxPartBytes = 24 << 20

// Options say where the container is and who the agent is there. Exactly one of Key, SAS and Identity is set.
type Options struct {
	// Endpoint is the URL of the account's blob service, such as https://ACCOUNT.blob.core.windows.net.
	Endpoint  string
	Account   string // the account's name, for Key
	Container string // it has to exist
	Prefix    string // a portable path below which everything lies; empty for the container itself

	Key      func() (string, error) // an account key, read at each Open
	SAS      func() (string, error) // a shared access signature, with or without "?", read at each Open
	Identity bool                   // Microsoft Entra: workload identity, managed identity, environment, as azidentity finds it

	Tier      Tier  // of recordings; empty for the account's own
	PartBytes int64 // DefaultPartBytes where 0; at most MaxPartBytes
	Readback  bool  // read everything back, whatever the service checks
}

// Tier is an access tier from which a blob can be read at once.
type Tier string

// The tiers.
const (
	Hot  Tier = "hot"
	Cool Tier = "cool"
	Cold Tier = "cold"
)

// Azblob opens handles on a container. It is safe for concurrent use.
type Azblob struct {
	options Options
	pace    *pace
	buffers *semaphore.Weighted // bytes
	parts   sync.Pool           // buffers of a part
	honesty honesty

	identity  identity
	looked    atomic.Bool // at the container's own settings
	immutable atomic.Bool // the container keeps blobs unchanged: own files take new names
}

// New returns an opener for the container. It reaches nothing.
func New(o Options) *Azblob {
	if o.PartBytes == 0 {
		o.PartBytes = DefaultPartBytes
	}
	return &Azblob{options: o, pace: newPace(), buffers: semaphore.NewWeighted(max(bufferBytes, 2*o.PartBytes))}
}

// Open implements dest.Opener. It lists the agent's own files, which shows that the container is there and may be read.
func (a *Azblob) Open(ctx context.Context) (dest.Driver, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	client, close, err := a.client()
	if err != nil {
		return nil, &dest.UnreachableError{Place: a.place(), Cause: err}
	}
	h := &handle{azblob: a, client: client, close: close}
	if err := h.enter(ctx); err != nil {
		close()
		switch _, known := errors.AsType[*dest.UnreachableError](err); {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case known:
			return nil, err
		}
		return nil, &dest.UnreachableError{Place: a.place(), Cause: err}
	}
	return h, nil
}

// place names the container for a person.
func (a *Azblob) place() string {
	place := a.options.Endpoint + "/" + a.options.Container
	if a.options.Prefix != "" {
		place += "/" + a.options.Prefix
	}
	return place
}

// handle is one client of the container.
type handle struct {
	azblob *Azblob
	client *container.Client
	close  func()
}

// Close implements dest.Driver.
func (h *handle) Close() error {
	h.close()
	return nil
}

// blobName is the name of a blob in the container.
func (h *handle) blobName(name string) string {
	if prefix := h.azblob.options.Prefix; prefix != "" {
		return prefix + "/" + name
	}
	return name
}
