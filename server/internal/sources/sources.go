// Package sources opens the registry's sources, whatever their kind, and keeps what outlasts one piece of work: connections.
// It decides nothing about what lies there.
package sources

import (
	"context"
	"errors"
	"sync"

	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/source"
	"github.com/wolkvox/backup/server/internal/source/s3source"
	"github.com/wolkvox/backup/server/internal/source/sftpsource"
)

// Opener opens sources. The zero value is ready, and a nil one opens directories. Its methods may be called concurrently.
type Opener struct {
	mu   sync.Mutex // guards what follows
	kept map[any]distant
}

// distant is a source that is not on this machine: it opens drivers, and keeps what outlasts them.
type distant interface {
	Open(ctx context.Context) (source.Driver, error)
	Close() error
}

// Open opens a source for one piece of work and checks its proof. The error wraps [source.ErrUnreachable], or is the
// context's. The tree has to be closed.
func (o *Opener) Open(ctx context.Context, s registry.Source) (*source.Tree, error) {
	proof := source.Proof{MarkerID: s.MarkerID, File: s.ProofFile, Digest: s.ProofDigest}
	key := configOf(s)
	if key == nil {
		return source.Open(ctx, s.Directory, proof)
	}
	at, err := o.distant(key)
	if err != nil {
		return nil, source.Unreachable(s.Name, "add it again as it is", err)
	}
	driver, err := at.Open(ctx)
	if err != nil {
		return nil, err
	}
	return source.OpenDriver(ctx, driver, proof)
}

// ErrConfig says that a source cannot be opened as it is described.
var ErrConfig = errors.New("the source is not described as it has to be")

// Prove makes the proof of a source that is to be added: of its own file ProofFile, or by a marker where that is empty. It uses
// no connection of an [Opener], so that what was mended counts at once. Errors: [ErrConfig], and those of [source.Prove].
func Prove(ctx context.Context, s registry.Source) (source.Proof, error) {
	key := configOf(s)
	switch {
	case key == nil && s.ProofFile != "":
		return source.Witness(s.Directory, s.ProofFile)
	case key == nil:
		return source.Mark(s.Directory)
	}
	at, err := newDistant(key)
	if err != nil {
		return source.Proof{}, errors.Join(ErrConfig, err)
	}
	defer at.Close()
	driver, err := at.Open(ctx)
	if err != nil {
		return source.Proof{}, err
	}
	defer driver.Close()
	return source.Prove(ctx, driver, s.ProofFile)
}

// distant returns the one that is kept for a configuration.
func (o *Opener) distant(key any) (distant, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if at := o.kept[key]; at != nil {
		return at, nil
	}
	at, err := newDistant(key)
	if err != nil {
		return nil, err
	}
	if o.kept == nil {
		o.kept = map[any]distant{}
	}
	o.kept[key] = at
	return at, nil
}

// Close ends all connections. It is called when nothing is open any more, and nothing is opened afterwards.
func (o *Opener) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var err error
	for _, at := range o.kept {
		err = errors.Join(err, at.Close())
	}
	return err
}

// newDistant makes what a configuration describes.
func newDistant(key any) (distant, error) {
	switch c := key.(type) {
	case sftpsource.Config:
		return sftpsource.New(c)
	case s3source.Config:
		return s3source.New(c)
	}
	return nil, errors.New("its kind is not known")
}

// configOf returns the configuration of a source that is not on this machine, nil for a directory.
func configOf(s registry.Source) any {
	switch {
	case s.SFTP != nil:
		k := s.SFTP
		return sftpsource.Config{
			Address: k.Address, User: k.User, Folder: k.Folder, HostKey: k.HostKey,
			KeyFile: k.KeyFile, PassphraseFile: k.PassphraseFile, PasswordFile: k.PasswordFile,
		}
	case s.S3 != nil:
		k := s.S3
		return s3source.Config{
			Bucket: k.Bucket, Prefix: k.Prefix, Region: k.Region, Endpoint: k.Endpoint, PathStyle: k.PathStyle, CredentialsFile: k.CredentialsFile,
		}
	}
	return nil
}
