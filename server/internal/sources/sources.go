// Package sources opens the registry's sources, whatever their kind, and keeps what outlasts one piece of work: connections.
// It decides nothing about what lies there.
package sources

import (
	"context"
	"errors"
	"sync"

	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/source"
	"github.com/wolkvox/backup/server/internal/source/sftpsource"
)

// Opener opens sources. The zero value is ready, and a nil one opens directories. Its methods may be called concurrently.
type Opener struct {
	mu    sync.Mutex // guards what follows
	hosts map[sftpsource.Config]*sftpsource.Host
}

// Open opens a source for one piece of work and checks its proof. The error wraps [source.ErrUnreachable], or is the
// context's. The tree has to be closed.
func (o *Opener) Open(ctx context.Context, s registry.Source) (*source.Tree, error) {
	proof := source.Proof{MarkerID: s.MarkerID, File: s.ProofFile, Digest: s.ProofDigest}
	if s.SFTP == nil {
		return source.Open(ctx, s.Directory, proof)
	}
	host, err := o.host(sftpConfig(*s.SFTP))
	if err != nil {
		return nil, source.Unreachable(s.Name, sftpsource.Remedy, err)
	}
	driver, err := host.Open(ctx)
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
	switch {
	case s.SFTP != nil:
		host, err := sftpsource.New(sftpConfig(*s.SFTP))
		if err != nil {
			return source.Proof{}, errors.Join(ErrConfig, err)
		}
		defer host.Close()
		driver, err := host.Open(ctx)
		if err != nil {
			return source.Proof{}, err
		}
		defer driver.Close()
		return source.Prove(ctx, driver, s.ProofFile)
	case s.ProofFile != "":
		return source.Witness(s.Directory, s.ProofFile)
	}
	return source.Mark(s.Directory)
}

// host returns the one that is kept.
func (o *Opener) host(c sftpsource.Config) (*sftpsource.Host, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if host := o.hosts[c]; host != nil {
		return host, nil
	}
	host, err := sftpsource.New(c)
	if err != nil {
		return nil, err
	}
	if o.hosts == nil {
		o.hosts = map[sftpsource.Config]*sftpsource.Host{}
	}
	o.hosts[c] = host
	return host, nil
}

// Close ends all connections. It is called when nothing is open any more, and nothing is opened afterwards.
func (o *Opener) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var err error
	for _, host := range o.hosts {
		err = errors.Join(err, host.Close())
	}
	return err
}

func sftpConfig(s registry.SFTPSource) sftpsource.Config {
	return sftpsource.Config{
		Address: s.Address, User: s.User, Folder: s.Folder, HostKey: s.HostKey,
		KeyFile: s.KeyFile, PassphraseFile: s.PassphraseFile, PasswordFile: s.PasswordFile,
	}
}
