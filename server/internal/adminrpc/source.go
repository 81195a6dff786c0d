package adminrpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/source"
	"github.com/wolkvox/backup/server/internal/sources"
)

// AddSource registers a place where recordings lie, and makes the proof by which it is known from then on.
func (s *Service) AddSource(ctx context.Context, req *backupv1.AddSourceRequest) (*backupv1.AddSourceResponse, error) {
	added := sourceFrom(req.GetSource())
	if err := s.checkNew(added); err != nil {
		return nil, s.refused(ctx, err)
	}
	proof, err := s.prove(ctx, added)
	if err != nil {
		return nil, err
	}
	added.MarkerID, added.ProofDigest = proof.MarkerID, proof.Digest
	if err := s.Registry.CreateSource(added); err != nil {
		return nil, s.refused(ctx, err)
	}
	s.done(ctx, "add source", added.Tenant+"/"+added.Name)
	return &backupv1.AddSourceResponse{Source: sourceOf(added)}, nil
}

// checkNew finds what is wrong with a source before anything is written there.
func (s *Service) checkNew(added registry.Source) error {
	if _, err := s.Registry.Tenant(added.Tenant); err != nil {
		return err
	}
	if err := added.CheckPlace(); err != nil {
		return err
	}
	known, err := s.Registry.Sources(added.Tenant)
	if err != nil {
		return err
	}
	for _, k := range known {
		if k.Name == added.Name {
			return &registry.SubjectError{Subject: registry.SubjectSource, Name: k.Tenant + "/" + k.Name, Err: registry.ErrExists}
		}
	}
	return nil
}

// prove makes the proof of a new source. The error is a status.
func (s *Service) prove(ctx context.Context, added registry.Source) (source.Proof, error) {
	if added.Directory != "" {
		if err := canList(added.Directory); err != nil {
			return source.Proof{}, wire.Error(codes.FailedPrecondition, wire.ReasonSourceUnreachable, "the directory cannot be read: %v", err)
		}
	}
	proof, err := sources.Prove(ctx, added)
	switch {
	case err == nil:
		return proof, nil
	case ctx.Err() != nil:
		return source.Proof{}, s.failed(ctx, err)
	case errors.Is(err, sources.ErrConfig):
		return source.Proof{}, wire.Error(codes.InvalidArgument, wire.ReasonBadPath, "%v", err)
	case errors.Is(err, source.ErrRefused):
		return source.Proof{}, wire.Error(codes.FailedPrecondition, wire.ReasonSourceRefused, "%v", err)
	case added.ProofFile == "" && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)):
		return source.Proof{}, wire.Error(codes.FailedPrecondition, wire.ReasonSourceReadOnly,
			"no marker can be written into %s: name a file that it has, and that stays as it is, to prove that it is there (%v)", place(added), err)
	}
	return source.Proof{}, wire.Error(codes.FailedPrecondition, wire.ReasonSourceUnreachable, "%v", err)
}

func canList(directory string) error {
	d, err := os.Open(directory)
	if err != nil {
		return err
	}
	defer d.Close()
	if _, err := d.Readdirnames(1); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// ListSources lists sources and whether each can be reached now, which is tried at all of them at once.
func (s *Service) ListSources(ctx context.Context, req *backupv1.ListSourcesRequest) (*backupv1.ListSourcesResponse, error) {
	all, err := s.Registry.Sources(req.GetTenant())
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	res := &backupv1.ListSourcesResponse{Sources: make([]*backupv1.Source, len(all))}
	var group sync.WaitGroup
	for i, one := range all {
		res.Sources[i] = sourceOf(one)
		group.Go(func() {
			if tree, err := s.Sources.Open(ctx, one); err != nil {
				res.Sources[i].Problem = err.Error()
			} else {
				tree.Close()
			}
		})
	}
	group.Wait()
	return res, nil
}

// place says where a source lies, for people.
func place(s registry.Source) string {
	switch {
	case s.SFTP != nil:
		return fmt.Sprintf("the folder %s of %s", s.SFTP.Folder, s.SFTP.Address)
	case s.S3 != nil:
		return fmt.Sprintf("the bucket %s", s.S3.Bucket)
	}
	return s.Directory
}

func sourceFrom(m *backupv1.Source) registry.Source {
	s := registry.Source{Tenant: m.GetTenant(), Name: m.GetName(), Directory: m.GetDirectory(), ProofFile: m.GetProofFile()}
	if k := m.GetSftp(); k != nil {
		s.SFTP = &registry.SFTPSource{
			Address: k.GetAddress(), User: k.GetUser(), Folder: k.GetFolder(), HostKey: k.GetHostKey(),
			KeyFile: k.GetKeyFile(), PassphraseFile: k.GetPassphraseFile(), PasswordFile: k.GetPasswordFile(),
		}
	}
	if k := m.GetS3(); k != nil {
		s.S3 = &registry.S3Source{
			Bucket: k.GetBucket(), Prefix: k.GetPrefix(), Region: k.GetRegion(), Endpoint: k.GetEndpoint(),
			PathStyle: k.GetPathStyle(), CredentialsFile: k.GetCredentialsFile(),
		}
	}
	return s
}

func sourceOf(s registry.Source) *backupv1.Source {
	m := &backupv1.Source{Tenant: s.Tenant, Name: s.Name, Directory: s.Directory, ProofFile: s.ProofFile}
	if k := s.SFTP; k != nil {
		m.Kind = &backupv1.Source_Sftp{Sftp: &backupv1.SFTPSource{
			Address: k.Address, User: k.User, Folder: k.Folder, HostKey: k.HostKey,
			KeyFile: k.KeyFile, PassphraseFile: k.PassphraseFile, PasswordFile: k.PasswordFile,
		}}
	}
	if k := s.S3; k != nil {
		m.Kind = &backupv1.Source_S3{S3: &backupv1.S3Source{
			Bucket: k.Bucket, Prefix: k.Prefix, Region: k.Region, Endpoint: k.Endpoint,
			PathStyle: k.PathStyle, CredentialsFile: k.CredentialsFile,
		}}
	}
	return m
}
